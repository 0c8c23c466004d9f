"""Where a program works: tiles of any tensor, seen along five axes with a stride each.

A tile lies along two axes and in the depth of a third; the other two are fixed in it. It is gone through in blocks of
[BP, BQ, BL] elements, down its first axis.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.rounding import nearest, widened


@triton.jit
def corner(row, tile, TILES: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr):
    """The outer two coordinates of a tile, and where it begins along the other three: int64 numbers.

    Args:
        TILES: the columns of its kind of tiles.
    """
    along_l, along_p, along_q = tl.load(row + TILES), tl.load(row + TILES + 1), tl.load(row + TILES + 2)
    q0 = (tile % along_q) * BQ
    tile = tile // along_q
    p0 = (tile % along_p) * tl.load(row + TILES + 3)
    tile = tile // along_p
    l0 = (tile % along_l) * BL
    tile = tile // along_l
    inner = tl.load(row + C.SIZES + 1)
    return tile // inner, tile % inner, l0, p0, q0


@triton.jit
def rows(row, start, TILES: tl.constexpr):
    """How many positions along its first axis a tile has."""
    left = tl.load(row + C.SIZES + 3) - start[3]
    return tl.minimum(left, tl.load(row + TILES + 3)).to(tl.int32)


@triton.jit
def block(row, start, down, F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr):
    """The coordinates of a block, `down` positions below the beginning of its tile; the position of its elements in
    row-major logical order; and which elements there are."""
    b0, b1, l0, p0, q0 = start
    l = l0.to(F.index) + tl.arange(0, BL).to(F.index)[None, None, :]
    p = (p0 + down).to(F.index) + tl.arange(0, BP).to(F.index)[:, None, None]
    q = q0.to(F.index) + tl.arange(0, BQ).to(F.index)[None, :, None]
    at = (b0, b1, l, p, q)
    element = offset(row, C.BY_E, at, F)
    size_l, size_p, size_q = size(row, 2, F), size(row, 3, F), size(row, 4, F)
    numel = tl.load(row + C.NUMEL).to(F.index)
    if F.vector:  # hints count only where the value is made
        size_q = tl.multiple_of(tl.load(row + C.SIZES + 4).to(F.index), 8)
        numel = tl.multiple_of(tl.load(row + C.NUMEL).to(F.index), 8)
    inside = (p < size_p) & (q < size_q) & (l < size_l)
    return at, element, inside & (element < numel)


@triton.jit
def first_of_fours(row, start, down, F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr):
    """The positions in logical order of every fourth element of a block, where four follow each other."""
    b0, b1, l0, p0, q0 = start
    p = (p0 + down).to(F.index) + tl.arange(0, BP).to(F.index)[:, None, None]
    q = q0.to(F.index) + 4 * tl.arange(0, BQ // 4).to(F.index)[None, :, None]
    fixed = b0 * tl.load(row + C.BY_E) + b1 * tl.load(row + C.BY_E + 1) + l0 * tl.load(row + C.BY_E + 2)
    return fixed.to(F.index) + p * tl.load(row + C.BY_E + 3).to(F.index) + q


@triton.jit
def size(row, axis: tl.constexpr, F: tl.constexpr):
    """The size of an axis, as positions are counted."""
    return tl.load(row + C.SIZES + axis).to(F.index)


@triton.jit
def offset(row, BY: tl.constexpr, at, F: tl.constexpr):
    """Where elements lie in a tensor."""
    b0, b1, l, p, q = at
    fixed = (b0 * tl.load(row + BY) + b1 * tl.load(row + BY + 1)).to(F.index)
    if F.vector and (BY != C.BY_E or F.fours):  # the second side is without gaps
        fixed = tl.multiple_of(fixed, 8)
        by_l, by_p = tl.load(row + BY + 2).to(F.index), tl.load(row + BY + 3).to(F.index)
        return fixed + l * tl.multiple_of(by_l, 8) + p * tl.multiple_of(by_p, 8) + q
    by_l, by_p, by_q = tl.load(row + BY + 2), tl.load(row + BY + 3), tl.load(row + BY + 4)
    return fixed + l * by_l.to(F.index) + p * by_p.to(F.index) + q * by_q.to(F.index)


@triton.jit
def pointer(row, AT: tl.constexpr, dtype: tl.constexpr):
    """The address in a column as one of elements of a dtype."""
    return tl.load(row + AT).to(tl.pointer_type(dtype))


@triton.jit
def operand(row, AT: tl.constexpr, BY: tl.constexpr, at, dtype: tl.constexpr, F: tl.constexpr):
    """Where elements of an operand are."""
    if F.vector:
        base = tl.multiple_of(tl.load(row + AT).to(tl.pointer_type(dtype)), 16)
        return base + offset(row, BY, at, F)
    return pointer(row, AT, dtype) + offset(row, BY, at, F)


@triton.jit
def get(row, AT: tl.constexpr, BY: tl.constexpr, at, mask, dtype: tl.constexpr, F: tl.constexpr):
    """Elements of a tensor, in float32; 0 where there is none."""
    return widened(tl.load(operand(row, AT, BY, at, dtype, F), mask=mask, other=0.0))


@triton.jit
def unscaled(row, at, mask, F: tl.constexpr):
    """Elements of the gradient as the arithmetic reads them, in float32: nobody else reads it."""
    grad = get(row, C.G, C.BY_G, at, mask, F.g, F)
    if F.scaled:
        # clause: PPSF-L-012 5cabe394
        grad = grad * tl.load(pointer(row, C.UNSCALE, tl.float32))
    return grad


@triton.jit
def put(row, AT: tl.constexpr, BY: tl.constexpr, at, mask, values, dtype: tl.constexpr, F: tl.constexpr):
    """Write elements of a tensor, rounded to nearest."""
    tl.store(operand(row, AT, BY, at, dtype, F), nearest(values, dtype), mask=mask)


@triton.jit
def of(numbers, column: tl.constexpr):
    """A number of a group as arrays meet it: rounded to float32 once."""
    return tl.load(numbers + column).to(tl.float32)


@triton.jit
def is_set(numbers, column: tl.constexpr):
    """Whether a number of a group is not 0."""
    return tl.load(numbers + column) != 0


@triton.jit
def only_if(mask, flag):
    """A mask where a flag is set, else nothing. The interpreter knows no `&` of a mask and one flag."""
    return (mask.to(tl.int32) * flag.to(tl.int32)) > 0


@triton.jit
def has_moment(row, F: tl.constexpr):
    """Under ADOPT: whether there is a second moment to divide by."""
    if F.adopt:
        return tl.load(pointer(row, C.FILLED, tl.int8)) != 0
    return tl.load(row + C.NUMEL) >= 0
