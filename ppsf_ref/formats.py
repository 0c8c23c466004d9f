"""Binary floating-point formats and rounding into them, exact in a carrier of higher precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Format:
    """A binary format: ``precision`` significand bits (hidden one included), least and greatest exponents."""

    name: str
    precision: int
    emin: int
    emax: int

    @cached_property
    def unit(self) -> np.longdouble:
        """Unit roundoff, 2**-precision."""
        return np.longdouble(2) ** -self.precision

    @cached_property
    def tiny(self) -> np.longdouble:
        """Smallest subnormal."""
        return np.longdouble(2) ** (self.emin - self.precision + 1)

    @cached_property
    def normal(self) -> np.longdouble:
        """Smallest number that is not subnormal."""
        return np.longdouble(2) ** self.emin

    @cached_property
    def largest(self) -> np.longdouble:
        """Largest finite number."""
        return (2 - 2 * self.unit) * np.longdouble(2) ** self.emax


FLOAT64 = Format("float64", 53, -1022, 1023)
FLOAT32 = Format("float32", 24, -126, 127)
BFLOAT16 = Format("bfloat16", 8, -126, 127)
FLOAT16 = Format("float16", 11, -14, 15)
FORMATS = {form.name: form for form in (FLOAT64, FLOAT32, BFLOAT16, FLOAT16)}


#: Formats that numpy has as types: a conversion rounds once, to nearest, ties to even.
_NATIVE: Mapping[str, Any] = {"float64": np.float64, "float32": np.float32}


def _quantum(x: Array, form: Format) -> Array:
    _, exponent = np.frexp(x)
    power = np.maximum(exponent, form.emin + 1) - form.precision
    return np.asarray(np.ldexp(np.ones_like(x), power))


@np.errstate(over="ignore")
def _snapped(x: Array, form: Format, snap: Any, least: Any = -np.inf, most: Any = np.inf) -> Array:
    finite = np.isfinite(x)
    safe = np.where(finite, x, 0)
    quantum = _quantum(safe, form)
    rounded = snap(safe / quantum) * quantum
    rounded = np.where(rounded > form.largest, most, np.where(rounded < -form.largest, least, rounded))
    return np.where(finite, np.copysign(rounded, safe), x).astype(x.dtype, copy=False)


def nearest(x: Array, form: Format) -> Array:
    """Round to the nearest number of ``form``, ties to even; dtype and shape of ``x`` are kept."""
    native = _NATIVE.get(form.name)
    return _snapped(np.asarray(x), form, np.rint) if native is None else _converted(x, native)


@np.errstate(over="ignore")
def _converted(x: Any, native: Any) -> Array:
    if isinstance(x, np.generic):
        scalar: Any = type(x)
        return cast(Array, scalar(native(x)))
    x = np.asarray(x)
    return np.asarray(x.astype(native).astype(x.dtype, copy=False))


def down(x: Array, form: Format) -> Array:
    """Round toward minus infinity."""
    return _snapped(np.asarray(x), form, np.floor, most=form.largest)


def up(x: Array, form: Format) -> Array:
    """Round toward plus infinity."""
    return _snapped(np.asarray(x), form, np.ceil, least=-form.largest)
