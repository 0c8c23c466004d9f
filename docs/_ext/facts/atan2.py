"""The page on Adam-atan2."""

from __future__ import annotations

import math

import mpmath
import numpy as np

from computed import Table
from drawing import Curve, Panel, Picture

SCALE_OF_2 = "1.2732395"  # the literal of revision 2.0 (PPSF-U-013)


def first_steps() -> Table:
    """What the first gradient becomes under each rule."""
    ratio = 1 / math.sqrt(1 - 0.99)
    rules = {
        "quotient (PPSF-U-002)": ratio,
        "PPSF-U-003, $b = 50$": 50 * math.atan2(ratio, 50),
        "PPSF-U-003, $b = 1$": math.atan2(ratio, 1),
        "PPSF-U-013, $a = 1$ (update3)": math.atan2(ratio, 1),
        r"PPSF-U-013, $a \approx 4/\pi$ (2.0)": float(SCALE_OF_2) * math.atan2(ratio, 1),
    }
    return Table(("rule", "size of the update"), tuple((name, f"{size:.4f}") for name, size in rules.items()))


def constant() -> Table:
    """4/pi, what stands in the code, and their relative difference."""
    with mpmath.workdps(40):
        exact = 4 / mpmath.pi
        off = abs(mpmath.mpf(SCALE_OF_2) / exact - 1)
        rows = ((mpmath.nstr(exact, 15), SCALE_OF_2, mpmath.nstr(off, 3)),)
    return Table((r"$4/\pi$", "revision 2.0", "relative difference"), rows)


def curves() -> Picture:
    """Update by ratio, and by the size of a constant gradient."""
    ratio = np.linspace(0, 10, 201)
    size = np.logspace(-14, 0, 120)
    by_ratio = [
        Curve("quotient", ratio, ratio),
        Curve("b = 50", ratio, 50 * np.arctan(ratio / 50)),
        Curve("b = 1", ratio, np.arctan(ratio)),
        Curve("a = 4/π", ratio, 4 / math.pi * np.arctan(ratio)),
    ]
    by_size = [
        Curve("quotient, eps = 1e-8", size, size / (size + 1e-8)),
        Curve("a = 4/π", size, 4 / math.pi * np.arctan2(size, size)),
    ]
    panels = [
        Panel(by_ratio, "gradient over divisor", "update", ylim=(0, 10)),
        Panel(by_size, "size of the gradient", "update", xlog=True, ylim=(0, 1.1)),
    ]
    return Picture(panels, "The angle bends towards a bound; the quotient with epsilon vanishes for small gradients")
