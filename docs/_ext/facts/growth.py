"""The page on how the estimate moves: the rules of growth on one series of candidates, and the feedback of SPEED."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from computed import Table
from drawing import Curve, Panel, Picture

D0, SCALE, SPIKE, WHEN, STEPS = 1e-6, 0.01, 10.0, 80, 250
LIMIT = 2**0.25
Rule = Callable[[float, float], float]


def candidates() -> list[float]:
    """Noisy candidates around one scale, with a single one ten times as large."""
    noise = np.random.default_rng(0).standard_normal(STEPS)
    found = SCALE * np.exp(0.3 * noise)
    found[WHEN] = SPIKE * SCALE
    return [float(candidate) for candidate in found]


def largest(d: float, candidate: float) -> float:
    """PPSF-D-007."""
    return max(d, candidate)


def limited(d: float, candidate: float) -> float:
    """PPSF-D-026 before it."""
    return max(d, min(candidate, LIMIT * d))


def moving(beta4: float) -> Rule:
    """PPSF-D-027 and PPSF-D-028."""

    def rule(d: float, candidate: float) -> float:
        floored, share = max(candidate, D0), abs(beta4)
        mean = share * d + (1 - share) * floored
        return mean if beta4 > 0 else max(floored, mean)

    return rule


RULES: dict[str, Rule] = {
    "largest candidate": largest,
    "d_limiter": limited,
    "beta4 = 0.99": moving(0.99),
    "beta4 = -0.99": moving(-0.99),
}


def course(rule: Rule) -> list[float]:
    """The estimate after each step."""
    d, found = D0, []
    for candidate in candidates():
        d = rule(d, candidate)
        found.append(d)
    return found


def rules() -> Picture:
    """Four rules on the same candidates."""
    steps = list(range(1, STEPS + 1))
    curves = [Curve(name, steps, course(rule)) for name, rule in RULES.items()]
    panel = Panel(curves, "step", "estimate d", ylog=True)
    return Picture([panel], "A single large candidate stays for ever under the maximum and is forgotten under beta4")


def votes() -> Table:
    """The candidate of SPEED (revision 1.9) when all signs agree in every step, by how the weights are divided."""
    rows = []
    for tensors, elements in ((1, 1_000_000), (100, 1_000_000), (1000, 1_000_000), (1000, 10_000_000)):
        rows.append((f"{tensors:,}", f"{elements:,}", f"{math.atan(tensors / (elements / 11)):.1e}"))
    return Table(("tensors", "elements", "candidate"), tuple(rows))


def feedback(rate: float, steps: int, beta3: float = 0.99**0.5) -> float:
    """How SPEED of 2.0 would let d grow after d has grown by `rate` in each of `steps` steps at a constant pull."""
    numerator = before = 0.0
    for k in range(steps):
        numerator, before = beta3 * numerator + rate ** (2 * k), numerator
    return math.sqrt(numerator / before)
