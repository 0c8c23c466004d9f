"""Newton-Schulz steps on matrices, and how far a computation of them can lie from the exact result.

A step applies an odd polynomial p to the singular values of a matrix. Bounds of elements, carried through the matrix
products of several steps, would say nothing; but a perturbation of a matrix changes p of it, in the Frobenius norm, by
no more than a Lipschitz constant of p on the singular values there are. ``docs/bounds-muon.md`` derives what is here.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ppsf_ref.bounded import Arithmetic, Bounded
from ppsf_ref.carrier import CARRIER, CARRIER_UNIT
from ppsf_ref.formats import Array

#: Singular values up to here are followed; p of Muon maps [0, REACH] to [0, 1.2025].
REACH = 1.25
#: Cells of [0, REACH] on which Lipschitz constants are bounded.
CELLS = 2**16
#: What norms and singular values taken in float64 may be short of, by far.
SLACK = 1e-9


class Polynomial(NamedTuple):
    """p(s) = linear s + cubic s^3 + quintic s^5."""

    linear: float
    cubic: float
    quintic: float


class Turned(NamedTuple):
    """A matrix after its steps, its Frobenius norm, and its inner product with the matrix it came from."""

    matrix: Any
    length: Any
    along: Any


def iterated(x: Array, p: Polynomial, steps: int) -> Array:
    """The matrix after ``steps`` steps, in the dtype of ``x`` (objects too)."""
    wide = x if x.shape[0] <= x.shape[1] else x.T
    for _ in range(steps):
        wide = _step(wide, p)
    return wide if x.shape[0] <= x.shape[1] else wide.T


def _step(x: Array, p: Polynomial) -> Array:
    square = x @ x.T
    return np.asarray(p.linear * x + (p.cubic * square + p.quintic * (square @ square)) @ x)


def bounded(g: Bounded, x: Bounded, p: Polynomial, steps: int) -> Turned:
    """As :func:`iterated`, of ``x``, with bounds; ``g`` is the matrix that ``along`` is formed with."""
    matrix, error = _followed(x, p, steps)
    # A row or a column of zeros stays one, whatever is rounded.
    live = np.any((x.value != 0) | (x.bound != 0), axis=1)[:, None] & np.any((x.value != 0) | (x.bound != 0), axis=0)
    turned = x._like(matrix, np.where(live, error, 0))
    return Turned(turned, _length(turned, error), _along(g, turned, error))


def _length(x: Bounded, error: Any) -> Bounded:
    """The norm as an array's number: who scales the matrix first rounds its elements."""
    kind = x.arithmetic
    value = _norm(x.value)
    relative = kind.gamma(x.size) + 4 * x.form.unit + CARRIER_UNIT * max(x.size, 1)
    underflow = np.sqrt(CARRIER(x.size) * x.form.tiny) if value or error else 0
    return Bounded(value, error + relative * (value + error) + underflow, x.form, True, kind)


def _along(g: Bounded, x: Bounded, error: Any) -> Bounded:
    kind = x.arithmetic
    sizes = g.high_magnitude()
    magnitude = (sizes * np.abs(x.value)).sum() + _norm(sizes) * error
    relative = kind.gamma(x.size) + x.form.unit + CARRIER_UNIT * max(x.size, 1)
    spread = _norm(sizes) * error + (g.bound * np.abs(x.value)).sum()
    bound = spread + relative * magnitude + (x.size * x.form.tiny if magnitude else 0)
    bound = bound if magnitude <= kind.accumulate.largest else np.inf
    return Bounded((g.value * x.value).sum(), bound, kind.accumulate, False, kind)


def _norm(x: Array) -> Any:
    return np.sqrt((x * x).sum())


# --------------------------------------------------------------------------------------------------- error of all steps


class _Stage(NamedTuple):
    """A matrix on the way: what its own step added to the error, and the range of its singular values with error."""

    added: Any
    least: float
    most: float


