"""Where a program works: tiles of any tensor, seen along five axes with a stride each.

A tile lies along two axes and in the depth of a third; the other two are fixed in it. It is gone through in blocks of
[bp, bq, bl] elements, down its first axis. What is the same for all of its blocks is read before the first one: stores
would keep the compiler from finding out that it stays the same.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.rounding import nearest, unpacked, widened

#: What is known of a tile: its views of the operands and of row-major logical order, where it begins, what of each size
#: it may have from there on, how many rows it has, the position of its parameter, whether the second moment is a row
#: and a column, and what multiplies the gradient.
OF_Y, OF_G, OF_Z, OF_M, OF_V, OF_TURNED, OF_E, START, LEFT, HEIGHT, INDEX, FACTORED, UNSCALE = map(
    tl.constexpr, range(13)
)
_NUMBERS = tl.constexpr(C.NUMBERS_WIDTH)


@triton.jit
def opened(row, tile, TILES: tl.constexpr, F: tl.constexpr):
    """What all blocks of a tile share.

    Args:
        TILES: the columns of its kind of tiles.
    """
    start = corner(row, tile, TILES, F)
    _, _, l0, p0, q0 = start
    left_l, left_p = (tl.load(row + C.SIZES + 2) - l0).to(F.index), (tl.load(row + C.SIZES + 3) - p0).to(F.index)
    left_q, numel = (tl.load(row + C.SIZES + 4) - q0).to(F.index), tl.load(row + C.NUMEL).to(F.index)
    if F.vector:  # hints count only in the function that makes the value
        left_q, numel = tl.multiple_of(left_q, 8), tl.multiple_of(numel, 8)
    height = tl.minimum(left_p, tl.load(row + TILES + 3).to(F.index)).to(tl.int32)
    return (
        _view(_pointer(row, C.Y, F.y, F), row, C.BY_Y, start, F),
        _view(_pointer(row, C.G, F.g, F), row, C.BY_G, start, F),
        _view(_pointer(row, C.Z, F.z, F), row, C.BY_Z, start, F),
        _view(_pointer(row, C.M, F.m, F), row, C.BY_M, start, F),
        _view(_pointer(row, C.V, F.v, F), row, C.BY_V, start, F),
        _view(_pointer(row, C.TURNED, tl.float32, F), row, C.BY_TURNED, start, F),
        _logical(row, start, F),
        start,
        (left_l, height.to(F.index), left_q, numel),
        height,
        tl.load(row + C.INDEX),
        tl.load(row + C.FACTORED) != 0,
        _unscale(row, F),
    )


@triton.jit
def corner(row, tile, TILES: tl.constexpr, F: tl.constexpr):
    """The outer two coordinates of a tile, and where it begins along the other three: int64 numbers."""
    along_l, along_p, along_q = tl.load(row + TILES), tl.load(row + TILES + 1), tl.load(row + TILES + 2)
    if F.sums and F.periodic:
        q0 = (tile % along_q) * (tl.load(row + C.STRIP) * F.across)
    else:
        q0 = (tile % along_q) * F.bq
    tile = tile // along_q
    p0 = (tile % along_p) * tl.load(row + TILES + 3)
    tile = tile // along_p
    l0 = (tile % along_l) * F.bl
    tile = tile // along_l
    inner = tl.load(row + C.SIZES + 1)
    return tile // inner, tile % inner, l0, p0, q0


@triton.jit
def pointer(row, AT: tl.constexpr, dtype: tl.constexpr):
    """The address in a column as one of elements of a dtype."""
    return tl.load(row + AT).to(tl.pointer_type(dtype))


@triton.jit
def _pointer(row, AT: tl.constexpr, dtype: tl.constexpr, F: tl.constexpr):
    """The same where it may be known that the address can be divided by 16."""
    if F.vector:
        return tl.multiple_of(tl.load(row + AT).to(tl.pointer_type(dtype)), 16)
    return pointer(row, AT, dtype)


@triton.jit
def _view(base, row, BY: tl.constexpr, start, F: tl.constexpr):
    """Where a tile begins in a tensor, and the strides of its three axes."""
    b0, b1, l0, p0, q0 = start
    by_l, by_p, by_q = tl.load(row + BY + 2), tl.load(row + BY + 3), tl.load(row + BY + 4)
    first = b0 * tl.load(row + BY) + b1 * tl.load(row + BY + 1) + l0 * by_l + p0 * by_p + q0 * by_q
    if F.vector:  # the second side is without gaps
        return (
            base + tl.multiple_of(first, 8),
            tl.multiple_of(by_l.to(F.index), 8),
            tl.multiple_of(by_p.to(F.index), 8),
            by_q.to(F.index),
        )
    return base + first, by_l.to(F.index), by_p.to(F.index), by_q.to(F.index)


@triton.jit
def _logical(row, start, F: tl.constexpr):
    """As a view: the position of the first element of a tile in row-major logical order, and the strides there."""
    b0, b1, l0, p0, q0 = start
    by_l, by_p, by_q = tl.load(row + C.BY_E + 2), tl.load(row + C.BY_E + 3), tl.load(row + C.BY_E + 4)
    first = b0 * tl.load(row + C.BY_E) + b1 * tl.load(row + C.BY_E + 1) + l0 * by_l + p0 * by_p + q0 * by_q
    if F.fours:
        return (
            tl.multiple_of(first.to(F.index), 8),
            tl.multiple_of(by_l.to(F.index), 8),
            tl.multiple_of(by_p.to(F.index), 8),
            by_q.to(F.index),
        )
    return first.to(F.index), by_l.to(F.index), by_p.to(F.index), by_q.to(F.index)


@triton.jit
def _unscale(row, F: tl.constexpr):
    if F.scaled:
        return tl.load(pointer(row, C.UNSCALE, tl.float32))
    return 1.0


@triton.jit
def block(tile, down, F: tl.constexpr):
    """The coordinates of a block, `down` positions below the beginning of its tile; the position of its elements in
    row-major logical order; and which elements there are."""
    l = tl.arange(0, F.bl).to(F.index)[None, None, :]
    p = down + tl.arange(0, F.bp).to(F.index)[:, None, None]
    q = tl.arange(0, F.bq).to(F.index)[None, :, None]
    at = (l, p, q)
    element = place(tile[OF_E], at, F.fours)
    return at, element, inside(tile, at, element)


@triton.jit
def place(view, at, EVEN: tl.constexpr):
    """Where elements are, by a view; EVEN says that the second side is without gaps."""
    first, by_l, by_p, by_q = view
    l, p, q = at
    if EVEN:
        return first + (l * by_l + p * by_p + q)
    return first + (l * by_l + p * by_p + q * by_q)


@triton.jit
def inside(tile, at, element):
    """Which of the coordinates are those of an element."""
    l, p, q = at
    left_l, left_p, left_q, numel = tile[LEFT]
    return (p < left_p) & (q < left_q) & (l < left_l) & (element < numel)


@triton.jit
def first_of_fours(tile, down, F: tl.constexpr):
    """The positions in logical order of every fourth element of a block, where four follow each other."""
    p = down + tl.arange(0, F.bp).to(F.index)[:, None, None]
    q = 4 * tl.arange(0, F.bq // 4).to(F.index)[None, :, None]
    return place(tile[OF_E], (tl.zeros((1, 1, 1), F.index), p, q), True)


@triton.jit
def get(view, at, mask, F: tl.constexpr):
    """Elements of a tensor, in float32; 0 where there is none."""
    return widened(tl.load(place(view, at, F.vector), mask=mask, other=0.0))


@triton.jit
def fetched(tile, OF: tl.constexpr, down, F: tl.constexpr):
    """The elements of a block as they are stored. A pass asks for a block before it works on the one above, so that
    memory and arithmetic take their time together."""
    if F.vector and F.sums == False and F.periodic == False and tile[OF][0].dtype.element_ty == tl.bfloat16:  # noqa: E712
        return _in_pairs(tile, OF, down, F)
    else:
        at, _, mask = block(tile, down, F)
        return tl.load(place(tile[OF], at, F.vector), mask=mask, other=0.0)


@triton.jit
def _in_pairs(tile, OF: tl.constexpr, down, F: tl.constexpr):
    """The same as words of two elements each, the first one in the lower half: [bp, bq / 2, bl]."""
    first, by_l, by_p, _ = tile[OF]
    left_l, left_p, left_q, numel = tile[LEFT]
    l = tl.arange(0, F.bl).to(F.index)[None, None, :]
    p = down + tl.arange(0, F.bp).to(F.index)[:, None, None]
    pair = tl.arange(0, F.bq // 2).to(F.index)[None, :, None]
    # Asked of pairs, so that the compiler knows that four of them are there together, and reads these at once.
    there = (p < left_p) & (pair < tl.multiple_of(left_q // 2, 4)) & (l < left_l)
    if F.fours:  # the last row of what is folded may be shorter; nothing else is
        element, over_l, over_p, _ = tile[OF_E]
        before = l * tl.multiple_of(over_l // 2, 4) + p * tl.multiple_of(over_p // 2, 4)
        there &= tl.multiple_of(element // 2, 4) + before + pair < tl.multiple_of(numel // 2, 4)
    words = tl.multiple_of(first.to(tl.pointer_type(tl.uint32), bitcast=True), 16)
    before = l * tl.multiple_of(by_l // 2, 4) + p * tl.multiple_of(by_p // 2, 4)
    return tl.load(words + (before + pair), mask=there, other=0)


@triton.jit
def as_read(found, F: tl.constexpr):
    """What :func:`fetched` gave as the arithmetic reads it: [bp, bq, bl], float32."""
    if found.dtype == tl.uint32:
        return unpacked(found, F.bp, F.bq)
    else:
        return widened(found)


@triton.jit
def put(view, at, mask, values, F: tl.constexpr):
    """Write elements of a tensor, rounded to nearest."""
    to = place(view, at, F.vector)
    tl.store(to, nearest(values, to.dtype.element_ty), mask=mask)


@triton.jit
def unscaled(tile, at, mask, F: tl.constexpr):
    """Elements of the gradient as the arithmetic reads them, in float32: nobody else reads it but by
    :func:`fetched`."""
    return without_scale(tile, get(tile[OF_G], at, mask, F), F)


@triton.jit
def without_scale(tile, grad, F: tl.constexpr):
    """The gradient without what a GradScaler has multiplied it by."""
    if F.scaled:
        # clause: PPSF-L-012 5cabe394
        grad = grad * tile[UNSCALE]
    return grad


@triton.jit
def of_group(row, numbers):
    """The numbers of the group of a parameter, by their columns; those that are not used are not read.

    Args:
        numbers: those of all groups.
    """
    at = numbers + tl.load(row + C.GROUP) * _NUMBERS
    found = (tl.load(at),)
    for column in tl.static_range(1, _NUMBERS):
        found = found + (tl.load(at + column),)  # noqa: RUF005  (Triton knows no star)
    return found


@triton.jit
def of(numbers, COLUMN: tl.constexpr):
    """A number of a group as arrays meet it: rounded to float32 once."""
    return numbers[COLUMN].to(tl.float32)


@triton.jit
def is_set(numbers, COLUMN: tl.constexpr):
    """Whether a number of a group is not 0."""
    return numbers[COLUMN] != 0


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


@triton.jit
def no_sums(LENGTH: tl.constexpr, F: tl.constexpr):
    """Float64 sums over a tile before its first block: one for so many neighbours in a row of a block."""
    if LENGTH == 1:
        return tl.full((F.bp, F.bq, F.bl), 0, tl.float64)
    else:
        return tl.full((1, F.bp * F.bq // LENGTH, 1), 0, tl.float64)
