"""The page on rectification."""

from __future__ import annotations

import math

import mpmath

from computed import Table
from drawing import Curve, Panel, Picture


def length(k: int, beta2: float) -> float:
    """How many squares the moving mean is worth in step k."""
    return limit(beta2) - 2 * k * beta2**k / (1 - beta2**k)


def limit(beta2: float) -> float:
    """The same after very many steps."""
    return 2 / (1 - beta2) - 1


def first_order(rho: float) -> float:
    """Variance of 1 / sqrt(v) to first order."""
    return rho / (2 * (rho - 2) * (rho - 4)) if rho > 4 else math.inf


def exact(rho: float) -> float:
    """The variance itself."""
    if rho <= 2:
        return math.inf
    mean = mpmath.sqrt(mpmath.mpf(rho) / 2) * mpmath.gammaprod([(rho - 1) / 2], [rho / 2])
    return float(mpmath.mpf(rho) / (rho - 2) - mean**2)


def factor(k: int, beta2: float) -> float:
    """The factor of PPSF-M-003."""
    return math.sqrt(first_order(limit(beta2)) / first_order(length(k, beta2)))


def curves() -> Picture:
    """Both factors."""
    steps = list(range(1, 101))
    true = [math.sqrt(exact(limit(0.99)) / exact(length(k, 0.99))) for k in steps]
    lines = [Curve("as specified", steps, [factor(k, 0.99) for k in steps]), Curve("exact variance", steps, true)]
    panel = Panel(lines, "step", "factor on the step size", ylim=(0, 1))
    return Picture([panel], "The factor is 0 in the first steps and rises towards 1")


def first() -> Table:
    """When steps begin, and when they are nearly whole."""
    rows = []
    for beta2 in (0.9, 0.95, 0.99, 0.999):
        when = [next(k for k in range(1, 10**5) if factor(k, beta2) > least) for least in (0.0, 0.5, 0.9)]
        rows.append((f"{beta2:g}", *map(str, when)))
    return Table((r"$\beta_2$", "first", "half", "nine tenths"), tuple(rows))