def _followed(start: Bounded, p: Polynomial, steps: int) -> tuple[Array, Any]:
    """The matrix after all steps, and a bound of its error in the Frobenius norm."""
    tall = start.shape[0] > start.shape[1]
    x, added = (start.value.T if tall else start.value), _norm(start.bound)
    if not x.size or not (x.any() or added):
        return start.value, CARRIER(0)
    constants, stages = lipschitz(p, steps), list[_Stage]()
    for k in range(steps + 1):
        error = added + sum(stage.added * _largest(constants[k - i], stage) for i, stage in enumerate(stages))
        if not np.isfinite(error):
            return iterated(start.value, p, steps), CARRIER(np.inf)
        if k == steps:
            break
        sizes = np.linalg.svd(np.asarray(x, np.float64), compute_uv=False)
        most = float((sizes[0] + error) * (1 + SLACK))
        stages.append(_Stage(added, max(float(sizes[-1] - error - SLACK), 0.0), most))
        added = step_error(x, error, most, p, start.arithmetic)
        x = _step(x, p)
    return (x.T if tall else x), error


def _largest(constant: Array, stage: _Stage) -> float:
    """The Lipschitz constant on the singular values that a stage may have; infinite beyond :data:`REACH`."""
    if stage.most >= REACH:
        return np.inf
    first, last = (int(value / REACH * CELLS) for value in (stage.least, stage.most))
    return float(constant[first : last + 1].max())


def step_error(x: Array, error: Any, most: float, p: Polynomial, kind: Arithmetic) -> Any:
    """By how much one computed step misses the step on the computed matrix it starts from, in the Frobenius norm.

    Args:
        x: the exact matrix, not taller than wide.
        error: how far the computed one can lie from it.
        most: at least the largest singular value of the computed one.
    """
    rows, columns = x.shape
    unit, tiny = kind.array.unit + CARRIER_UNIT, kind.array.tiny
    length, width = _norm(x) + error, _absolute_norm(x) + error
    inner = _of_products(columns, kind)
    gram_error = inner * width * length + rows * columns * tiny
    gram = _absolute_norm(x @ x.T) + 2 * most * error + gram_error
    outer = _of_products(rows, kind)
    slope = abs(p.cubic) + 2 * abs(p.quintic) * gram
    from_products = slope * (most * gram_error + outer * length * gram)
    thrice = (1 + unit) ** 3 - 1
    from_sums = thrice * length * (abs(p.linear) + 2 * gram * (abs(p.cubic) + abs(p.quintic) * gram))
    return (from_products + from_sums) * (1 + outer) ** 4 + 4 * slope * columns**2 * tiny


def _of_products(terms: int, kind: Arithmetic) -> Any:
    """Relative error of an inner product in a matrix product, which accumulates in the format of arrays at worst."""
    form = min((kind.array, kind.accumulate), key=lambda form: form.precision)
    return (1 + kind.gamma(terms, form) + CARRIER_UNIT * terms) * (1 + form.unit + CARRIER_UNIT) - 1


def _absolute_norm(x: Array) -> Any:
    """The 2-norm of the magnitudes of a matrix."""
    return np.linalg.norm(np.abs(np.asarray(x, np.float64)), 2) * (1 + SLACK)


# -------------------------------------------------------------------------------------------------- Lipschitz constants


@functools.lru_cache(maxsize=8)
def lipschitz(p: Polynomial, steps: int) -> Array:
    """Bounds for p, p(p), ... as functions of matrices: one row for each number of steps from 0, one column per cell.

    An entry is at least the derivative, and at least the quotient of function and argument, anywhere in its cell;
    infinite where the iteration leaves [-REACH, REACH].
    """
    edges = np.linspace(0, REACH, CELLS + 1)
    middle, radius = (edges[1:] + edges[:-1]) / 2, np.full(CELLS, REACH / CELLS / 2)
    rise, rows = np.ones(CELLS), [np.ones(CELLS)]
    for _ in range(steps):
        top = np.abs(middle) + radius
        bend = 6 * abs(p.cubic) * top + 20 * abs(p.quintic) * top**3
        slope = abs(p.linear + 3 * p.cubic * middle**2 + 5 * p.quintic * middle**4) + bend * radius
        rise = np.where(top <= REACH, rise * slope, np.inf)
        middle, radius = p.linear * middle + p.cubic * middle**3 + p.quintic * middle**5, slope * radius
        quotient = (np.abs(middle[1:]) + radius[1:]) / edges[1:-1]
        steepest = np.maximum.accumulate(rise)  # a function that is 0 at 0 rises no faster to its value
        rows.append(np.maximum(rise, np.minimum(steepest, np.append(np.inf, quotient))) * (1 + SLACK))
    return np.asarray(rows)
