"""Numbers that carry a bound on their own rounding error: the source of every tolerance of the judge.

The model is the usual one: a computed operation returns ``(a op b)(1 + e) + h`` with ``|e| <= u`` of the format it
runs in and, for products and quotients, ``|h| <= tiny``. A :class:`Bounded` holds a value in extended precision
and a bound on how far a computation in the declared arithmetic can lie from it. ``docs/bounds.md`` derives each rule.

Most numbers are either exactly known everywhere or rounded everywhere, and finite. Operations on those leave out the
cases that cannot occur; what they compute is, bit for bit, what the general rule would (tests/ref/test_shortcuts.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import numpy as np

from ppsf_ref.carrier import CARRIER, CARRIER_UNIT, INFINITY, ZERO, Mask, carried, chosen, everywhere, somewhere
from ppsf_ref.formats import FLOAT32, FLOAT64, Array, Format, nearest


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

    def gamma(self, terms: int, form: Format | None = None) -> Any:
        """Relative error of a sum of ``terms`` numbers, with respect to the sum of their magnitudes."""
        depth = max(terms - 1, 0) if self.order == "any" else math.ceil(math.log2(max(terms, 1)))
        reach = depth * (form or self.accumulate).unit
        return reach / (1 - reach) if reach < 1 else INFINITY


@dataclass(frozen=True)
class Allowed:
    """What may be stored: any number in ``[low, high]``; ``value`` is the exact result before rounding.

    ``on_grid`` tells that the edges were rounded into a coarser format, so that the interval holds one or two numbers.
    """

    value: Array
    low: Array
    high: Array
    on_grid: bool = False


class Kind(Enum):
    """What the bounds of a number are: 0 everywhere; above 0 and finite everywhere; or neither is known."""

    EXACT = "exact"
    ROUNDED = "rounded"
    MIXED = "mixed"


EXACT, ROUNDED, MIXED = Kind
#: Integers up to here are numbers of every format.
WHOLE = 256


def kind_of(bound: Array) -> Kind:
    """The kind of a number with these bounds, all of them finite."""
    inexact = somewhere(bound)
    if not inexact:
        return EXACT
    return ROUNDED if inexact == bound.size else MIXED


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
    __slots__ = ("arithmetic", "bound", "form", "is_array", "kind", "value")

    def __init__(self, value: Any, bound: Any, form: Format, is_array: bool, arithmetic: Arithmetic) -> None:
        value, bound = carried(value), carried(bound)
        # Past the largest number the computed result may be infinite: nothing can be said of it.
        tame = abs(value) + bound <= form.largest
        if everywhere(tame):
            self.kind = kind_of(bound)
        else:
            self.kind, bound = MIXED, chosen(tame, bound, INFINITY)
        self.value: Array = value
        self.bound: Array = bound if bound.shape == value.shape else np.zeros(value.shape, CARRIER) + bound
        self.form, self.is_array, self.arithmetic = form, is_array, arithmetic

    @classmethod
    def _of(
        cls, value: Array, bound: Array, form: Format, is_array: bool, arithmetic: Arithmetic, kind: Kind
    ) -> Bounded:
        """A number that is known to be in range where its bound is finite, of a known kind."""
        made = cls.__new__(cls)
        made.value, made.bound, made.form = value, bound, form
        made.is_array, made.arithmetic, made.kind = is_array, arithmetic, kind
        return made

    @classmethod
    def stored(cls, values: Array, form: Format, arithmetic: Arithmetic) -> Bounded:
        """Float64 numbers that a parameter holds, as operations in ``form`` see them."""
        kept = nearest(values, form)
        if everywhere((kept == values) & np.isfinite(kept)):  # they are numbers of that format
            value = carried(values)
            return cls._of(value, np.zeros(value.shape, CARRIER)[()], form, True, arithmetic, EXACT)
        return cls(values, ZERO, FLOAT64, True, arithmetic).cast(form, True)

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

    def _part(self, value: Any, bound: Any) -> Bounded:
        """Some elements of this number, perhaps with another sign."""
        return Bounded._of(value, bound, self.form, self.is_array, self.arithmetic, self.kind)

    def reshape(self, *shape: int) -> Bounded:
        return self._part(self.value.reshape(*shape), self.bound.reshape(*shape))

    def __getitem__(self, index: Any) -> Bounded:
        return self._part(self.value[index], self.bound[index])

    def _exactly(self, *numbers: float) -> Mask:
        """Where the number is certainly one of these."""
        if self.kind is ROUNDED:
            return False
        same = self.value == numbers[0]
        for number in numbers[1:]:
            same = same | (self.value == number)
        if self.kind is MIXED:
            same = same & (self.bound == 0)
        return same if somewhere(same) else False

    # --- rounding ----------------------------------------------------------------------------------------------

    def cast(self, form: Format, is_array: bool) -> Bounded:
        """The number after conversion to ``form`` (a widening one changes nothing)."""
        if form is self.form and is_array is self.is_array:
            return self
        if form.precision >= self.form.precision:
            if form.largest >= self.form.largest:
                return Bounded._of(self.value, self.bound, form, is_array, self.arithmetic, self.kind)
            return Bounded(self.value, self.bound, form, is_array, self.arithmetic)
        return Bounded(self.value, self._converted(form), form, is_array, self.arithmetic)._flushed()

    def _converted(self, form: Format) -> Array:
        """The bound after a narrowing conversion."""
        if self.kind is EXACT:
            return abs(nearest(self.value, form) - self.value)
        inexact = self.bound + form.unit * self.high_magnitude() + form.tiny
        if self.kind is ROUNDED:
            return inexact
        return np.where(self.bound == 0, abs(nearest(self.value, form) - self.value), inexact)

    def high_magnitude(self) -> Array:
        """The largest magnitude the computed number can have."""
        return abs(self.value) if self.kind is EXACT else abs(self.value) + self.bound

    def in_format(self) -> Array:
        """The value, rounded to the format it is held in."""
        return nearest(self.value, self.form)

    def _meet(self, other: Any) -> tuple[Bounded, Bounded]:
        if not isinstance(other, Bounded):
            if type(other) is int and -WHOLE <= other <= WHOLE:
                return self._flushed(), Bounded._of(
                    carried(other), ZERO, self.form, self.is_array, self.arithmetic, EXACT
                )
            other = Bounded(other, ZERO, FLOAT64, False, self.arithmetic)
        if self.is_array is other.is_array:
            form = self.form if self.form.precision <= other.form.precision else other.form
        else:
            form = self.form if self.is_array else other.form
        is_array = self.is_array or other.is_array
        return self._read(form, is_array), other._read(form, is_array)

    def _read(self, form: Format, is_array: bool) -> Bounded:
        """The number as an operand: a conversion reads it in its own format, the operation in ``form``."""
        return self._flushed().cast(form, is_array)._flushed()

    def _rounded(
        self, value: Array, propagated: Any, *, exact: Mask = False, ulps: float = 0.5, h: bool = True
    ) -> Bounded:
        unit = 2 * ulps * self.form.unit + CARRIER_UNIT
        reach = abs(value) + propagated
        error = propagated + unit * reach
        if h:
            error = error + 2 * ulps * self.form.tiny
        bound = error if exact is False else chosen(exact, propagated, error)
        # The bound is at most unit * reach + tiny above what was propagated: half the range leaves room for both.
        if bound.shape == value.shape and everywhere(reach <= self.form.largest / (2 + 2 * unit)):
            kind = ROUNDED if h and exact is False else kind_of(bound)
            return Bounded._of(value, bound, self.form, self.is_array, self.arithmetic, kind)._flushed()
        return self._like(value, bound)._flushed()

    def _flushed(self) -> Bounded:
        """The number as declared arithmetic reads or writes it: where it may be subnormal, it may be zero."""
        if not self.arithmetic.flushes:
            return self
        small = (self.value != 0) & (abs(self.value) - self.bound < self.form.normal)
        if not somewhere(small):
            return self
        # A number that is 0 instead is off by the value, which is less than the bound and a normal number together.
        return self._like(self.value, chosen(small, np.maximum(self.bound, abs(self.value)), self.bound))

    # --- operations --------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Bounded:
        a, b = self._meet(other)
        return a._rounded(a.value + b.value, a.bound + b.bound, exact=a._exactly(0) | b._exactly(0), h=False)

    def __mul__(self, other: Any) -> Bounded:
        a, b = self._meet(other)
        if a.kind is MIXED or b.kind is MIXED:
            return a._times(b)
        exact = a._exactly(0, 1) | b._exactly(0, 1)
        if b.kind is EXACT:
            spread = ZERO if a.kind is EXACT else abs(b.value) * a.bound
        elif a.kind is EXACT:
            spread = abs(a.value) * b.bound
        else:
            spread = abs(a.value) * b.bound + abs(b.value) * a.bound + a.bound * b.bound
        return a._rounded(a.value * b.value, spread, exact=exact)

    @np.errstate(invalid="ignore")
    def _times(self, b: Bounded) -> Bounded:
        # Nothing times something is nothing, but not if that may be infinite.
        zero = (self._exactly(0) & np.isfinite(b.bound)) | (b._exactly(0) & np.isfinite(self.bound))
        spread = abs(self.value) * b.bound + abs(b.value) * self.bound + self.bound * b.bound
        exact = zero | self._exactly(1) | b._exactly(1)
        return self._rounded(self.value * b.value, chosen(zero, ZERO, spread), exact=exact)

    def __truediv__(self, other: Any) -> Bounded:
        a, b = self._meet(other)
        return a._over(b, zero=False)

    def _over(self, b: Bounded, zero: Mask) -> Bounded:
        """The quotient, and 0 where ``zero`` says so."""
        margin = abs(b.value) if b.kind is EXACT else abs(b.value) - b.bound
        if zero is not False or self.kind is MIXED or b.kind is MIXED or not everywhere(margin > 0):
            return self._over_any(b, margin, zero)
        quotient = self.value / b.value
        spread = self.bound / margin if b.kind is EXACT else (self.bound + abs(quotient) * b.bound) / margin
        return self._rounded(quotient, spread, exact=self._exactly(0) | b._exactly(1))

    @np.errstate(invalid="ignore")
    def _over_any(self, b: Bounded, margin: Array, zero: Mask) -> Bounded:
        zero = np.broadcast_to(zero, np.broadcast_shapes(self.shape, b.shape))
        known = (margin > 0) & ~zero
        there = (b.value != 0) & ~zero
        quotient = np.where(there, self.value / np.where(there, b.value, 1), 0)
        spread = (self.bound + abs(quotient) * b.bound) / np.where(known, margin, 1)
        zero = zero | (self._exactly(0) & known)
        spread = np.where(known, spread, np.where(zero, 0, np.inf))
        return self._rounded(
            carried(quotient), carried(np.where(zero, 0, spread)), exact=zero | (b._exactly(1) & known)
        )

    def over_or_zero(self, other: Bounded, most: float) -> Bounded:
        """The quotient, 0 where ``other`` is exactly 0, and known to lie in [0, ``most``] whatever the rounding."""
        a, b = self._meet(other)
        quotient = a._over(b, b._exactly(0))
        bound = np.minimum(quotient.bound, most)
        if a.kind is MIXED or b.kind is MIXED:
            # An infinite operand means overflow, which may end in inf / inf; only a small divisor is no danger.
            bound = np.where(np.isfinite(a.bound) & np.isfinite(b.bound), bound, np.inf)
        return quotient._like(quotient.value, bound)

    def __neg__(self) -> Bounded:
        return self._part(-self.value, self.bound)

    def __sub__(self, other: Any) -> Bounded:
        return self.__add__(-other)

    def __radd__(self, other: Any) -> Bounded:
        return self.__add__(other)

    def __rmul__(self, other: Any) -> Bounded:
        return self.__mul__(other)

    def __rsub__(self, other: Any) -> Bounded:
        return (-self).__add__(other)

    def __rtruediv__(self, other: Any) -> Bounded:
        numerator = Bounded(other, ZERO, FLOAT64, False, self.arithmetic)
        return numerator / self

    def __abs__(self) -> Bounded:
        return self._part(abs(self.value), self.bound)

    def sqrt(self) -> Bounded:
        return self._flushed()._root()

    def _root(self) -> Bounded:
        middle = np.sqrt(np.maximum(self.value, ZERO))
        exact = self._exactly(0, 1)
        if self.kind is EXACT:
            spread = ZERO
        else:
            rise = np.sqrt(np.maximum(self.high, ZERO)) - middle
            spread = np.maximum(rise, middle - np.sqrt(np.maximum(self.low, ZERO)))
        return self._rounded(middle, spread, exact=exact, ulps=self.arithmetic.sqrt_ulps, h=False)

    def power(self, exponent: float) -> Bounded:
        """A power of a number that is not negative, by a library function good to one unit in the last place."""
        return self._flushed()._raised(exponent)

    def _raised(self, exponent: float) -> Bounded:
        middle = self.value**exponent
        # In a narrow format the exponent is rounded too; over the box of both the extremes lie in corners.
        exponents = {float(exponent), float(nearest(np.asarray(exponent, CARRIER), self.form))}
        corners = [base**e for base in (np.maximum(self.low, ZERO), self.high) for e in exponents]
        spread = largest([abs(corner - middle) for corner in corners])
        return self._rounded(middle, spread, exact=self._exactly(0, 1), ulps=1.0)

    def signed_sqrt(self) -> Bounded:
        """sign(x) sqrt(|x|), which rises with x."""
        return self._flushed()._signed_root()

    def _signed_root(self) -> Bounded:
        low, middle, high = (np.copysign(np.sqrt(abs(x)), x) for x in (self.low, self.value, self.high))
        spread = np.maximum(high - middle, middle - low)
        exact = self._exactly(0, 1)
        return self._rounded(middle, spread, exact=exact, ulps=self.arithmetic.sqrt_ulps, h=False)

    def atan2(self, x: Bounded) -> Bounded:
        """Angle of (x, self) for x >= 0: the extremes lie in corners of the box of possible operands."""
        a, b = self._meet(x)
        near, far = np.maximum(b.low, ZERO), b.high
        angle = np.arctan2(a.value, b.value)
        top = np.arctan2(a.high, chosen(a.high > 0, near, far))
        bottom = np.arctan2(a.low, chosen(a.low > 0, far, near))
        spread = np.maximum(top - angle, angle - bottom)
        if a.kind is MIXED or b.kind is MIXED:
            spread = np.where(np.isfinite(a.bound) & np.isfinite(b.bound), spread, np.inf)
        return a._rounded(angle, spread, exact=a._exactly(0), ulps=a.arithmetic.atan2_ulps)

    def maximum(self, other: Any) -> Bounded:
        a, b = self._meet(other)
        lead = a.value - b.value
        ahead, behind = np.maximum(a.bound, b.bound - lead), np.maximum(b.bound, a.bound + lead)
        return a._like(np.maximum(a.value, b.value), chosen(lead >= 0, ahead, behind))

    def total(self) -> Bounded:
        """Sum of all elements, in the accumulating format."""
        return self._summed(None, self.size)

    def mean(self, axis: int | None) -> Bounded:
        """Mean along one axis (kept, back in the array's format), or of all elements (in the accumulating format)."""
        terms = self.size if axis is None else self.shape[axis]
        total = self._summed(axis, terms)
        mean = widest([total / float(terms), total * (1 / Bounded(terms, ZERO, FLOAT64, False, self.arithmetic))])
        return mean if axis is None else mean.cast(self.form, self.is_array)

    def mean_square(self, axis: int | None) -> Bounded:
        """Mean of squares as :meth:`mean` gives it: of the squares, or the square of the 2-norm over the count."""
        terms = self.size if axis is None else self.shape[axis]
        squares = self * self
        norm = squares._summed(axis, terms).sqrt()
        if axis is not None:
            norm = norm.cast(self.form, self.is_array)
        mean = squares.mean(axis)
        root = mean.sqrt()
        return widest([mean, norm * norm / float(terms), root * root])

    @np.errstate(invalid="ignore")
    def _summed(self, axis: int | None, terms: int) -> Bounded:
        keep = axis is not None
        # Numbers of a group may be added up in their own format, elements are widened to the accumulator.
        form = self.arithmetic.accumulate
        if not self.is_array and self.form.precision < form.precision:
            form = self.form
        parts = self._read(form, self.is_array)
        magnitude = parts.high_magnitude().sum(axis=axis, keepdims=keep)
        relative = self.arithmetic.gamma(terms, form) + CARRIER_UNIT * max(terms - 1, 0)
        error = relative * magnitude
        if parts.kind is not EXACT:
            error = parts.bound.sum(axis=axis, keepdims=keep) + error
        if self.arithmetic.flushes:  # every partial sum may be 0 instead of a subnormal number, unless all are 0
            lost = (1 + relative) * max(terms - 1, 0) * form.normal
            error = error + np.where(magnitude > 0, lost, ZERO)
        # Where the magnitudes overflow a partial sum may, however small the sum.
        tame = (1 + relative) * magnitude <= form.largest
        if not everywhere(tame):
            error = np.where(tame, error, np.inf)
        return Bounded(parts.value.sum(axis=axis, keepdims=keep), error, form, False, self.arithmetic)


def largest(bounds: Sequence[Array]) -> Array:
    """The largest of several bounds, element by element."""
    found = bounds[0]
    for bound in bounds[1:]:
        found = np.maximum(found, bound)
    return found


def widest(forms: Sequence[Bounded]) -> Bounded:
    """One result computed by several permitted evaluation orders: the bound covers each of them."""
    first = forms[0]
    others = [form.bound + abs(form.value - first.value) for form in forms[1:]]
    return first._like(first.value, largest([first.bound, *others]))


def stacked(numbers: Sequence[Bounded]) -> Bounded:
    """0-d numbers of one format as a vector."""
    first = numbers[0]
    return first._like(np.stack([n.value for n in numbers]), np.stack([n.bound for n in numbers]))
