"""A small but real training that shows what an optimizer does for a user.

A convolutional network learns scikit-learn's bundled handwritten digits (1797 images of 8x8 pixels), with no
learning rate given. The network has neither batch normalisation nor dropout, so that only the optimizer tells
train from eval mode. A run is a function of its seed: same seed, same machine, same figures.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from ppsf_conformance.report import Training, TrainingRun

OptimizerFactory: TypeAlias = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]

TEST_IMAGES = 360
BATCH = 32
EPOCHS = 10
SEEDS = (0, 1, 2)
_SPLIT_SEED = 0


@dataclass(frozen=True)
class Progress:
    """An epoch that has just ended. ``epoch`` counts from 1; ``accuracy`` is in percent."""

    implementation: str
    seed: int
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    d: float


@dataclass(frozen=True)
class Digits:
    """The fixed, stratified split: images are float32 (n, 1, 8, 8) in [0, 1], labels int64 (n,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def train_all(
    factories: Mapping[str, OptimizerFactory],
    *,
    seeds: Sequence[int] = SEEDS,
    epochs: int = EPOCHS,
    progress: Callable[[Progress], None] | None = None,
) -> Training:
    """Train with every optimizer and seed; ``factories`` maps an implementation's name to its factory."""
    runs = tuple(
        train(factory, implementation=name, seed=seed, epochs=epochs, progress=progress)
        for name, factory in factories.items()
        for seed in seeds
    )
    return Training("digits", epochs, tuple(seeds), runs)


def train(
    factory: OptimizerFactory,
    *,
    implementation: str,
    seed: int,
    epochs: int = EPOCHS,
    progress: Callable[[Progress], None] | None = None,
) -> TrainingRun:
    """Train once, on the CPU; record mean training loss, test accuracy (eval mode, percent) and d.

    ``factory`` makes the optimizer from the network's parameters. Its ``train()`` and ``eval()`` are called
    where it has them; d is ``param_groups[0]["d"]``, NaN where there is none. ``progress`` is called after
    every epoch. The global random state of torch is left as it was. Raises ValueError if ``epochs`` is below
    1.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs!r}; allowed are integers from 1 on")
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        ended = list(_epochs(factory, implementation, seed, epochs, progress or _ignore))
    return TrainingRun(
        implementation=implementation,
        seed=seed,
        loss=tuple(epoch.loss for epoch in ended),
        accuracy=tuple(epoch.accuracy for epoch in ended),
        d=tuple(epoch.d for epoch in ended),
        seconds=time.perf_counter() - started,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order whatever the number of cores; on a network this small it costs no time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def network() -> nn.Module:
    """The network: float32 (n, 1, 8, 8) to (n, 10). All weights of 4 and 2 dimensions are factored."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1024, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


@cache
def digits() -> Digits:
    """The data, loaded once."""
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(
        (pixels / 16.0).astype(np.float32).reshape(-1, 1, 8, 8),
        labels.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=labels,
        random_state=_SPLIT_SEED,
    )
    train_images, test_images, train_labels, test_labels = map(torch.from_numpy, split)
    return Digits(train_images, train_labels, test_images, test_labels)


def _epochs(
    factory: OptimizerFactory,
    implementation: str,
    seed: int,
    epochs: int,
    progress: Callable[[Progress], None],
) -> Iterator[Progress]:
    data, model = digits(), network()
    optimizer = factory(model.parameters())
    order = torch.Generator().manual_seed(seed)  # of its own: an optimizer that draws bits does not change the batches
    for epoch in range(1, epochs + 1):
        _set_mode(optimizer, "train")
        loss = _train_epoch(model, optimizer, data, order)
        _set_mode(optimizer, "eval")
        ended = Progress(implementation, seed, epoch, epochs, loss, _accuracy(model, data), _distance(optimizer))
        _set_mode(optimizer, "train")
        progress(ended)
        yield ended


def _train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, data: Digits, order: torch.Generator) -> float:
    total = 0.0
    shuffled = torch.randperm(len(data.train_labels), generator=order)
    for start in range(0, len(shuffled), BATCH):
        batch = shuffled[start : start + BATCH]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data.train_images[batch]), data.train_labels[batch])
        torch.autograd.backward(loss)
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(data.train_labels)


@torch.no_grad()
def _accuracy(model: nn.Module, data: Digits) -> float:
    right = model(data.test_images).argmax(dim=1) == data.test_labels
    return 100.0 * int(right.sum()) / len(data.test_labels)


def _set_mode(optimizer: torch.optim.Optimizer, mode: str) -> None:
    method = getattr(optimizer, mode, None)
    if callable(method):
        method()


def _distance(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0].get("d", math.nan))


def _ignore(_: Progress) -> None:
    pass
