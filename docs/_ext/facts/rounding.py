"""The page on stochastic rounding."""

from __future__ import annotations

import numpy as np

from drawing import Curve, Panel, Picture

STEPS, STEP = 2000, np.float32(2e-4)


def nearest(value: np.float32, _bits: int) -> np.float32:
    """To bfloat16, ties to even."""
    pattern = int(value.view(np.uint32))
    return _float((pattern + 0x7FFF + (pattern >> 16 & 1)) & 0xFFFF0000)


def stochastic(value: np.float32, bits: int) -> np.float32:
    """To bfloat16 with these random bits (PPSF-R-003)."""
    return _float((int(value.view(np.uint32)) + bits) & 0xFFFF0000)


def _float(pattern: int) -> np.float32:
    found: np.float32 = np.uint32(pattern).view(np.float32)
    return found


def walk() -> Picture:
    """A weight under both ways of rounding, and without."""
    bits = np.random.default_rng(0).integers(0, 2**16, STEPS).tolist()
    lines = [Curve("exact", [0, STEPS], [1.0, 1.0 + STEPS * float(STEP)])]
    for name, rounded in (("at random", stochastic), ("to nearest", nearest)):
        weight, seen = np.float32(1), [1.0]
        for drawn in bits:
            weight = rounded(np.float32(weight + STEP), drawn)
            seen.append(float(weight))
        lines.append(Curve(name, list(range(0, STEPS + 1, 20)), seen[::20]))
    panel = Panel(lines, "step", "weight")
    return Picture([panel], "Rounded at random the weight follows the exact line; rounded to nearest it never moves")
