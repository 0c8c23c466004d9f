"""Two networks that need different step sizes: one estimate for both, one for each, or the mean of two.

    python examples/two_networks.py

An image network and a label network meet in a common space, as the two encoders of CLIP do: each digit has to come
nearest to its label. Takes about fifteen seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.trainers import rates

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SETTINGS: dict[str, dict[str, Any]] = {
    "one for both": {"split_groups": False},
    "one for each": {"split_groups": True, "split_groups_mean": False},
    "the harmonic mean": {"split_groups": True, "split_groups_mean": True},
}


def data() -> tuple[Tensor, Tensor]:
    """1797 images of shape (64,), and their labels, shuffled."""
    found = load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(found.data, dtype=torch.float32)[order] / 16, torch.tensor(found.target)[order]


def networks() -> tuple[nn.Module, nn.Module]:
    """The network of images, and that of labels, which is much smaller."""
    torch.manual_seed(0)
    images = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 16))
    labels = nn.Sequential(nn.Embedding(10, 16), nn.Linear(16, 16))
    return images, labels


def scores(images: nn.Module, labels: nn.Module, inputs: Tensor) -> Tensor:
    """How near each image is to each label: shape (n, 10)."""
    return 10 * normalize(images(inputs)) @ normalize(labels(torch.arange(10))).T


def run(options: dict[str, Any], epochs: int) -> dict[str, list[float]]:
    """Train; returns by the epoch the share of held-out digits that are wrong, and the numbers of each group."""
    inputs, targets = data()
    train, held_out = slice(0, 1400), slice(1400, None)
    images, labels = networks()
    groups = [{"name": "images", "params": images.parameters()}, {"name": "labels", "params": labels.parameters()}]
    optimizer = ProdigyPlusScheduleFree(groups, **options)
    shuffle = torch.Generator().manual_seed(0)
    curves: dict[str, list[float]] = {"wrong": []}
    for _ in range(epochs):
        for batch in torch.randperm(1400, generator=shuffle).split(50):
            optimizer.zero_grad()
            cross_entropy(scores(images, labels, inputs[train][batch]), targets[train][batch]).backward()
            optimizer.step()
            for name, value in rates(optimizer).items():
                curves.setdefault(name, []).append(value)
        with optimizer.averaged(), torch.no_grad():
            found = scores(images, labels, inputs[held_out]).argmax(1)
            curves["wrong"].append(100 * (found != targets[held_out]).float().mean().item())
    return curves


def main(arguments: list[str] | None = None) -> dict[str, dict[str, list[float]]]:
    """Train under each setting; returns its curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/examples"), help="where two_networks.png goes")
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args(arguments)
    found = {name: run(options, given.epochs) for name, options in SETTINGS.items()}
    for name, curves in found.items():
        step_sizes = ", ".join(f"{group} {curves[f'{group}/dlr'][-1]:.1e}" for group in ("images", "labels"))
        print(f"{name:>17}: {curves['wrong'][-1]:.1f} % wrong; step sizes: {step_sizes}")
    draw(found, given.out)
    return found


def draw(found: dict[str, dict[str, list[float]]], out: Path) -> None:
    """The step size of each network under each setting, and the errors."""
    out.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, len(found) + 1, figsize=(13, 3.4), layout="constrained")
    largest = max(max(curves[f"{group}/dlr"]) for curves in found.values() for group in ("images", "labels"))
    for place, (name, curves) in zip(axes, found.items(), strict=False):
        place.plot(curves["images/dlr"], label="images", lw=3, alpha=0.5)
        place.plot(curves["labels/dlr"], label="labels")
        place.set(title=name, xlabel="step", yscale="log", ylim=(5e-7, 2 * largest))
        axes[-1].plot(range(1, len(curves["wrong"]) + 1), curves["wrong"], label=name)
    axes[0].set(ylabel="step size (d times lr)")
    axes[0].legend()
    axes[-1].set(title="held-out digits wrong (%)", xlabel="epoch", yscale="log")
    axes[-1].set_yticks([2, 5, 10, 20, 50], labels=["2", "5", "10", "20", "50"])
    axes[-1].yaxis.set_minor_formatter("")
    axes[-1].legend()
    figure.savefig(out / "two_networks.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
