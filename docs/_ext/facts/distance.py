"""The page on the distance bound."""

from __future__ import annotations

import math

import torch

from computed import Table
from drawing import Curve, Panel, Picture
from ppsf_fast import Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.base import RevisedOptimizer

STEPS = 120
FARTHEST = 0.05


def problem() -> tuple[torch.Tensor, torch.Tensor]:
    """Curvatures and solution of a separable quadratic of 2,200 coordinates; it starts at 0."""
    generator = torch.Generator().manual_seed(0)
    curvature = 10 ** (2 * torch.rand(2200, generator=generator))
    length = 10 ** (-3 + math.log10(FARTHEST / 1e-3) * torch.rand(2200, generator=generator))
    length[0] = FARTHEST
    return curvature, length * (2 * torch.randint(0, 2, (2200,), generator=generator) - 1)


def estimates(make: str) -> list[float]:
    """The estimate before each step of one optimizer."""
    curvature, solution = problem()
    weights = torch.nn.Parameter(torch.zeros(2200))
    optimizer: RevisedOptimizer = (
        Prodigy([weights], betas=(0.9, 0.99))
        if make == "prodigy"
        else ProdigyPlusScheduleFree([weights], revision=make)
    )
    found = []
    for _ in range(STEPS):
        found.append(float(optimizer.param_groups[0]["d"]))
        optimizer.zero_grad()
        (curvature * (weights - solution) ** 2).sum().div(2).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return found


def growth() -> Picture:
    """Estimates of three optimizers, and the bound."""
    names = {"prodigy": "Prodigy", "1.9": "revision 1.9", "2.0": "revision 2.0"}
    steps = list(range(1, STEPS + 1))
    curves = [Curve(name, steps, estimates(make)) for make, name in names.items()]
    panel = Panel(curves, "step", "estimate d", ylog=True, levels=[(FARTHEST, "largest distance")])
    return Picture([panel], "Estimates of three optimizers grow towards the distance to the solution and stay below it")


def steps() -> Table:
    """How many steps the capped rules need from 1e-6."""
    rows = []
    for exponent in (-5, -4, -3, -2):
        speed = math.ceil(math.log(exponent / -6) / math.log(0.975) - 1e-9)
        limited = math.ceil(4 * math.log2(10.0 ** (exponent + 6)) - 1e-9)
        rows.append((rf"$10^{{{exponent}}}$", str(speed), str(limited)))
    return Table(("to", "`use_speed`, revision 1.9", "`d_limiter`, revision 2.0"), tuple(rows))
