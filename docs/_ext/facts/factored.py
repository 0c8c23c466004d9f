"""The page on factored second moments."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from computed import Table

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


def errors() -> Table:
    """How far both estimates are from the truth, for three kinds of scales."""
    draw = np.random.default_rng(0)
    rows = []
    for name, scale in _scales(draw).items():
        v = np.zeros((SIZE, SIZE))
        for _ in range(STEPS):
            v += (1 - BETA) * ((scale * draw.standard_normal((SIZE, SIZE))) ** 2 - v)
        v /= 1 - BETA**STEPS
        off = [math.sqrt(float(np.mean(np.log2(found / scale**2) ** 2))) for found in (v, rebuilt(v))]
        rows.append((name, *(f"{value:.2f}" for value in off)))
    return Table(("scales", "full", "factored"), tuple(rows))


def memory() -> Table:
    """Sizes of the second moment of typical shapes."""
    rows = []
    for shape in ((4096,), (16, 16), (4096, 4096), (320, 320, 3, 3)):
        *others, small, large = sorted(shape) if len(shape) > 1 else (*shape, 1)
        full = math.prod(shape)
        kept = (small + large) * math.prod(others) if len(shape) > 1 and large >= 32 else full
        rows.append((" × ".join(map(str, shape)), f"{4 * full:,}", f"{4 * kept:,}" if kept < full else "not factored"))
    return Table(("shape", "full", "factored"), tuple(rows))
