"""Stochastic rounding is exactly unbiased, monotone, and keeps special values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ppsf_ref import BFLOAT16, FLOAT32, Arithmetic, Bounded
from ppsf_ref import formats as fmt
from ppsf_ref.clauses import rounding
from ppsf_ref.formats import Array

EVERY = np.arange(2**16, dtype=np.uint32)


def patterns(count: int, seed: int) -> Array:
    """Bit patterns of finite float32 numbers of both signs, whose bfloat16 neighbours are finite."""
    rng = np.random.default_rng(seed)
    edges = np.array([1, 0xFFFF, 0x10000, 0x7F_FFFF, 0x80_0000, 0x3F7F_FFFF, 0x3F80_8000, 0x7F7E_FFFF], np.uint32)
    magnitudes = np.concatenate([edges, rng.integers(0, 0x7F7F0000, count, dtype=np.uint32)])
    return np.concatenate([magnitudes, magnitudes | np.uint32(1 << 31)])


def rounded(pattern: int, bits: Array = EVERY) -> Array:
    with np.errstate(invalid="ignore"):  # a signalling NaN
        x = np.full(bits.shape, np.uint32(pattern).view(np.float32), np.float64)
    return np.asarray(rounding.stochastic(x, bits))


@pytest.mark.clause("PPSF-R-003")
def test_low_half_of_the_pattern_counts_the_draws_that_go_away_from_zero() -> None:
    for pattern in patterns(60, 1).tolist():
        results = rounded(pattern)
        toward = float(np.uint32(pattern & 0xFFFF0000).view(np.float32))
        away = float(np.uint32((pattern & 0xFFFF0000) + 0x10000).view(np.float32))
        ups = results == away
        assert (ups | (results == toward)).all()
        assert ups.sum() == pattern & 0xFFFF
        mean = Fraction(away) * int(ups.sum()) + Fraction(toward) * int((~ups).sum())
        assert mean / 2**16 == Fraction(float(np.uint32(pattern).view(np.float32)))


@pytest.mark.parametrize("pattern", [0, 1 << 31, 0x7F800000, 0xFF800000])
@pytest.mark.clause("PPSF-R-005")
def test_zeros_and_infinities_stay(pattern: int) -> None:
    results = rounded(pattern)
    assert (results.astype(np.float32).view(np.uint32) == pattern).all()


@pytest.mark.parametrize("pattern", [0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0xFF800001, 0x7FFF8000])
@pytest.mark.clause("PPSF-R-005")
def test_nan_stays_nan_for_every_draw(pattern: int) -> None:
    assert np.isnan(rounded(pattern)).all()


@pytest.mark.clause("PPSF-R-005")
def test_numbers_of_bfloat16_stay_for_every_draw() -> None:
    for pattern in (0x3F800000, 0xC2F70000, 0x00010000, 0x7F7F0000):
        assert (rounded(pattern) == float(np.uint32(pattern).view(np.float32))).all()


@pytest.mark.clause("PPSF-R-003")
def test_the_largest_numbers_may_round_to_infinity_as_the_pattern_says() -> None:
    results = rounded(0x7F7FFFFF)
    assert np.isinf(results).sum() == 0xFFFF
    assert results[0] == float(BFLOAT16.largest)
    assert (results > 0).all()


@pytest.mark.clause("PPSF-R-003")
def test_a_value_is_rounded_to_float32_first() -> None:
    just_below = np.full(EVERY.shape, 1 - 2.0**-30)
    assert (rounding.stochastic(just_below, EVERY) == 1).all()


@pytest.mark.clause("PPSF-R-003")
def test_rounding_is_nondecreasing_for_any_draw() -> None:
    rng = np.random.default_rng(2)
    x = np.sort(patterns(20_000, 3).view(np.float32).astype(np.float64))
    for draw in rng.integers(0, 2**16, 20):
        assert (np.diff(rounding.stochastic(x, np.full(x.shape, draw, np.uint32))) >= 0).all()


@pytest.mark.clause("PPSF-R-002", "PPSF-R-003")
def test_what_is_allowed_covers_every_number_inside_the_bound() -> None:
    rng = np.random.default_rng(4)
    value, bound = rng.normal(size=2000), 10 ** rng.uniform(-9, -1, 2000)
    bits = rng.integers(0, 2**16, 2000, dtype=np.uint32)
    x = Bounded(value, bound, FLOAT32, True, Arithmetic())
    held = fmt.nearest(value + bound * rng.uniform(-1, 1, 2000), FLOAT32)
    held = held[inside := (x.low <= held) & (held <= x.high)]
    for allowed, stored in (
        (rounding.nearest(x, BFLOAT16), fmt.nearest(held, BFLOAT16)),
        (rounding.stochastic(x, bits), rounding.stochastic(held, bits[inside])),
    ):
        assert ((allowed.low[inside] <= stored) & (stored <= allowed.high[inside])).all()
