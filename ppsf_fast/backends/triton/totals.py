"""Sums over the tiles of a parameter, each by one program and in the order of the tiles; and what follows from them."""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.blocks import has_moment, is_set, of, of_group, pointer
from ppsf_fast.backends.triton.direction import ALONG, CUT, FOUND_WIDTH, SCALE, SHARE, SIZE
from ppsf_fast.backends.triton.estimate import SLOT
from ppsf_fast.backends.triton.maths import power

_ITEM = tl.constexpr(C.ITEM_WIDTH)
_FOUND = tl.constexpr(FOUND_WIDTH)
_SPAN = tl.constexpr(256)
#: A component shorter than this share of the gradient is rounding, not direction.
_LEAST_SHARE = tl.constexpr(2.0**-8)
_LEAST_KEPT = tl.constexpr(1e-3)
_LEAST_DISPLACEMENT = tl.constexpr(1e-8)
_LEAST_SIZE, _LEAST_DIVISOR = tl.constexpr(1e-8), tl.constexpr(1e-8)


@triton.jit
def add_up(slots, first, count, COLUMN: tl.constexpr):
    """The sum of one number of `count` slots from `first` on, in float64."""
    sums = tl.zeros((_SPAN,), tl.float64)
    for begin in range(0, count.to(tl.int32), _SPAN):
        at = begin + tl.arange(0, _SPAN)
        sums += tl.load(slots + (first + at) * SLOT + COLUMN, mask=at < count, other=0.0)
    return tl.sum(sums, axis=0)


@triton.jit
def _finish_size(row, numbers, found, mean_square):
    """Renew the memory of Muon."""
    # clause: PPSF-M-017 51003edd
    rms = tl.maximum(tl.sqrt(mean_square), tl.full((), _LEAST_SIZE, tl.float64)).to(tl.float32)
    to = pointer(row, C.RMS_SQ, tl.float32)
    memory = tl.load(to) * of(numbers, C.N_KEEP) + rms * rms * of(numbers, C.N_GAIN)
    tl.store(to, memory, mask=is_set(numbers, C.N_OK))
    # clause: PPSF-M-018 5e9f3f6c
    tl.store(found + SIZE, (tl.sqrt_rn(memory) + _LEAST_DIVISOR).to(tl.float64))


@triton.jit
def finish_sums(table, found, slots, numbers, WHAT: tl.constexpr, F: tl.constexpr):
    """What follows from the sums of a pass: one program for each parameter."""
    item = tl.program_id(0).to(tl.int64)
    finish(table + item * _ITEM, found + item * _FOUND, slots, numbers, WHAT, F)


@triton.jit
def finish(row, found, slots, numbers, WHAT: tl.constexpr, F: tl.constexpr):
    """What follows from the sums of a pass over one parameter; `numbers` are those of all groups."""
    first, count = tl.load(row + C.FIRST_TILE), tl.load(row + C.TILES)
    size = tl.maximum(tl.load(row + C.NUMEL), 1).to(tl.float64)
    one = add_up(slots, first, count, 0)
    if WHAT == "norm":
        rms = tl.sqrt(one / size)
        if F.clip == "soft":
            # clause: PPSF-C-010 1213a55d
            tl.store(found + CUT, tl.sqrt(tl.maximum(rms, 1.0)))
        else:
            # clause: PPSF-C-001 2d530c9c
            bound = of(of_group(row, numbers), C.N_BOUND).to(tl.float64)
            tl.store(found + CUT, tl.maximum(rms / bound, 1.0))
    elif WHAT == "size":
        _finish_size(row, of_group(row, numbers), found, one / size)
    elif WHAT == "agreement" or WHAT == "agreement of y":
        tl.store(found + SHARE, tl.maximum(one / size, tl.full((), _LEAST_KEPT, tl.float64)))
    elif WHAT == "components":
        both = add_up(slots, first, count, 1)
        tl.store(found + ALONG, tl.where(one > 0, both / tl.where(one > 0, one, 1.0), 0.0))
        # Until the part is measured, here stands the length of the gradient; the part itself is not scaled.
        tl.store(found + CUT, tl.sqrt(add_up(slots, first, count, 2)))
        tl.store(found + SCALE, tl.full((), 1.0, tl.float64))
    else:
        length = tl.load(found + CUT)
        share = tl.where(length > 0, tl.sqrt(one) / tl.where(length > 0, length, 1.0), 0.0)
        ramp = tl.minimum(tl.maximum(share / _LEAST_SHARE - 1.0, 0.0), 1.0)
        tl.store(found + SCALE, ramp / tl.maximum(share, _LEAST_SHARE))


