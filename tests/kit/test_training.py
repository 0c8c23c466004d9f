"""The training: its data, its determinism, what it records and how it treats an optimizer's modes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn

from ppsf_conformance import training


class Recorder(torch.optim.SGD):
    """SGD with modes and a d that counts steps."""

    def __init__(self, params: Iterable[nn.Parameter]) -> None:
        super().__init__(params, lr=0.1)
        self.param_groups[0]["d"] = 0.0
        self.calls: list[str] = []

    def train(self) -> None:
        self.calls.append("train")

    def eval(self) -> None:
        self.calls.append("eval")

    def step(self, closure: Any = None) -> Any:
        assert self.calls[-1] == "train"
        self.param_groups[0]["d"] += 1.0
        return super().step(closure)


def _sgd(params: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=0.1)


def test_the_split_is_fixed_and_stratified() -> None:
    data = training.digits()
    assert data.train_images.shape == (1437, 1, 8, 8)
    assert data.test_images.shape == (360, 1, 8, 8)
    assert data.train_images.dtype == torch.float32
    assert float(data.train_images.min()) == 0.0
    assert float(data.train_images.max()) == 1.0
    counts = torch.bincount(data.test_labels)
    assert counts.min() >= 34
    assert counts.max() <= 38


def test_a_run_is_a_function_of_its_seed() -> None:
    runs = [training.train(_sgd, implementation="sgd", seed=seed, epochs=1) for seed in (3, 3, 4)]
    assert runs[0].loss == runs[1].loss
    assert runs[0].accuracy == runs[1].accuracy
    assert runs[0].loss != runs[2].loss


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    training.train(_sgd, implementation="sgd", seed=0, epochs=1)
    assert torch.equal(torch.rand(1), expected)


def test_the_number_of_threads_is_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(AttributeError):
        training.train(lambda params: None, implementation="none", seed=0)  # type: ignore[arg-type, return-value]
    assert torch.get_num_threads() == before


def test_modes_d_and_progress() -> None:
    made: list[Recorder] = []
    seen: list[training.Progress] = []

    def factory(params: Iterable[nn.Parameter]) -> Recorder:
        made.append(Recorder(params))
        return made[-1]

    run = training.train(factory, implementation="recorder", seed=0, epochs=2, progress=seen.append)
    assert made[0].calls == ["train", "eval", "train"] * 2
    assert run.d == (45.0, 90.0)
    assert [(p.epoch, p.epochs, p.loss, p.accuracy, p.d) for p in seen] == [
        (epoch + 1, 2, run.loss[epoch], run.accuracy[epoch], run.d[epoch]) for epoch in range(2)
    ]


def test_an_optimizer_without_d_and_modes_is_served() -> None:
    result = training.train_all({"sgd": _sgd}, seeds=(0, 1), epochs=1)
    assert [(run.implementation, run.seed) for run in result.runs] == [("sgd", 0), ("sgd", 1)]
    assert all(math.isnan(run.d[0]) for run in result.runs)
    assert (result.dataset, result.epochs, result.seeds) == ("digits", 1, (0, 1))


def test_no_epochs_is_refused() -> None:
    with pytest.raises(ValueError, match="epochs is 0; allowed are integers from 1 on"):
        training.train(_sgd, implementation="sgd", seed=0, epochs=0)


def test_the_published_optimizer_learns_without_a_learning_rate() -> None:
    published = pytest.importorskip("prodigyplus.prodigy_plus_schedulefree")
    result = training.train_all({"published": published.ProdigyPlusScheduleFree})
    assert sum(run.accuracy[-1] for run in result.runs) / len(result.runs) >= 98.0
    assert all(3e-3 < run.d[-1] < 1.2e-2 for run in result.runs)
