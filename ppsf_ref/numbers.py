"""The three number types the step runs in, and the few functions on them that operators do not cover.

A clause is written once, with ``+ - * /`` and the functions below. What flows through it decides what it computes:

======================  =======================================================================================
:class:`Float64`        float64 arrays: the reference
:class:`Precise`        arrays of 50-digit mpmath numbers: checks the reference's own rounding
:class:`Running`        :class:`~ppsf_ref.bounded.Bounded`: the reference with a bound for a declared arithmetic
======================  =======================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import mpmath
import numpy as np

from ppsf_ref import law, newton_schulz
from ppsf_ref.bounded import Allowed, Arithmetic, Bounded, stacked, widest
from ppsf_ref.formats import FLOAT32, FLOAT64, Array, Format, down, nearest, up

#: A number or an array of numbers of one of the three types.
Number = Any

DIGITS = 50
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class Numbers(Protocol):
    """Lifts plain float64 data into a number type."""

    def scalar(self, value: float) -> Number: ...
    def array(self, value: Array) -> Number: ...


class Float64:
    """Plain float64."""

    def scalar(self, value: float) -> Number:
        return np.float64(value)

    def array(self, value: Array) -> Number:
        return np.asarray(value, np.float64)


class Precise:
    """50 decimal digits."""

    def __init__(self) -> None:
        self._lift = np.frompyfunc(mpmath.mpf, 1, 1)
        mpmath.mp.dps = DIGITS

    def scalar(self, value: float) -> Number:
        return mpmath.mpf(float(value))

    def array(self, value: Array) -> Number:
        return np.asarray(self._lift(np.asarray(value, np.float64)), object)


class Running:
    """Values with a running error bound for ``arithmetic``."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self.arithmetic = arithmetic

    def scalar(self, value: float) -> Number:
        return Bounded(value, 0, FLOAT64, False, self.arithmetic).cast(self.arithmetic.scalar, False)

    def array(self, value: Array) -> Number:
        return Bounded.stored(value, self.arithmetic.array, self.arithmetic)


def _is_precise(x: Number) -> bool:
    return isinstance(x, mpmath.mpf) or (isinstance(x, np.ndarray) and x.dtype.hasobject)


def _each(function: Callable[..., Any], *args: Number) -> Number:
    return np.frompyfunc(function, len(args), 1)(*args)


def sqrt(x: Number) -> Number:
    """Square root."""
    if isinstance(x, Bounded):
        return x.sqrt()
    return _each(mpmath.sqrt, x) if _is_precise(x) else np.sqrt(x)


def atan2(y: Number, x: Number) -> Number:
    """Angle of the point (x, y), x >= 0."""
    if isinstance(y, Bounded):
        return y.atan2(x)
    return _each(mpmath.atan2, y, x) if _is_precise(y) else np.arctan2(y, x)


def power(x: Number, exponent: float) -> Number:
    """x to a positive power, x >= 0."""
    return x.power(exponent) if isinstance(x, Bounded) else x**exponent


def signed_sqrt(x: Number) -> Number:
    """sign(x) sqrt(|x|): continuous and rising."""
    if isinstance(x, Bounded):
        return x.signed_sqrt()
    if _is_precise(x):
        return _each(lambda e: mpmath.sign(e) * mpmath.sqrt(abs(e)), x)
    return np.copysign(np.sqrt(np.abs(x)), x)


def maximum(a: Number, b: Number) -> Number:
    """Larger of two numbers; 1-Lipschitz, so no guard."""
    if isinstance(a, Bounded):
        return a.maximum(b)
    return _each(max, a, b) if _is_precise(a) else np.maximum(a, b)


def minimum(a: Number, b: Number) -> Number:
    """Smaller of two numbers; 1-Lipschitz, so no guard."""
    return -maximum(-a, -b)


def share(a: Number, b: Number, most: float) -> Number:
    """a / b for 0 <= a <= most * b / 2, and 0 where b is 0.

    The factor 2 leaves room for a ``b`` that was rounded to a subnormal number. With ``most`` infinite any ``a`` is
    allowed.
    """
    if isinstance(a, Bounded):
        return a.over_or_zero(b, most)
    if _is_precise(a):
        return _each(lambda p, q: p / q if q else mpmath.mpf(0), a, b)
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b))), where=b != 0)


def lerp(a: Number, b: Number, weight: Number) -> Number:
    """(1 - weight) a + weight b, in any of its usual evaluation orders."""
    if not isinstance(a, Bounded):
        return a + weight * (b - a)
    weight = weight.cast(a.form, True)
    return widest([a + weight * (b - a), b - (1 - weight) * (b - a), (1 - weight) * a + weight * b])


def shrunk(a: Number, share: Number) -> Number:
    """(1 - share) a, in either of its usual evaluation orders."""
    if not isinstance(a, Bounded):
        return a - share * a
    return widest([a - share * a, (1 - share) * a])


def over_scale(a: Number, scale: Number) -> Number:
    """a / scale for one scale: by division, or by its reciprocal."""
    return widest([a / scale, a * (1 / scale)]) if isinstance(a, Bounded) else a / scale


def quotient(a: Number, b: Number, factor: Number) -> Number:
    """a / b; or ((factor a) / b) / factor, as whoever multiplies the quotient by the factor may as well do."""
    if not isinstance(a, Bounded) or not factor.value:
        return a / b
    return widest([a / b, (factor * a) / b * (1 / factor)])