@triton.jit
def finish_items(table, slots, numbers, shares, MEASURED: tl.constexpr, F: tl.constexpr):
    """What a parameter contributes to the estimate, where that is no plain sum; under ADOPT, that it has a moment now.

    Shares hold the two contributions and whether the weights move.
    """
    item = tl.program_id(0).to(tl.int64)
    row = table + item * _ITEM
    numbers = of_group(row, numbers)
    first, count = tl.load(row + C.FIRST_TILE), tl.load(row + C.TILES)
    has = has_moment(row, F)
    good = is_set(numbers, C.N_OK)
    to = shares + (tl.load(row + C.ITEM)) * SLOT
    inner, norm = tl.full((), 0.0, tl.float64), tl.full((), 0.0, tl.float64)
    if MEASURED:
        inner, norm = add_up(slots, first, count, 0), add_up(slots, first, count, 1)
        if F.statistics == "displacement":
            square = add_up(slots, first, count, 2)
            inner, norm = _course(row, numbers, inner, norm, square, has, F)
        elif F.statistics == "signs":
            inner = tl.where(inner > 0, 1.0, tl.where(inner < 0, -1.0, inner))  # NaN stays NaN
        elif F.amplifies:
            inner = _signed_root(inner)
    tl.store(to, tl.where(has, inner, 0.0))
    tl.store(to + 1, tl.where(has, norm, 0.0))
    tl.store(to + 2, has.to(tl.float64))
    if F.adopt:
        tl.store(pointer(row, C.FILLED, tl.int8), tl.full((), 1, tl.int8), mask=good)


@triton.jit
def _signed_root(value):
    root = tl.sqrt(tl.abs(value))
    return tl.where(value < 0, -root, root)


@triton.jit
def _course(row, numbers, inner, l1, square, has, F: tl.constexpr):
    """Move the course of a parameter under SPEED; returns what multiplies its weight, and its norm."""
    if F.amplifies:
        inner = _signed_root(inner)
    to_pull, to_l1, to_l2 = (
        pointer(row, C.PULL, tl.float32),
        pointer(row, C.L1, tl.float32),
        pointer(row, C.L2, tl.float32),
    )
    pull, old_l1, old_l2 = (
        tl.load(to_pull).to(tl.float64),
        tl.load(to_l1).to(tl.float64),
        tl.load(to_l2).to(tl.float64),
    )
    # clause: PPSF-M-040 55e6ec90
    gain = tl.where(old_l1 > 0, power(numbers[C.N_K], tl.full((), -0.75, tl.float64)), 1.0)
    floor = tl.full((), _LEAST_DISPLACEMENT, tl.float64)
    l1 = tl.maximum(tl.maximum(old_l1, l1), floor)
    l2 = tl.maximum(tl.maximum(old_l2, tl.sqrt(square)), floor)
    pull = pull * (1 - gain) + inner * gain
    keeps = is_set(numbers, C.N_OK) & is_set(numbers, C.N_OPENED) & has
    tl.store(to_pull, pull.to(tl.float32), mask=keeps)
    tl.store(to_l1, l1.to(tl.float32), mask=keeps)
    tl.store(to_l2, l2.to(tl.float32), mask=keeps)
    # clause: PPSF-M-041 6fabbcc0
    return 1.0 / ((1 + l2) * (1 + l2)) * (pull / l1), l2
