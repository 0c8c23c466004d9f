"""The guide on estimates that stand still or explode: small runs of the optimizer itself."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch

from computed import Table
from drawing import Curve, Panel, Picture
from ppsf_fast import ProdigyPlusScheduleFree

STEPS = 250


@dataclass(frozen=True)
class Case:
    """A run: what is done to its gradients, and the options."""

    name: str
    scale: float = 1.0
    noise: float = 0.0
    constant: bool = False
    options: tuple[tuple[str, Any], ...] = ()


STILL = (
    Case("as it should be"),
    Case("lr = 0.001", options=(("lr", 1e-3),)),
    Case("gradients times 1e-9", scale=1e-9),
    Case("noise 14 times the gradient", noise=1.0),
)
REMEDIES = (
    Case("gradients times 1e-9, eps=None", scale=1e-9, options=(("eps", None),)),
    Case("noise, d_coef=10", noise=1.0, options=(("d_coef", 10.0),)),
)
HIGH = (
    Case("as it should be"),
    Case("d_coef = 100", options=(("d_coef", 100.0),)),
    Case("d0 = 1", options=(("d0", 1.0),)),
    Case("no minimum, 1.9", constant=True),
    Case("no minimum, 2.0", constant=True, options=(("revision", "2.0"),)),
)


@functools.cache
def play(case: Case) -> tuple[tuple[float, ...], float]:
    """Linear regression with batches of 32: the estimate before each step, and the loss of the average at the end."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, 100, generator=draw) / 10
    targets = inputs @ (0.1 * torch.randn(100, 40, generator=draw))
    weights = torch.nn.Parameter(torch.zeros(100, 40))
    optimizer = ProdigyPlusScheduleFree([weights], **dict(case.options))
    found = []
    for _ in range(STEPS):
        found.append(float(optimizer.param_groups[0]["d"]))
        batch = torch.randint(0, 256, (32,), generator=draw)
        gradient = inputs[batch].T @ (inputs[batch] @ weights.detach() - targets[batch]) * case.scale
        gradient += case.noise * torch.randn(100, 40, generator=draw)
        weights.grad = torch.ones(100, 40) if case.constant else gradient
        optimizer.step()
    optimizer.eval()
    return tuple(found), float(((inputs @ weights.detach() - targets) ** 2).mean())


def _picture(cases: tuple[Case, ...], alt: str) -> Picture:
    steps = list(range(1, STEPS + 1))
    curves = [Curve(case.name, steps, play(case)[0]) for case in cases]
    return Picture([Panel(curves, "step", "estimate d", ylog=True)], alt)


def still() -> Picture:
    """Estimates that do not move."""
    return _picture(STILL, "One estimate rises within fifty steps; three others stay near their start")


def high() -> Picture:
    """Estimates that are too high."""
    return _picture(HIGH, "With a loss without minimum the estimate rises to the bound of its revision")


def losses() -> Table:
    """What became of the loss in each run."""
    rows = []
    for case in (*STILL, *REMEDIES, *HIGH[1:3]):
        path, loss = play(case)
        rows.append((case.name, f"{path[-1]:.1e}", f"{loss:.1e}"))
    return Table(("run", "last estimate", "loss of the average"), tuple(rows))
