"""The page on clipping."""

from __future__ import annotations

import numpy as np

from drawing import Curve, Panel, Picture


def curves() -> Picture:
    """Root mean square after clipping by that before."""
    before = np.linspace(0, 10, 201)
    lines = [
        Curve("none", before, before),
        Curve("C-010 (2.0)", before, before / np.sqrt(np.maximum(1, before))),
        Curve("C-001, b = 1 (1.9)", before, before / np.maximum(1, before)),
    ]
    panel = Panel(lines, "RMS of the update", "RMS after clipping")
    return Picture([panel], "Hard clipping stops at 1, soft clipping goes on with the square root")
