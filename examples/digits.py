"""The digits of scikit-learn: what averaging does, beside AdamW at learning rates that one would have to try.

    python examples/digits.py

Takes about ten seconds. Every network ends up knowing the 1400 digits that it is shown; what counts are the other
397.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ppsf_fast import ProdigyPlusScheduleFree

matplotlib.use("Agg")
import matplotlib.pyplot as plt

RATES = (1e-4, 1e-3, 1e-2, 1e-1)


def data() -> tuple[Tensor, Tensor]:
    """1797 images of shape (64,), and their labels, shuffled: in the order of the set writers come in blocks."""
    found = load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(found.data, dtype=torch.float32)[order] / 16, torch.tensor(found.target)[order]


def network() -> nn.Sequential:
    """Two hidden layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


@torch.no_grad()
def wrong(net: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Share of the held-out digits that are taken for others, in percent."""
    return 100 * (net(inputs).argmax(1) != labels).float().mean().item()


def run(make: Any, epochs: int) -> dict[str, list[float]]:
    """Train; returns the errors of each epoch, with the weights of training and with their average."""
    inputs, labels = data()
    train, held_out = slice(0, 1400), slice(1400, None)
    net = network()
    optimizer = make(net.parameters())
    shuffle = torch.Generator().manual_seed(0)
    curves: dict[str, list[float]] = {"live": [], "average": [], "d": []}
    for _ in range(epochs):
        for batch in torch.randperm(1400, generator=shuffle).split(50):
            optimizer.zero_grad()
            cross_entropy(net(inputs[train][batch]), labels[train][batch]).backward()
            optimizer.step()
        curves["live"].append(wrong(net, inputs[held_out], labels[held_out]))
        if isinstance(optimizer, ProdigyPlusScheduleFree):
            with optimizer.averaged():
                curves["average"].append(wrong(net, inputs[held_out], labels[held_out]))
            curves["d"].append(optimizer.param_groups[0]["d"])
    return curves


def main(arguments: list[str] | None = None) -> dict[str, dict[str, list[float]]]:
    """Train with each optimizer; returns its curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/examples"), help="where digits.png goes")
    parser.add_argument("--epochs", type=int, default=15)
    given = parser.parse_args(arguments)
    found = {"ProdigyPlusScheduleFree": run(ProdigyPlusScheduleFree, given.epochs)}
    for rate in RATES:
        found[f"AdamW, lr={rate:g}"] = run(lambda params, rate=rate: torch.optim.AdamW(params, lr=rate), given.epochs)
    for name, curves in found.items():
        print(f"{name:>26}: {(curves['average'] or curves['live'])[-1]:.1f} % of the held-out digits wrong")
    draw(found, given.out)
    return found


def draw(found: dict[str, dict[str, list[float]]], out: Path) -> None:
    """Errors, and d, by the epoch."""
    out.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=(2, 1))
    for name, curves in found.items():
        epochs = range(1, len(curves["live"]) + 1)
        if curves["average"]:
            left.plot(epochs, curves["average"], color="black", lw=2, label=f"{name}, average")
            left.plot(epochs, curves["live"], color="black", ls=":", label=f"{name}, weights of training")
            right.plot(epochs, curves["d"], color="black")
        else:
            left.plot(epochs, curves["live"], lw=1, label=name)
    left.set(xlabel="epoch", ylabel="held-out digits wrong (%)", yscale="log")
    left.set_yticks([2, 5, 10, 20, 50], labels=["2", "5", "10", "20", "50"])
    left.yaxis.set_minor_formatter("")
    left.legend(fontsize=8)
    right.set(xlabel="epoch", ylabel="d", yscale="log")
    figure.savefig(out / "digits.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
