"""The page on averaging."""

from __future__ import annotations

import numpy as np

from drawing import Curve, Panel, Picture

STEPS = 2000
BETA = 0.9


def noise() -> Picture:
    """z and x on a noisy quadratic of one dimension."""
    draws = np.random.default_rng(1).standard_normal(STEPS)
    z = x = 1.0
    zs, xs = [], []
    for k, draw in enumerate(draws, start=1):
        y = (1 - BETA) * z + BETA * x
        z -= 0.1 * (y + draw)
        x += (z - x) / k
        zs.append(z)
        xs.append(x)
    steps = list(range(1, STEPS + 1))
    panel = Panel([Curve("z", steps, zs), Curve("x", steps, xs)], "step", "weight", levels=[(0.0, "solution")])
    return Picture([panel], "The sequence z goes on jumping around the solution, its average x moves less and less")


def shares(strength: float, steps: int) -> list[float]:
    """Share of each iterate in the average of the last; the step weights are equal (PPSF-Z-001, PPSF-Z-011)."""
    c = np.minimum(1.0, (1 - BETA) * strength / np.arange(1, steps + 1))
    kept = np.append(np.cumprod((1 - c)[::-1])[::-1][1:], 1.0)
    found: list[float] = (c * kept).tolist()
    return found


def refined() -> Picture:
    """Shares for several strengths."""
    curves = [
        Curve(f"C = {strength:g}", list(range(1, 1001)), [1000 * share for share in shares(strength, 1000)])
        for strength in (5, 10, 20, 50)
    ]
    panel = Panel(curves, "iterate", "share, in thousandths", ylim=(0, 5.2))
    return Picture([panel], "The larger C, the more of the average is made of late iterates; at 10 all count alike")
