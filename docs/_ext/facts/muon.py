"""The page on Muon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from computed import Table
from drawing import Curve, Panel, Picture

A, B, C = 3.4445, -4.7750, 2.0315
Values = npt.NDArray[np.float64]


def six(s: Values) -> Values:
    """Six steps of the polynomial."""
    for _ in range(6):
        s = A * s + B * s**3 + C * s**5
    return s


def curve() -> Picture:
    """The value after six steps."""
    s = np.logspace(-5, 0, 700)
    panel = Panel(
        [Curve("after", s, six(s))], "singular value before", "after six steps", xlog=True, levels=[(1.0, "1")]
    )
    return Picture(
        [panel], "Small singular values grow in proportion; from a thousandth on they lie in a band around 1"
    )


def band() -> Table:
    """Least and largest value after six steps on intervals."""
    rows = []
    for low, high in ((1e-5, 1e-4), (1e-4, 1e-3), (1e-3, 1e-2), (1e-2, 0.1), (0.1, 1.0)):
        found = six(np.linspace(low, high, 100_001))
        rows.append((f"{low:g} to {high:g}", f"{found.min():.3f}", f"{found.max():.3f}"))
    return Table(("before", "least after", "largest after"), tuple(rows))
