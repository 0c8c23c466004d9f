"""Sums of the squares of updates: of neighbours in float32, of all in float64."""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.direction import least_of, unit_of
from ppsf_fast.backends.triton.maths import LEAST_QUICK

#: From this eps on no update reaches 2^83, as no gradient reaches 2^56: made so much smaller, it can be squared.
_LEAST_TAME, _SMALLER, _LARGER = tl.constexpr(2.0**-27), tl.constexpr(2.0**-20), tl.constexpr(2.0**40)
_LEAST_QUICK = tl.constexpr(LEAST_QUICK)


@triton.jit
def with_square(sums, values):
    """Sums in float64, with the squares of float32 values, which are exact there."""
    wide = values.to(tl.float64)
    return tl.fma(wide, wide, sums)


@triton.jit
def is_tame(numbers, F: tl.constexpr):
    """Whether no update is so large that its square, made smaller, would not fit into float32; and whether it is 0
    where there is no element."""
    if F.orthograd or F.penalizes or F.steer != "":  # they may make more of a gradient than it is
        return False
    elif F.eps:
        least = least_of(unit_of(numbers, F), numbers, F)
        return (numbers[C.N_EPS] >= _LEAST_TAME) & (least >= _LEAST_QUICK)
    else:
        return True


@triton.jit
def _of_runs(values, F: tl.constexpr):
    """The sums of elements that a thread reads together, by halves: what was reshaped Triton 3.6 sums wrongly."""
    COUNT: tl.constexpr = F.bp * F.bq // F.run
    LEVELS: tl.constexpr = F.levels_of_run
    for level in tl.static_range(LEVELS):
        even, odd = tl.split(tl.reshape(values, (1, COUNT, F.run >> (level + 1), 2)))
        values = even + odd
    return values


@triton.jit
def more_squares(squares, update, mask, tame, F: tl.constexpr):
    """Sums of squares with those of the update of one more block."""
    if F.run == 1:
        return with_square(squares, tl.where(mask, update, 0.0))
    else:
        if tame:  # what is less than 2^-100 vanishes: updates are limited from 1 on
            small = update * _SMALLER
            squares += _of_runs(small * small, F).to(tl.float64) * _LARGER
        else:
            wide = tl.where(mask, update, 0.0).to(tl.float64)
            squares += _of_runs(wide * wide, F)
        return squares
