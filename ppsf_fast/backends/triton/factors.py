"""The rows and columns of factored second moments: from the partial sums of the tiles to their new values."""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.blocks import has_moment, is_set, of, of_group, only_if, pointer
from ppsf_fast.backends.triton.geometry import REPEATED
from ppsf_fast.backends.triton.rounding import nearest, widened

_ITEM = tl.constexpr(C.ITEM_WIDTH)
_REPEATED = tl.constexpr(REPEATED)


@triton.jit
def _side(
    row, numbers, parts, means, slice_, piece, is_row,
    VECTOR: tl.constexpr, BY: tl.constexpr, PART: tl.constexpr,
    AXIS: tl.constexpr, OTHER: tl.constexpr, TILES: tl.constexpr, F: tl.constexpr,
):  # fmt: skip
    """Renew a piece of a row or a column, which lies along one axis of the tiles and was summed over the other.

    The arithmetic goes on from its value before that is rounded, under ADOPT from the one before this step: it is left
    in the place of the first partial sums, which nobody else reads; along the first side its root, since that is read
    for every block.
    """
    period = tl.load(row + C.PERIOD)
    size, tiles = tl.load(row + C.SIZES + AXIS), tl.load(row + TILES)
    count = tl.load(row + C.SIZES + OTHER)
    along = piece * F.piece + tl.arange(0, F.piece)
    at, room = along, size
    if F.flat and AXIS == 3:
        pitch = tl.load(row + C.PITCH)
        at, room = along // period * pitch + along % period, size * pitch
        size, count = size * period, count // period
    inside = along < size
    sums = tl.full((F.piece,), 0, tl.float64)
    first = tl.load(row + PART) + slice_ * tiles * room
    for tile in range(tiles.to(tl.int32)):
        sums += tl.load(parts + first + tile * room + at, mask=inside, other=0.0).to(tl.float64)
    mean = (sums / count.to(tl.float64)).to(tl.float32)
    depth, inner = tl.load(row + C.SIZES + 2), tl.load(row + C.SIZES + 1)
    outer = slice_ // depth
    place = (
        (outer // inner) * tl.load(row + BY)
        + (outer % inner) * tl.load(row + BY + 1)
        + (slice_ % depth) * tl.load(row + BY + 2)
        + along * tl.load(row + BY + AXIS)
    )
    to = pointer(row, VECTOR, F.vf) + place
    before = widened(tl.load(to, mask=inside, other=0.0))
    keep, gain = of(numbers, C.N_KEEP), of(numbers, C.N_GAIN)
    if F.adopt:
        # clause: PPSF-M-005 dfcd9473
        has = has_moment(row, F)
        keep, gain = tl.where(has, keep, 0.0), tl.where(has, gain, of(numbers, C.N_UNIT))
    # clause: PPSF-V-003 e56301e2
    # clause: PPSF-V-011 bfc8a7dc
    after = before * keep + mean * gain
    tl.store(to, nearest(after, F.vf), mask=only_if(inside, is_set(numbers, C.N_OK)))
    # clause: PPSF-M-006 bc3f0bb3
    used = before if F.adopt else after
    # clause: PPSF-V-005 170be250
    left = tl.sqrt_rn(used) if AXIS == 3 else used
    tl.store(parts + first + at, left, mask=inside)
    if F.flat and AXIS == 3:
        for more in range(_REPEATED):
            again = only_if(inside & (along % period == more % period), period > 1)
            tl.store(parts + first + along // period * pitch + (period + more), left, mask=again)
    if is_row:
        for nth in range(period.to(tl.int32)):
            total = tl.sum(tl.where(inside & (along % period == nth), used, 0.0).to(tl.float64), axis=0)
            to_mean = means + tl.load(row + C.MEAN) + (slice_ * period + nth) * tl.load(row + C.MEANS)
            tl.store(to_mean + piece, total)


@triton.jit
def pieces_of(row, F: tl.constexpr):
    """How many pieces the row and the column of a slice have along the two axes of tiles."""
    of_p = (tl.load(row + C.SIZES + 3) * tl.load(row + C.PERIOD) + F.piece - 1) // F.piece
    of_q = (tl.load(row + C.SIZES + 4) + F.piece - 1) // F.piece
    return of_p, of_q


@triton.jit
def renew(row, piece, numbers, parts, means, F: tl.constexpr):
    """Renew one piece of a row or column of a parameter."""
    of_p, of_q = pieces_of(row, F)
    slice_, piece = piece // (of_p + of_q), piece % (of_p + of_q)
    row_is_p = tl.load(row + C.ROW_IS_P) != 0
    if piece < of_p:
        _side(
            row, numbers, parts, means, slice_, piece, row_is_p,
            C.VP, C.BY_VP, C.PART_P, 3, 4, C.SUMS_Q, F,
        )  # fmt: skip
    else:
        _side(
            row, numbers, parts, means, slice_, piece - of_p, row_is_p == 0,
            C.VQ, C.BY_VQ, C.PART_Q, 4, 3, C.SUMS_P, F,
        )  # fmt: skip


@triton.jit
def factors(table, work, numbers, parts, means, F: tl.constexpr):
    """Renew rows and columns: one program for each piece of them."""
    to = work + 2 * tl.program_id(0).to(tl.int64)
    row = table + tl.load(to).to(tl.int64) * _ITEM
    renew(row, tl.load(to + 1).to(tl.int64), of_group(row, numbers), parts, means, F)
