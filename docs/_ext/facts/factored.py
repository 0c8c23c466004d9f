"""The page on factored second moments."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from computed import Table
from drawing import Curve, Panel, Picture

Matrix = npt.NDArray[np.float64]
SIZE, STEPS, BETA = 64, 400, 0.99


def rebuilt(v: Matrix) -> Matrix:
    """The estimate from row and column means (PPSF-V-005)."""
    row, col = v.mean(axis=1, keepdims=True), v.mean(axis=0, keepdims=True)
    estimate: Matrix = row / row.mean() * col
    return estimate


def _scales(draw: np.random.Generator) -> dict[str, Matrix]:
    ends, whole = draw.uniform(-0.75, 0.75, (2, SIZE)), draw.uniform(-1.5, 1.5, (SIZE, SIZE))
    return {
        "product": 10 ** (ends[0][:, None] + ends[1]),
        "independent": 10**whole,
        "diagonal": np.maximum(np.eye(SIZE), 0.01),
    }


@cache
def _estimates() -> dict[str, tuple[Matrix, Matrix]]:
    """Per kind of scales the true second moment, and the full estimate of it after all steps."""
    draw = np.random.default_rng(0)
    found = {}
    for name, scale in _scales(draw).items():
        v = np.zeros((SIZE, SIZE))
        for _ in range(STEPS):
            v += (1 - BETA) * ((scale * draw.standard_normal((SIZE, SIZE))) ** 2 - v)
        found[name] = (scale**2, v / (1 - BETA**STEPS))
    return found


def errors() -> Table:
    """How far both estimates are from the truth, for three kinds of scales."""
    rows = []
    for name, (truth, v) in _estimates().items():
        off = [math.sqrt(float(np.mean(np.log2(found / truth) ** 2))) for found in (v, rebuilt(v))]
        rows.append((name, *(f"{value:.2f}" for value in off)))
    return Table(("scales", "full", "factored"), tuple(rows))


def points() -> Picture:
    """The factored estimate by the true second moment, an element in each row of the matrix."""
    curves = [Curve("exact", [1e-3, 1e3], [1e-3, 1e3])]
    for name, marker in (("product", "o"), ("independent", "x")):
        truth, v = _estimates()[name]
        curves.append(Curve(name, truth.diagonal(), rebuilt(v).diagonal(), marker))
    panel = Panel(curves, "true second moment", "factored estimate", xlog=True, ylog=True)
    return Picture(
        [panel], "On the line where scales are products; between the largest and smallest where they are not"
    )


def memory() -> Table:
    """Sizes of the second moment of typical shapes."""
    rows = []
    for shape in ((4096,), (16, 16), (4096, 4096), (320, 320, 3, 3)):
        *others, small, large = sorted(shape) if len(shape) > 1 else (*shape, 1)
        full = math.prod(shape)
        kept = (small + large) * math.prod(others) if len(shape) > 1 and large >= 32 else full
        rows.append((" × ".join(map(str, shape)), f"{4 * full:,}", f"{4 * kept:,}" if kept < full else "not factored"))
    return Table(("shape", "full", "factored"), tuple(rows))
