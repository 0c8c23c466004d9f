"""The rules of :mod:`ppsf_ref.bounded` on a carrier of 50 digits, so that values and bounds are alike on every machine.

``np.longdouble`` has 53, 64 or 113 bits, as the machine likes, and the last bits of its functions differ between
libraries. Vectors are compared byte for byte, so here each number is one of mpmath, which computes with integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

from ppsf_conformance.vectors.floats import rounded
from ppsf_ref.bounded import Arithmetic, Bounded, widest
from ppsf_ref.formats import FLOAT64, Array, Format
from ppsf_ref.numbers import DIGITS, Number

#: More than the errors of the carrier, by far, and far less than the unit of any format.
SLACK = 1 + mpmath.mpf(2) ** -100


def _number(x: Any) -> Any:
    return x if isinstance(x, mpmath.mpf) else mpmath.mpf(float(x))


def _each(function: Callable[..., Any], *arrays: Any) -> Array:
    return np.asarray(np.frompyfunc(function, len(arrays), 1)(*arrays), object)


def lifted(x: Any) -> Array:
    """An array of 50-digit numbers."""
    return _each(_number, np.asarray(x, object))


def _scaled(bound: Any, size: Any) -> Any:
    """bound * size, where nothing is known if the bound is infinite."""
    return mpmath.inf if mpmath.isinf(bound) or mpmath.isinf(size) else bound * size


def _adds_exactly(parts: Exact, form: Format) -> bool:
    """Whether any order of summation is exact: all terms are multiples of a unit of which their sizes make few."""
    terms = [v for v in parts.value.reshape(-1) if v]
    if not terms or not all(b == 0 for b in parts.bound.reshape(-1)):
        return not parts.bound.any()
    unit = min(v.man_exp[1] for v in terms)
    return bool(
        sum(map(abs, terms)) <= mpmath.ldexp(1, unit + form.precision) and unit >= form.emin - form.precision + 1
    )


class Exactly:
    """Lifts float64 data into :class:`Exact` for ``arithmetic``."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        mpmath.mp.dps = DIGITS
        self.arithmetic = arithmetic

    def scalar(self, value: float) -> Number:
        return Exact(value, 0, FLOAT64, False, self.arithmetic).cast(self.arithmetic.scalar, False)

    def array(self, value: Array) -> Number:
        return Exact(value, 0, FLOAT64, True, self.arithmetic).cast(self.arithmetic.array, True)


