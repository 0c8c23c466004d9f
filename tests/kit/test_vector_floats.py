"""Numbers as text, and rounding with integers."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ppsf_conformance.vectors.floats import number, rounded, text
from ppsf_ref.formats import BFLOAT16, FLOAT32, FLOAT64, Format, down, nearest, up

ANY = st.floats(allow_nan=False)


@given(ANY)
@example(-0.0)
@example(5e-324)
def test_text_is_read_back(x: float) -> None:
    assert number(text(x)) == x
    assert math.copysign(1, number(text(x))) == math.copysign(1, x)


@pytest.mark.parametrize(
    ("x", "written"),
    [
        (12.0, "0x1.8p+3"),
        (1.0, "0x1p+0"),
        (-0.0, "-0x0p+0"),
        (math.inf, "inf"),
        (math.nan, "nan"),
        (0.1, float.hex(0.1)),
    ],
)
def test_text(x: float, written: str) -> None:
    assert text(x) == written


def test_a_decimal_number_is_refused() -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        number("1.5")


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from((FLOAT32, BFLOAT16)))
@example(float(FLOAT32.largest) * (1 + 2.0**-25), FLOAT32)
@example(2.0**-150, FLOAT32)
@example(-(2.0**-134), BFLOAT16)
def test_rounding_is_that_of_the_reference(x: float, form: Format) -> None:
    exact, carried = mpmath.mpf(x), np.asarray(x)
    for direction, function in (("nearest", nearest), ("down", down), ("up", up)):
        assert rounded(exact, direction, form) == function(carried, form)  # type: ignore[arg-type]


@given(st.fractions(), st.integers(-1060, 1000))
def test_rounding_encloses(x: object, exponent: int) -> None:
    with mpmath.workdps(50):
        exact = mpmath.ldexp(mpmath.mpf(x.numerator) / x.denominator, exponent)  # type: ignore[attr-defined]
        low, middle, high = (rounded(exact, d, FLOAT64) for d in ("down", "nearest", "up"))  # type: ignore[arg-type]
        assert low <= middle <= high
        assert low <= exact <= high
        assert low == high or math.nextafter(low, math.inf) == high
