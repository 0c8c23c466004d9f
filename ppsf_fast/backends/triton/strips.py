"""Sums of squares along the rows and columns of a tensor whose second side has a period, as kernels of a convolution.

A column has one sum for each position along the second side. A row has as many sums as the period is long, of elements
that lie that far from each other, so that no axis of a block can be summed as a whole. A tile is a few strips side by
side, each of whole periods: one strip above the other, what belongs to the same sum stands in one place. These sums are
kept in memory and read again as a matrix of periods.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.blocks import HEIGHT, LEFT, OF_G, OF_Y, START, corner, opened, without_scale
from ppsf_fast.backends.triton.direction import known, seen
from ppsf_fast.backends.triton.geometry import PERIODS
from ppsf_fast.backends.triton.passes import magnitude, tell
from ppsf_fast.backends.triton.rounding import widened

_SHORT, _MANY, _LONG, _FEW = map(tl.constexpr, (*PERIODS[0], *PERIODS[1]))


@triton.jit
def _row(view, tile, down, strip, F: tl.constexpr):
    """The elements of one row of a tile as they are stored, strip by strip."""
    first, _, by_p, _ = view
    _, _, left_q, _ = tile[LEFT]
    at = tl.arange(0, F.strip).to(F.index)
    ACROSS: tl.constexpr = F.across
    found = ()
    for nth in tl.static_range(ACROSS):
        q = nth * strip + at
        there = (at < strip) & (q < left_q)
        # Four at a time: then a strip has as many threads as a program, and a thread the same place in every strip.
        place = tl.multiple_of(down * by_p + nth * strip, 4) + at
        found = found + (tl.load(first + place, mask=there, other=0.0),)  # type: ignore[assignment]  # noqa: RUF005
    return found


@triton.jit
def _nothing(F: tl.constexpr):
    """Sums along the columns of a tile, strip by strip, before its first row."""
    ACROSS: tl.constexpr = F.across
    found = ()
    for _ in tl.static_range(ACROSS):
        found = found + (tl.full((F.strip,), 0, tl.float64),)  # type: ignore[assignment]  # noqa: RUF005
    return found


@triton.jit
def _with_row(columns, largest, coming, of_y, tile, found, F: tl.constexpr):
    """The sums along the columns with those of one more row; what stands in one place in all of its strips, summed;
    and the largest magnitude there."""
    ACROSS: tl.constexpr = F.across
    more = ()
    sums = tl.full((F.strip,), 0, tl.float64)
    for nth in tl.static_range(ACROSS):
        grad = without_scale(tile, widened(coming[nth]), F)
        largest = tl.maximum(largest, magnitude(grad))
        wide = seen(grad, widened(of_y[nth]), found, F).to(tl.float64)
        square = wide * wide
        sums += square
        more = more + (columns[nth] + square,)  # type: ignore[assignment]  # noqa: RUF005
    return more, sums, largest


@triton.jit
def _add_up(to, kept, period, strip):
    """Write the sums over the periods of a strip, read as rows of four periods, or of one if these are long."""
    short = period <= _SHORT
    row, nth = tl.arange(0, _FEW)[:, None, None], tl.arange(0, _SHORT)[None, None, :]
    quarter = tl.arange(0, _LONG // _SHORT)[None, :, None]
    begin = row * tl.where(short, period * (_MANY // _FEW), period) + quarter * tl.where(short, period, 0)
    within = quarter * tl.where(short, 0, _SHORT) + nth
    each = tl.load(kept + (begin + within), mask=(begin < strip) & (within < period), other=0.0)
    quarters = tl.sum(each, axis=0)
    nth, within = tl.arange(0, _SHORT), tl.arange(0, _LONG // _SHORT)[:, None] * _SHORT + tl.arange(0, _SHORT)[None, :]
    tl.store(to + within, quarters.to(tl.float32), mask=within < tl.where(short, 0, period))
    tl.store(to + nth, tl.sum(quarters, axis=0).to(tl.float32), mask=nth < tl.where(short, period, 0))


@triton.jit
def _keep_columns(row, number, columns, parts, F: tl.constexpr):
    """Write the sums along the columns of a tile. Where to is found here, so that the loop does not carry it."""
    ACROSS: tl.constexpr = F.across
    b0, b1, _, p0, q0 = corner(row, number, C.SUMS_L, F)
    part, size_q = b0 * tl.load(row + C.SIZES + 1) + b1, tl.load(row + C.SIZES + 4)
    tile = part * tl.load(row + C.SUMS_P) + p0 // tl.load(row + C.SUMS_HEIGHT)
    to = parts + tl.load(row + C.PART_Q) + tile * size_q + q0
    strip, at = tl.load(row + C.STRIP), tl.arange(0, F.strip)
    for nth in tl.static_range(ACROSS):
        q = nth * strip + at
        tl.store(to + q, columns[nth].to(tl.float32), mask=(at < strip) & (q < size_q - q0))


@triton.jit
def add_squares(row, number, found, parts, bad, F: tl.constexpr):
    """Write the sums of squares along the rows and columns of a tile, and whether its gradient is finite.

    As of other tensors, sums are rounded once, to float32.
    """
    # clause: PPSF-V-003 e56301e2
    # clause: PPSF-V-011 bfc8a7dc
    tile, found = opened(row, number, C.SUMS_L, F), known(found)
    b0, b1, _, p0, _ = tile[START]
    strip = tl.multiple_of(tl.load(row + C.STRIP).to(F.index), 8)
    part, along_q = b0 * tl.load(row + C.SIZES + 1) + b1, tl.load(row + C.SUMS_Q)
    of_p = (part * along_q + number % along_q) * tl.load(row + C.SIZES + 3) + p0
    pitch = tl.load(row + C.PITCH).to(tl.int32)
    to_p = parts + tl.load(row + C.PART_P) + of_p * pitch
    kept = (parts + tl.load(row + C.KEPT)).to(tl.pointer_type(tl.float64), bitcast=True) + number * F.strip
    at, period = tl.arange(0, F.strip), tl.load(row + C.PERIOD).to(tl.int32)
    columns, largest = _nothing(F), tl.full((F.strip,), 0, tl.int32)
    coming = _row(tile[OF_G], tile, 0, strip, F)
    for down in range(tile[HEIGHT]):
        of_y = _row(tile[OF_Y], tile, down, strip, F) if F.orthograd else coming
        columns, sums, largest = _with_row(columns, largest, coming, of_y, tile, found, F)
        tl.debug_barrier()  # what was kept of the row above has been read
        coming = _row(tile[OF_G], tile, tl.minimum(down + 1, tile[HEIGHT] - 1), strip, F)
        tl.store(kept + at, sums)
        tl.debug_barrier()
        _add_up(to_p + down * pitch, kept, period, strip)
    _keep_columns(row, number, columns, parts, F)
    if F.orthograd == False:  # noqa: E712
        tell(row, number, bad, largest[:, None, None])