def turned(g: Number, x: Number, p: newton_schulz.Polynomial, steps: int) -> newton_schulz.Turned:
    """A matrix after Newton-Schulz steps, its norm and its inner product with ``g``; the products of matrices are
    formed on the shorter side."""
    if isinstance(x, Bounded):
        return newton_schulz.bounded(g, x, p, steps)
    matrix = newton_schulz.iterated(x, p, steps)
    return newton_schulz.Turned(matrix, sqrt(total(matrix * matrix)), total(g * matrix))


def total(x: Number) -> Number:
    """Sum of all elements."""
    return x.total() if isinstance(x, Bounded) else np.sum(x)


def mean(x: Number, axis: int | None = None) -> Number:
    """Mean along one axis, which is kept, or of all elements."""
    return x.mean(axis) if isinstance(x, Bounded) else np.mean(x, axis=axis, keepdims=axis is not None)


def mean_square(x: Number, axis: int | None = None) -> Number:
    """Mean of squares: of the squares, or the square of the 2-norm over the count."""
    return x.mean_square(axis) if isinstance(x, Bounded) else mean(x * x, axis)


def add_up(numbers: Sequence[Number], zero: Number) -> Number:
    """Sum of 0-d numbers, in any order."""
    if numbers and isinstance(numbers[0], Bounded):
        return stacked(numbers).total() if len(numbers) > 1 else numbers[0]
    return sum(numbers, zero)


def is_positive(x: Number, guard: str, or_zero: bool = False) -> bool:
    """A jump guard ``x > 0``, or ``x >= 0``: decided by the value where the bound allows, else open."""
    value, bound = (x.value, x.bound) if isinstance(x, Bounded) else (x, 0)
    return law.decide(guard, bool(value >= 0 if or_zero else value > 0), bool(np.abs(value) > bound or bound == 0))


def is_finite(x: Number, guard: str) -> bool:
    """A jump guard: neither NaN nor infinite; open beyond the range of float32, where no clause binds (PPSF-R-001)."""
    value = float(value_of(x))
    finite = math.isfinite(value)
    return law.decide(guard, finite, not finite or abs(value) <= _FLOAT32_MAX)


def indicator(x: Number) -> Number:
    """1 where x > 0, else 0, element by element; where the bound leaves that open, either."""
    if isinstance(x, Bounded):
        return _chosen(x, x.value > 0, 0.5)
    return _each(lambda e: mpmath.mpf(e > 0), x) if _is_precise(x) else np.asarray(x > 0, x.dtype)


def sign(x: Number) -> Number:
    """-1, 0 or 1, element by element; where the bound leaves that open, any of them; of NaN, NaN."""
    if isinstance(x, Bounded):
        found, unknown = _chosen(x, np.sign(x.value), 0.0), x.value != x.value  # NaN; values may be fractions
        return x._like(np.where(unknown, x.value, found.value), np.where(unknown, np.inf, found.bound))
    return _each(mpmath.sign, x) if _is_precise(x) else np.sign(x)


def _chosen(x: Bounded, outcome: Array, middle: float) -> Bounded:
    certain = (np.abs(x.value) > x.bound) | (x.bound == 0)
    return x._like(np.where(certain, outcome, middle), np.where(certain, 0, 1 - middle))


def value_of(x: Number) -> Array:
    """The value without its bound, in the format it is held in (exact decisions on stored numbers)."""
    return x.in_format() if isinstance(x, Bounded) else x


def as_array(x: Number) -> Number:
    """50-digit numbers as an array, also where arithmetic has made one number of an array without dimensions."""
    return np.asarray(x, object) if _is_precise(x) else x


def round_nearest(x: Number, form: Format) -> Number:
    """Stored value of ``x``: rounded once, to nearest. 50-digit numbers are left unrounded."""
    if isinstance(x, Allowed):
        return x
    if _is_precise(x):
        return as_array(x)
    if not isinstance(x, Bounded):
        return nearest(x, form)
    if x.is_array and x.form.precision <= form.precision:  # the last operation was that rounding
        return Allowed(x.value, x.low, x.high)
    return Allowed(x.value, nearest(x.low, form), nearest(x.high, form), on_grid=True)


def round_either_way(x: Number, form: Format) -> Number:
    """Stored value of ``x`` where only its two neighbours in ``form`` are known; a plain number is rounded down."""
    if isinstance(x, Bounded):
        return Allowed(x.value, down(x.low, form), up(x.high, form), on_grid=True)
    return as_array(x) if _is_precise(x) else down(x, form)


def round_exact(x: Number, form: Format) -> Number:
    """An exactly known number rounded to nearest; what comes out is exactly known again."""
    if isinstance(x, Bounded):
        return Bounded(nearest(x.value, form), 0 * x.bound, x.form, x.is_array, x.arithmetic)
    return x if _is_precise(x) else nearest(x, form)


def round_by(x: Number, rounding: Callable[[Array], Array]) -> Number:
    """Stored value of ``x`` under a nondecreasing rounding of float32 numbers."""
    if _is_precise(x):
        return as_array(x)
    if not isinstance(x, Bounded):
        return rounding(nearest(x, FLOAT32))
    low, high = (rounding(nearest(edge, FLOAT32)) for edge in (x.low, x.high))
    return Allowed(x.value, low, high, on_grid=True)
