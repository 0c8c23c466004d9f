"""The page on bounds: how near a sum comes to its bound, by the depth that is declared."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from computed import Table

COUNTS, SUMS = (256, 4096, 65536), 20
UNIT = 2.0**-24


def tree(values: npt.NDArray[np.float32]) -> float:
    """The sum of a power of two of values in float32, neighbours first."""
    while len(values) > 1:
        values = values[::2] + values[1::2]
    return float(values[0])


def bound(depth: int, magnitude: float) -> float:
    """For a sum of exact values in which no term goes through more additions than `depth`."""
    return depth * UNIT / (1 - depth * UNIT) * magnitude


def ratios(count: int) -> tuple[float, float]:
    """The largest error over bound of sums of magnitudes in a tree: if it is known to be one, and for any order."""
    found = []
    for seed in range(SUMS):
        values = np.abs(np.random.default_rng(seed).standard_normal(count)).astype(np.float32)
        exact = math.fsum(values.tolist())
        error = abs(tree(values) - exact)
        found.append([error / bound(depth, exact) for depth in (math.ceil(math.log2(count)), count - 1)])
    pairwise, unordered = np.max(found, axis=0)
    return float(pairwise), float(unordered)


def depths() -> Table:
    """Error over bound by the number of terms."""
    rows = []
    for count in COUNTS:
        pairwise, unordered = ratios(count)
        rows.append((f"{count:,}", f"{unordered:.1g}", f"{pairwise:.1g}"))
    return Table(("terms", "bound for any order", "bound for a tree"), tuple(rows))