class Exact(Bounded):
    """A value to 50 digits, and a bound of the error of its computed counterpart."""

    __slots__ = ()

    def __init__(self, value: Any, bound: Any, form: Format, is_array: bool, arithmetic: Arithmetic) -> None:
        self.value = lifted(value)
        largest = _number(form.largest)

        def tame(v: Any, b: Any) -> Any:
            return b if mpmath.isfinite(v) and mpmath.isfinite(b) and abs(v) + b <= largest else mpmath.inf

        self.bound = _each(tame, self.value, lifted(bound))
        self.form, self.is_array, self.arithmetic = form, is_array, arithmetic

    def _like(self, value: Any, bound: Any) -> Exact:
        return Exact(value, bound, self.form, self.is_array, self.arithmetic)

    def reshape(self, *shape: int) -> Exact:
        return self._like(self.value.reshape(*shape), self.bound.reshape(*shape))

    def __getitem__(self, index: Any) -> Exact:
        return self._like(self.value[index], self.bound[index])

    def _exactly(self, *numbers: float) -> Any:
        return _each(lambda v, b: b == 0 and v in numbers, self.value, self.bound).astype(bool)

    def in_format(self) -> Array:
        return _each(lambda v: _number(rounded(v, "nearest", self.form)), self.value)

    def cast(self, form: Format, is_array: bool) -> Exact:
        if form.precision >= self.form.precision:
            return Exact(self.value, self.bound, form, is_array, self.arithmetic)
        unit, tiny = _number(form.unit), _number(form.tiny)

        def error(v: Any, b: Any) -> Any:
            if b == 0:
                return abs(_number(rounded(v, "nearest", form)) - v)
            return b + unit * SLACK * (abs(v) + b) + tiny

        return Exact(self.value, _each(error, self.value, self.bound), form, is_array, self.arithmetic)

    def _meet(self, other: Any) -> tuple[Exact, Exact]:
        if not isinstance(other, Exact):
            other = Exact(other, 0, FLOAT64, False, self.arithmetic)
        leads = [number for number in (self, other) if number.is_array] or [self, other]
        form = min((lead.form for lead in leads), key=lambda form: form.precision)
        is_array = self.is_array or other.is_array
        return self.cast(form, is_array), other.cast(form, is_array)

    def _finished(self, value: Array, spread: Array, exact: Any, ulps: float = 0.5, h: bool = True) -> Exact:
        """A result whose operands' errors make ``spread``, with its own rounding; ``exact`` tells where there is none.

        Where operands are exact and their result is a number of the format, correct rounding gives that number.
        """
        unit = _number(2 * ulps) * _number(self.form.unit) * SLACK
        tiny = _number(2 * ulps) * _number(self.form.tiny) if h else mpmath.mpf(0)

        def error(v: Any, p: Any, is_exact: bool) -> Any:
            if is_exact or (ulps == 0.5 and p == 0 and rounded(v, "nearest", self.form) == v):
                return p
            return p + unit * (abs(v) + p) + tiny

        return self._like(value, _each(error, value, spread, exact))

    # --- operations ------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Exact:
        a, b = self._meet(other)
        spread = _each(lambda p, q: p + q, a.bound, b.bound)
        return a._finished(_each(lambda p, q: p + q, a.value, b.value), spread, a._exactly(0) | b._exactly(0), h=False)

    def __mul__(self, other: Any) -> Exact:
        a, b = self._meet(other)
        a_known, b_known = (_each(mpmath.isfinite, x.bound).astype(bool) for x in (a, b))
        zero = (a._exactly(0) & b_known) | (b._exactly(0) & a_known)

        def spread(av: Any, ab: Any, bv: Any, bb: Any, is_zero: bool) -> Any:
            return mpmath.mpf(0) if is_zero else _scaled(bb, abs(av)) + _scaled(ab, abs(bv)) + _scaled(ab, bb)

        spreads = _each(spread, a.value, a.bound, b.value, b.bound, zero)
        product = _each(lambda p, q: p * q, a.value, b.value)
        return a._finished(product, spreads, zero | a._exactly(1) | b._exactly(1))

    def __truediv__(self, other: Any) -> Exact:
        a, b = self._meet(other)
        return a._divided(b, np.zeros(np.broadcast_shapes(a.shape, b.shape), bool))

    def _divided(self, b: Exact, zero: Any) -> Exact:
        known = _each(lambda v, e, z: abs(v) > e and not z, b.value, b.bound, zero).astype(bool)

        def quotient(v: Any, w: Any, z: bool) -> Any:
            return v / w if w != 0 and not z else mpmath.mpf(0)

        values = _each(quotient, self.value, b.value, zero)
        zero = zero | (self._exactly(0) & known)

        def spread(e: Any, q: Any, w: Any, f: Any, z: bool, k: bool) -> Any:
            if z:
                return mpmath.mpf(0)
            return (e + _scaled(f, abs(q))) / (abs(w) - f) if k else mpmath.inf

        spreads = _each(spread, self.bound, values, b.value, b.bound, zero, known)
        return self._finished(values, spreads, zero | (b._exactly(1) & known))

    def over_or_zero(self, other: Any, most: float) -> Exact:
        a, b = self._meet(other)
        zero = np.broadcast_to(b._exactly(0), np.broadcast_shapes(a.shape, b.shape))
        quotient, limit = a._divided(b, zero), mpmath.mpf(most)

        def cut(bound: Any, e: Any, f: Any) -> Any:
            return min(bound, limit) if mpmath.isfinite(e) and mpmath.isfinite(f) else mpmath.inf

        return quotient._like(quotient.value, _each(cut, quotient.bound, a.bound, b.bound))

    def __neg__(self) -> Exact:
        return self._like(-self.value, self.bound)

    def __sub__(self, other: Any) -> Exact:
        return self.__add__(-other)

    def __radd__(self, other: Any) -> Exact:
        return self.__add__(other)

    def __rmul__(self, other: Any) -> Exact:
        return self.__mul__(other)

    def __rsub__(self, other: Any) -> Exact:
        return (-self).__add__(other)

    def __rtruediv__(self, other: Any) -> Exact:
        return Exact(other, 0, FLOAT64, False, self.arithmetic) / self

    def __abs__(self) -> Exact:
        return self._like(_each(abs, self.value), self.bound)

    def _monotone(self, function: Callable[[Any], Any], exact: Any, ulps: float, h: bool) -> Exact:
        """A function that rises, computed to ``ulps`` units in the last place."""
        middle = _each(function, self.value)

        def spread(v: Any, e: Any, m: Any) -> Any:
            return mpmath.inf if mpmath.isinf(e) else max(function(v + e) - m, m - function(v - e))

        return self._finished(middle, _each(spread, self.value, self.bound, middle), exact, ulps, h)

    def sqrt(self) -> Exact:
        exact = self._exactly(0) | self._exactly(1)
        return self._monotone(lambda v: mpmath.sqrt(max(v, mpmath.mpf(0))), exact, self.arithmetic.sqrt_ulps, False)

    def signed_sqrt(self) -> Exact:
        exact = self._exactly(0) | self._exactly(1)
        return self._monotone(lambda v: mpmath.sign(v) * mpmath.sqrt(abs(v)), exact, self.arithmetic.sqrt_ulps, False)

    def power(self, exponent: float) -> Exact:
        e = _number(exponent)
        exponents = {e, _number(rounded(e, "nearest", self.form))}
        middle = _each(lambda v: v**e, self.value)

        def spread(v: Any, b: Any, m: Any) -> Any:
            if mpmath.isinf(b):
                return mpmath.inf
            return max(abs(base**p - m) for base in (max(v - b, mpmath.mpf(0)), v + b) for p in exponents)

        spreads = _each(spread, self.value, self.bound, middle)
        return self._finished(middle, spreads, self._exactly(0) | self._exactly(1), 1.0)

    def atan2(self, x: Any) -> Exact:
        a, b = self._meet(x)
        angle = _each(mpmath.atan2, a.value, b.value)

        def spread(v: Any, e: Any, w: Any, f: Any, m: Any) -> Any:
            if mpmath.isinf(e) or mpmath.isinf(f):
                return mpmath.inf
            near, far = max(w - f, mpmath.mpf(0)), w + f
            top, bottom = v + e, v - e
            high = mpmath.atan2(top, near if top > 0 else far)
            low = mpmath.atan2(bottom, far if bottom > 0 else near)
            return max(high - m, m - low)

        spreads = _each(spread, a.value, a.bound, b.value, b.bound, angle)
        return a._finished(angle, spreads, a._exactly(0), a.arithmetic.atan2_ulps)

    def maximum(self, other: Any) -> Exact:
        a, b = self._meet(other)

        def bound(v: Any, e: Any, w: Any, f: Any) -> Any:
            lead = v - w
            return max(e, f - lead) if lead >= 0 else max(f, e + lead)

        return a._like(_each(max, a.value, b.value), _each(bound, a.value, a.bound, b.value, b.bound))

    def mean(self, axis: int | None) -> Exact:
        terms = self.size if axis is None else self.shape[axis]
        total = self._summed(axis, terms)
        reciprocal = 1 / Exact(terms, 0, FLOAT64, False, self.arithmetic)
        mean = widest([total / float(terms), total * reciprocal])
        assert isinstance(mean, Exact)
        return mean if axis is None else mean.cast(self.form, self.is_array)

    def mean_square(self, axis: int | None) -> Exact:
        terms = self.size if axis is None else self.shape[axis]
        squares = self * self
        norm = squares._summed(axis, terms).sqrt()
        if axis is not None:
            norm = norm.cast(self.form, self.is_array)
        mean = squares.mean(axis)
        root = mean.sqrt()
        widened = widest([mean, norm * norm / float(terms), root * root])
        assert isinstance(widened, Exact)
        return widened

    def _summed(self, axis: int | None, terms: int) -> Exact:
        keep = axis is not None
        formats = (self.arithmetic.accumulate,) if self.is_array else (self.arithmetic.accumulate, self.form)
        form = min(formats, key=lambda form: form.precision)
        parts, largest = self.cast(form, self.is_array), _number(form.largest)
        reach = mpmath.mpf(max(terms - 1, 0)) * _number(form.unit) * SLACK
        relative = reach / (1 - reach)

        def summed(x: Any) -> Array:
            return lifted(np.sum(x, axis=axis, keepdims=keep))

        def error(b: Any, magnitude: Any) -> Any:
            fits = mpmath.isfinite(magnitude) and (1 + relative) * magnitude <= largest
            return b + relative * magnitude if fits else mpmath.inf

        magnitude = summed(_each(abs, parts.value) + parts.bound)
        errors = _each(error, summed(parts.bound), magnitude)
        if _adds_exactly(parts, form):
            errors = 0 * errors
        return Exact(summed(parts.value), errors, form, False, self.arithmetic)
