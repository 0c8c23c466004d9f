"""Numbers that carry a bound on their own rounding error: the source of every tolerance of the judge.

The model is the usual one: a computed operation returns ``(a op b)(1 + e) + h`` with ``|e| <= u`` of the format it
runs in and, for products and quotients, ``|h| <= tiny``. A :class:`Bounded` holds a value in extended precision
and a bound on how far a computation in the declared arithmetic can lie from it. ``docs/judge.md`` derives each rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ppsf_ref.formats import FLOAT32, FLOAT64, Array, Format, nearest

#: np.longdouble carries 64 significand bits on x86-64; where it carries 53 the bounds stay valid, only wider.
CARRIER = np.longdouble
#: Half-ulp errors of a value and of the few operations that form its bound, taken together (16 of them).
CARRIER_UNIT = CARRIER(8) * np.finfo(CARRIER).eps


@dataclass(frozen=True)
class Arithmetic:
    """What an implementation declares of its arithmetic.

    Attributes:
        array: format of elementwise operations.
        scalar: format of group scalars.
        accumulate: format in which sums are accumulated.
        order: ``"any"`` admits every summation order (depth n - 1), ``"pairwise"`` a balanced tree (depth log2 n).
        atan2_ulps: largest error of atan2, in units in the last place.
        sqrt_ulps: the same of the square root, which vectorized libraries do not always round correctly.
        flushes: whether subnormal numbers are read, and written, as zero.
    """

    array: Format = FLOAT32
    scalar: Format = FLOAT64
    accumulate: Format = FLOAT64
    order: Literal["any", "pairwise"] = "any"
    atan2_ulps: float = 1.0
    sqrt_ulps: float = 1.0
    flushes: bool = False

    def gamma(self, terms: int, form: Format | None = None) -> np.longdouble:
        """Relative error of a sum of ``terms`` numbers, with respect to the sum of their magnitudes."""
        depth = max(terms - 1, 0) if self.order == "any" else math.ceil(math.log2(max(terms, 1)))
        reach = depth * (form or self.accumulate).unit
        return reach / (1 - reach) if reach < 1 else CARRIER(np.inf)


@dataclass(frozen=True)
class Allowed:
    """What may be stored: any number in ``[low, high]``; ``value`` is the exact result before rounding.

    ``on_grid`` tells that the edges were rounded into a coarser format, so that the interval holds one or two numbers.
    """

    value: Array
    low: Array
    high: Array
    on_grid: bool = False


class Bounded:
    """A value and a bound on the error of its computed counterpart.

    Args:
        value: exact result, any shape.
        bound: how far the computed number can lie from ``value``; infinite where nothing can be said.
        form: the format the computed number lives in.
        is_array: whether it belongs to a parameter (and pulls scalars into its format) or to a group.
        arithmetic: the declared arithmetic.
    """

    __array_ufunc__ = None
    __slots__ = ("arithmetic", "bound", "form", "is_array", "value")

    def __init__(self, value: Any, bound: Any, form: Format, is_array: bool, arithmetic: Arithmetic) -> None:
        self.value: Array = np.asarray(value, CARRIER)
        bound = np.asarray(bound, CARRIER)
        # Past the largest number the computed result may be infinite: nothing can be said of it.
        tame = np.abs(self.value) + bound <= form.largest
        if not tame.all():
            bound = np.where(tame, bound, np.inf)
        self.bound: Array = bound if bound.shape == self.value.shape else np.broadcast_to(bound, self.value.shape)
        self.form, self.is_array, self.arithmetic = form, is_array, arithmetic

    # --- structure ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def low(self) -> Array:
        return self.value - self.bound

    @property
    def high(self) -> Array:
        return self.value + self.bound

    def _like(self, value: Any, bound: Any) -> Bounded:
        return Bounded(value, bound, self.form, self.is_array, self.arithmetic)

    def reshape(self, *shape: int) -> Bounded:
        return self._like(self.value.reshape(*shape), self.bound.reshape(*shape))

    def __getitem__(self, index: Any) -> Bounded:
        return self._like(self.value[index], self.bound[index])

    def _exactly(self, number: float) -> Array:
        return np.asarray((self.value == number) & (self.bound == 0))

    # --- rounding ----------------------------------------------------------------------------------------------

    def cast(self, form: Format, is_array: bool) -> Bounded:
        """The number after conversion to ``form`` (a widening one changes nothing)."""
        if form is self.form and is_array is self.is_array:
            return self
        if form.precision >= self.form.precision:
            return Bounded(self.value, self.bound, form, is_array, self.arithmetic)
        exact = np.abs(nearest(self.value, form) - self.value)
        inexact = self.bound + form.unit * self.high_magnitude() + form.tiny
        narrow = Bounded(self.value, np.where(self.bound == 0, exact, inexact), form, is_array, self.arithmetic)
        return narrow._flushed()

    def high_magnitude(self) -> Array:
        """The largest magnitude the computed number can have."""
        return np.abs(self.value) + self.bound

    def _meet(self, other: Any) -> tuple[Bounded, Bounded]:
        if not isinstance(other, Bounded):
            other = Bounded(other, 0, FLOAT64, False, self.arithmetic)
        leads = [number for number in (self, other) if number.is_array] or [self, other]
        form = min((lead.form for lead in leads), key=lambda form: form.precision)
        is_array = self.is_array or other.is_array
        return self.cast(form, is_array)._flushed(), other.cast(form, is_array)._flushed()

    def _rounded(self, value: Array, propagated: Array, *, exact: Array, ulps: float = 0.5, h: bool = True) -> Bounded:
        unit = 2 * ulps * self.form.unit + CARRIER_UNIT
        error = propagated + unit * (np.abs(value) + propagated) + (2 * ulps * self.form.tiny if h else 0)
        return self._like(value, np.where(exact, propagated, error))._flushed()

    def _flushed(self) -> Bounded:
        """The number as declared arithmetic reads or writes it: where it may be subnormal, it may be zero."""
        if not self.arithmetic.flushes:
            return self
        small = (self.value != 0) & (np.abs(self.value) - self.bound < self.form.normal)
        if not small.any():
            return self
        # A number that is 0 instead is off by the value, which is less than the bound and a normal number together.
        return self._like(self.value, np.where(small, np.maximum(self.bound, np.abs(self.value)), self.bound))

    # --- operations --------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Bounded:
        a, b = self._meet(other)
        return a._rounded(a.value + b.value, a.bound + b.bound, exact=a._exactly(0) | b._exactly(0), h=False)

    @np.errstate(invalid="ignore")
    def __mul__(self, other: Any) -> Bounded:
        a, b = self._meet(other)
        # Nothing times something is nothing, but not if that may be infinite.
        zero = (a._exactly(0) & np.isfinite(b.bound)) | (b._exactly(0) & np.isfinite(a.bound))
        spread = np.abs(a.value) * b.bound + np.abs(b.value) * a.bound + a.bound * b.bound
        exact = zero | a._exactly(1) | b._exactly(1)
        return a._rounded(a.value * b.value, np.where(zero, 0, spread), exact=exact)

    def __truediv__(self, other: Any) -> Bounded:
        a, b = self._meet(other)
        return a._over(b, np.zeros(np.broadcast_shapes(a.shape, b.shape), bool))

    @np.errstate(invalid="ignore")
    def _over(self, b: Bounded, zero: Array) -> Bounded:
        margin = np.abs(b.value) - b.bound
        known = (margin > 0) & ~zero
        there = (b.value != 0) & ~zero
        quotient = np.where(there, self.value / np.where(there, b.value, 1), 0)
        spread = (self.bound + np.abs(quotient) * b.bound) / np.where(known, margin, 1)
        zero = zero | (self._exactly(0) & known)
        spread = np.where(known, spread, np.where(zero, 0, np.inf))
        return self._rounded(quotient, np.where(zero, 0, spread), exact=zero | (b._exactly(1) & known))

    def over_or_zero(self, other: Bounded, most: float) -> Bounded:
        """The quotient, 0 where ``other`` is exactly 0, and known to lie in [0, ``most``] whatever the rounding."""
        a, b = self._meet(other)
        quotient = a._over(b, np.broadcast_to(b._exactly(0), np.broadcast_shapes(a.shape, b.shape)))
        # An infinite operand means overflow, which may end in inf / inf; only a small divisor is no danger.
        tame = np.isfinite(a.bound) & np.isfinite(b.bound)
        return quotient._like(quotient.value, np.where(tame, np.minimum(quotient.bound, most), np.inf))

    def __neg__(self) -> Bounded:
        return self._like(-self.value, self.bound)

    def __sub__(self, other: Any) -> Bounded:
        return self.__add__(-other)

    def __radd__(self, other: Any) -> Bounded:
        return self.__add__(other)

    def __rmul__(self, other: Any) -> Bounded:
        return self.__mul__(other)

    def __rsub__(self, other: Any) -> Bounded:
        return (-self).__add__(other)

    def __rtruediv__(self, other: Any) -> Bounded:
        numerator = Bounded(other, 0, FLOAT64, False, self.arithmetic)
        return numerator / self

    def __abs__(self) -> Bounded:
        return self._like(np.abs(self.value), self.bound)

    def sqrt(self) -> Bounded:
        return self._flushed()._root()

    def _root(self) -> Bounded:
        middle = np.sqrt(np.maximum(self.value, 0))
        spread = np.maximum(np.sqrt(np.maximum(self.high, 0)) - middle, middle - np.sqrt(np.maximum(self.low, 0)))
        exact = self._exactly(0) | self._exactly(1)
        return self._rounded(middle, spread, exact=exact, ulps=self.arithmetic.sqrt_ulps, h=False)

    def power(self, exponent: float) -> Bounded:
        """A power of a number that is not negative, by a library function good to one unit in the last place."""
        middle = self.value**exponent
        # In a narrow format the exponent is rounded too; over the box of both the extremes lie in corners.
        exponents = {float(exponent), float(nearest(np.asarray(exponent, CARRIER), self.form))}
        corners = [base**e for base in (np.maximum(self.low, 0), self.high) for e in exponents]
        spread = np.max([np.abs(corner - middle) for corner in corners], axis=0)
        return self._rounded(middle, spread, exact=self._exactly(0) | self._exactly(1), ulps=1.0)

    def signed_sqrt(self) -> Bounded:
        """sign(x) sqrt(|x|), which rises with x."""
        low, middle, high = (np.copysign(np.sqrt(np.abs(x)), x) for x in (self.low, self.value, self.high))
        spread = np.maximum(high - middle, middle - low)
        exact = self._exactly(0) | self._exactly(1)
        return self._rounded(middle, spread, exact=exact, ulps=self.arithmetic.sqrt_ulps, h=False)

    def atan2(self, x: Bounded) -> Bounded:
        """Angle of (x, self) for x >= 0: the extremes lie in corners of the box of possible operands."""
        a, b = self._meet(x)
        near, far = np.maximum(b.low, 0), b.high
        angle = np.arctan2(a.value, b.value)
        top = np.arctan2(a.high, np.where(a.high > 0, near, far))
        bottom = np.arctan2(a.low, np.where(a.low > 0, far, near))
        tame = np.isfinite(a.bound) & np.isfinite(b.bound)
        spread = np.where(tame, np.maximum(top - angle, angle - bottom), np.inf)
        return a._rounded(angle, spread, exact=a._exactly(0), ulps=a.arithmetic.atan2_ulps)

    def maximum(self, other: Any) -> Bounded:
        a, b = self._meet(other)
        lead = a.value - b.value
        ahead, behind = np.maximum(a.bound, b.bound - lead), np.maximum(b.bound, a.bound + lead)
        return a._like(np.maximum(a.value, b.value), np.where(lead >= 0, ahead, behind))

    def total(self) -> Bounded:
        """Sum of all elements, in the accumulating format."""
        return self._summed(None, self.size)

    def mean(self, axis: int | None) -> Bounded:
        """Mean along one axis (kept, back in the array's format), or of all elements (in the accumulating format)."""
        terms = self.size if axis is None else self.shape[axis]
        total = self._summed(axis, terms)
        mean = widest([total / float(terms), total * (1 / Bounded(terms, 0, FLOAT64, False, self.arithmetic))])
        return mean if axis is None else mean.cast(self.form, self.is_array)

    def mean_square(self, axis: int | None) -> Bounded:
        """Mean of squares as :meth:`mean` gives it: of the squares, or the square of the 2-norm over the count."""
        terms = self.size if axis is None else self.shape[axis]
        squares = self * self
        norm = squares._summed(axis, terms).sqrt()
        if axis is not None:
            norm = norm.cast(self.form, self.is_array)
        root = squares.mean(axis).sqrt()
        return widest([squares.mean(axis), norm * norm / float(terms), root * root])

    @np.errstate(invalid="ignore")
    def _summed(self, axis: int | None, terms: int) -> Bounded:
        keep = axis is not None
        # Numbers of a group may be added up in their own format, elements are widened to the accumulator.
        formats = (self.arithmetic.accumulate,) if self.is_array else (self.arithmetic.accumulate, self.form)
        form = min(formats, key=lambda form: form.precision)
        parts = self.cast(form, self.is_array)._flushed()
        magnitude = parts.high_magnitude().sum(axis=axis, keepdims=keep)
        relative = self.arithmetic.gamma(terms, form) + CARRIER_UNIT * max(terms - 1, 0)
        error = parts.bound.sum(axis=axis, keepdims=keep) + relative * magnitude
        # Where the magnitudes overflow a partial sum may, however small the sum.
        error = np.where((1 + relative) * magnitude <= form.largest, error, np.inf)
        return Bounded(parts.value.sum(axis=axis, keepdims=keep), error, form, False, self.arithmetic)


def widest(forms: Sequence[Bounded]) -> Bounded:
    """One result computed by several permitted evaluation orders: the bound covers each of them."""
    first = forms[0]
    bounds = [form.bound + np.abs(form.value - first.value) for form in forms]
    return first._like(first.value, np.max(np.broadcast_arrays(*bounds), axis=0))


def stacked(numbers: Sequence[Bounded]) -> Bounded:
    """0-d numbers of one format as a vector."""
    first = numbers[0]
    return first._like(np.stack([n.value for n in numbers]), np.stack([n.bound for n in numbers]))
