"""Short cuts change nothing: what is computed of known kinds of numbers is what the general rule gives, bit for bit."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ppsf_ref import BFLOAT16, FLOAT32, FLOAT64, Arithmetic, Bounded, Format, numbers
from ppsf_ref.bounded import MIXED
from ppsf_ref.formats import _snapped, nearest

OPERATIONS: dict[str, Callable[[Bounded, Bounded], Bounded]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "square": lambda a, b: a * a,
    "less one": lambda a, b: a - 1,
    "share": lambda a, b: abs(a).over_or_zero(abs(b), 2.0),
    "root": lambda a, b: abs(a).sqrt(),
    "signed root": lambda a, b: a.signed_sqrt(),
    "power": lambda a, b: abs(a).power(1.5),
    "angle": lambda a, b: a.atan2(abs(b)),
    "larger": lambda a, b: a.maximum(b),
    "total": lambda a, b: a.total(),
    "mean square": lambda a, b: a.mean_square(None),
    "lerp": lambda a, b: numbers.lerp(a, b, a * 0 + 0.1),
    "narrow": lambda a, b: a.cast(FLOAT32, a.is_array),
    "wide": lambda a, b: a.cast(FLOAT64, a.is_array),
}
#: Values at which rules change: 0, 1, the edges of the range, and what rounds to them.
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 2.0**-149, 2.0**-126, 2.0**-1074, 3e38, -3e38, 1e-30, 1 + 2.0**-24])
KINDS = ("exact", "rounded", "mixed")


def drawn(kind: str, axes: bool, form: Format, rng: np.random.Generator, flushes: bool = False) -> Bounded:
    shape = (12,) if axes else ()
    values = np.where(rng.random(shape) < 0.4, rng.choice(SPECIAL, shape), rng.normal(size=shape))
    bounds = 10.0 ** rng.uniform(-30, 1, shape)
    known = {"exact": 1.0, "rounded": 0.0, "mixed": 0.5}[kind]
    bounds = np.where(rng.random(shape) < known, 0.0, bounds)
    return Bounded(nearest(values, form), bounds, form, axes, Arithmetic(flushes=flushes))


def unknown(number: Bounded) -> Bounded:
    """The same number, of which no kind is known."""
    return Bounded._of(number.value, number.bound, number.form, number.is_array, number.arithmetic, MIXED)


@pytest.mark.parametrize("flushes", [False, True], ids=["gradual", "flushing"])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("kinds", [(one, other) for one in KINDS for other in KINDS], ids=" and ".join)
@np.errstate(all="ignore")
def test_a_short_cut_gives_what_the_rule_gives(name: str, kinds: tuple[str, str], flushes: bool) -> None:
    rng = np.random.default_rng(0)
    for round_ in range(40):
        forms = FLOAT32 if round_ % 2 else FLOAT64, FLOAT64 if round_ % 3 else FLOAT32
        axes = [(True, True), (True, False), (False, True), (False, False)][round_ % 4]
        a, b = (drawn(*drawing, rng, flushes) for drawing in zip(kinds, axes, forms, strict=True))
        short, general = OPERATIONS[name](a, b), OPERATIONS[name](unknown(a), unknown(b))
        np.testing.assert_array_equal(short.value, general.value, strict=True)
        np.testing.assert_array_equal(short.bound, general.bound, strict=True)
        assert (short.form, short.is_array, short.shape) == (general.form, general.is_array, general.shape)


def test_the_kinds_of_these_numbers_occur() -> None:
    """Or the comparison above compares the general rule with itself."""
    rng = np.random.default_rng(0)
    for kind in KINDS:
        assert any(drawn(kind, True, FLOAT64, rng).kind.value == kind for _ in range(40))


@pytest.mark.parametrize("form", [FLOAT64, FLOAT32, BFLOAT16], ids=lambda form: form.name)
@np.errstate(all="ignore")
def test_conversion_by_the_machine_is_rounding_to_nearest(form: Format) -> None:
    rng = np.random.default_rng(0)
    spread: Any = 2.0 ** rng.uniform(-160, 130, 4000) * rng.choice([-1, 1], 4000)
    ties = (rng.integers(2**23, 2**24, 2000) + np.longdouble(0.5)) * np.longdouble(2) ** rng.integers(-175, 104, 2000)
    beside = ties * (1 + np.longdouble(2) ** -60 * rng.choice([-1, 0, 1], 2000))
    for values in (
        np.asarray(spread, np.longdouble),
        spread,
        ties,
        beside,
        SPECIAL,
        np.array([np.nan, np.inf, -np.inf]),
    ):
        want = _snapped(values, form, np.rint)
        np.testing.assert_array_equal(nearest(values, form), want, strict=True)
        np.testing.assert_array_equal(np.signbit(nearest(values, form)), np.signbit(want))
        np.testing.assert_array_equal([nearest(value, form) for value in values[:50]], want[:50])
