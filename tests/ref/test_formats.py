"""Rounding into a format agrees with numpy and torch bit by bit, and the directed roundings enclose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppsf_ref.formats import BFLOAT16, FLOAT32, FLOAT64, Array, Format, down, nearest, up

NARROW = (FLOAT32, BFLOAT16)
SPECIALS = (0.0, -0.0, np.inf, -np.inf, np.nan)


def random_floats(count: int, seed: int) -> Array:
    """float64 numbers whose bit patterns are random, shifted half the time into the range of float32."""
    rng = np.random.default_rng(seed)
    wild = rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
    with np.errstate(invalid="ignore"):  # some of the patterns are signalling NaNs
        near = rng.integers(0, 2**32, count, dtype=np.uint32).view(np.float32).astype(np.float64)
        near *= 1 + rng.uniform(-1e-7, 1e-7, count)
    drawn = np.concatenate([wild, near, SPECIALS])
    return np.where(np.isnan(drawn), np.nan, drawn)


def same(a: Array, b: Array) -> bool:
    """Equal in value and in the sign of zero; every NaN is like every other."""
    return bool(((a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)).all())


def all_of(form: Format) -> Array:
    """Every non-negative finite number of bfloat16, or a random part of float32."""
    if form is BFLOAT16:
        return (np.arange(0x7F80, dtype=np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    bits = np.unique(np.random.default_rng(1).integers(0, 0x7F7FFFFF, 20000, dtype=np.uint32))
    return np.concatenate([bits, bits + 1]).astype(np.uint32).view(np.float32).astype(np.float64)


@pytest.mark.clause("PPSF-R-002")
def test_nearest_is_numpys_float32() -> None:
    x = random_floats(100_000, 2)
    with np.errstate(over="ignore"):
        assert same(nearest(x, FLOAT32), x.astype(np.float32).astype(np.float64))


@pytest.mark.clause("PPSF-R-002")
def test_nearest_is_torchs_bfloat16() -> None:
    with np.errstate(over="ignore"):
        x = random_floats(100_000, 3).astype(np.float32)
    assert same(nearest(x, BFLOAT16), torch.from_numpy(x).bfloat16().float().numpy())


def test_dtype_and_shape_are_kept() -> None:
    for dtype in (np.float32, np.float64, np.longdouble):
        for rounding in (nearest, down, up):
            rounded = rounding(np.full((2, 1, 3), 1.01, dtype), BFLOAT16)
            assert (rounded.dtype, rounded.shape) == (dtype, (2, 1, 3))


@pytest.mark.parametrize("form", [*NARROW, FLOAT64])
def test_numbers_of_the_format_stay(form: Format) -> None:
    x = random_floats(1000, 4) if form is FLOAT64 else all_of(form)
    for rounding in (nearest, down, up):
        assert same(rounding(x, form), x)
        assert same(rounding(-x, form), -x)


@pytest.mark.parametrize("form", NARROW)
@pytest.mark.clause("PPSF-R-002")
def test_ties_go_to_the_even_neighbour(form: Format) -> None:
    grid = np.unique(all_of(form))
    step = np.array([float(form.tiny)]) if form is FLOAT32 else np.diff(grid)
    low = grid[:-1] if form is BFLOAT16 else grid[np.isin(grid, [0.0, float(form.tiny), 1.0])]
    middle = low + step / 2 if form is BFLOAT16 else low + np.spacing(low.astype(np.float32)).astype(np.float64) / 2
    bits = nearest(middle, form).astype(np.float32).view(np.uint32) >> np.uint32(24 - form.precision)
    assert (bits % 2 == 0).all()
    assert (down(middle, form) == low).all()
    assert (up(middle, form) > middle).all()


@pytest.mark.parametrize("form", NARROW)
def test_directed_roundings_are_the_neighbours(form: Format) -> None:
    x = random_floats(50_000, 5)
    x = x[np.abs(x) <= float(form.largest)]
    low, high, near = down(x, form), up(x, form), nearest(x, form)
    assert ((low <= x) & (x <= high)).all()
    assert same(nearest(low, form), low)
    assert same(nearest(high, form), high)
    assert ((near == low) | (near == high)).all()
    between = nearest(low / 2 + high / 2, form)
    assert ((between == low) | (between == high)).all()  # no number of the format lies in between
    assert (np.abs(near - x) <= np.minimum(x - low, high - x)).all()


@pytest.mark.parametrize("form", NARROW)
def test_the_edges_of_the_range(form: Format) -> None:
    largest, tiny = float(form.largest), float(form.tiny)
    half_beyond = 2.0**form.emax * (2 - 2.0**-form.precision)
    assert nearest(np.array([largest, -largest]), form).tolist() == [largest, -largest]
    below, beyond = np.nextafter(half_beyond, 0), np.nextafter(half_beyond, np.inf)
    assert nearest(np.array([below, half_beyond, -beyond]), form).tolist() == [largest, np.inf, -np.inf]
    assert down(np.array([beyond, 1e300, -1e300]), form).tolist() == [largest, largest, -np.inf]
    assert up(np.array([-beyond, -1e300, 1e300]), form).tolist() == [-largest, -largest, np.inf]
    small = np.array([tiny / 2, tiny * 0.75, tiny * 1.5, -tiny / 4])
    assert nearest(small, form).tolist() == [0, tiny, 2 * tiny, 0]
    assert up(small, form).tolist() == [tiny, tiny, 2 * tiny, 0]
    assert down(small, form).tolist() == [0, 0, tiny, -tiny]


@pytest.mark.parametrize("form", [*NARROW, FLOAT64])
def test_specials_pass_through(form: Format) -> None:
    x = np.array(SPECIALS)
    for rounding in (nearest, down, up):
        assert same(rounding(x, form), x)


def test_the_carrier_may_be_wider_than_float64() -> None:
    x = np.longdouble(1) + np.longdouble(2) ** -54
    assert down(x, FLOAT64) == 1
    assert up(x, FLOAT64) == 1 + 2.0**-52
