"""What a pass does for the estimate: what a parameter remembers of its samples, and its sums over a tile."""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.blocks import (
    HEIGHT,
    OF_E,
    OF_Y,
    OF_Z,
    block,
    get,
    has_moment,
    inside,
    is_set,
    no_sums,
    of,
    only_if,
    opened,
    place,
    pointer,
)
from ppsf_fast.backends.triton.direction import gradient
from ppsf_fast.backends.triton.maths import sign, signed_root, total
from ppsf_fast.backends.triton.rounding import nearest, widened

#: Numbers in the slot of a tile: inner product, sum of magnitudes, and a third where SPEED asks for it.
SLOT = tl.constexpr(3)


@triton.jit
def remembered(row, F: tl.constexpr):
    """What the blocks of a parameter share of what it remembers for the estimate: where x0 and s are, their strides,
    and whether its weights have moved before."""
    to_x0, to_s = pointer(row, C.X0, F.x0), pointer(row, C.S, F.s)
    by_x0, by_s = tl.load(row + C.BY_X0).to(F.index), tl.load(row + C.BY_S).to(F.index)
    return to_x0, by_x0, to_s, by_s, has_moment(row, F)


@triton.jit
def _samples(tile, down, F: tl.constexpr):
    """Which elements of a block are samples. The second side is seen in groups of `F.group` neighbours, of which one at
    most is one: of each group the number of the sample among those of the parameter, its place in the group, and
    whether there is one."""
    ACROSS: tl.constexpr = F.bq // F.group
    if F.group == 1:
        l = tl.arange(0, F.bl).to(F.index)[None, None, :]
        p, q = down + tl.arange(0, F.bp).to(F.index)[:, None, None], tl.arange(0, F.bq).to(F.index)[None, :, None]
    else:
        # Counted through, the groups lie in threads as the elements do.
        number = tl.arange(0, F.bp * ACROSS).to(F.index)[None, :, None]
        l, p, q = tl.zeros((1, 1, 1), F.index), down + number // ACROSS, number % ACROSS * F.group
    first = place(tile[OF_E], (l, p, q), F.fours)
    # clause: PPSF-N-001 4572b27e
    nth = (first + (F.stride - 1)) // F.stride
    offset = nth * F.stride - first
    if F.group == 1:
        return nth, offset, inside(tile, (l, p, q), nth * F.stride) & (offset == 0)
    # Where elements are read in vectors, all of a group are there, or none.
    return nth, offset, inside(tile, (l, p, q), first) & (offset < F.group)


@triton.jit
def recollected(tile, memory, down, F: tl.constexpr):
    """What is remembered of the samples of a block: x0 and s, in the place of which x0 stands where there is none; and
    which these are.

    Args:
        memory: of :func:`remembered`.
    """
    to_x0, by_x0, to_s, by_s, _ = memory
    nth, offset, taken = _samples(tile, down, F)
    x0 = widened(tl.load(to_x0 + nth * by_x0, mask=taken, other=0.0))
    if F.statistics == "displacement":
        return x0, x0, nth, offset, taken
    else:
        return x0, widened(tl.load(to_s + nth * by_s, mask=taken, other=0.0)), nth, offset, taken


@triton.jit
def _chosen(values, offset, F: tl.constexpr):
    """Of each group of a block the element at an offset, float32; anything where there is none."""
    if F.group == 1:
        return values
    else:
        COUNT: tl.constexpr = F.bp * F.bq // F.group
        LEVELS: tl.constexpr = F.levels
        for level in tl.static_range(LEVELS):
            even, odd = tl.split(tl.reshape(values, (1, COUNT, F.group >> (level + 1), 2)))
            values = tl.where((offset >> level) & 1 != 0, odd, even)
        return values


@triton.jit
def measured(tile, memory, numbers, down, known, grad, y, z, F: tl.constexpr):
    """Renew what a block remembers for the estimate; returns its share of the sums, of the shape of its groups.

    Args:
        memory: of :func:`remembered`.
        known: of :func:`recollected`.
        grad, y, z: of the block, float32, [bp, bq, bl].
    """
    x0, before, nth, offset, taken = known
    if F.periodic:  # registers are scarce there
        nth, offset, taken = _samples(tile, down, F)
    grad = _chosen(grad, offset, F)
    displacement = x0 - _chosen(z if F.at_z else y, offset, F)
    # clause: PPSF-D-002 d788f0e1
    inner = tl.where(taken, (grad * displacement).to(tl.float64), 0.0)
    if F.statistics == "displacement":
        way = tl.where(taken, displacement, 0.0)
        return inner, tl.abs(way).to(tl.float64), (way * way).to(tl.float64)
    else:
        if F.statistics == "signs":
            # clause: PPSF-M-011 33557d3f
            grad = sign(grad)
        elif F.amplifies:
            # clause: PPSF-D-023 dbf30264
            grad = signed_root(grad)
        # clause: PPSF-D-003 e3d54af9
        s = before * of(numbers, C.N_BETA3) + grad * of(numbers, C.N_SUM)
        keeps = is_set(numbers, C.N_OK) & is_set(numbers, C.N_OPENED) & memory[4]
        to = memory[2] + nth * memory[3]
        tl.store(to, nearest(s, F.s), mask=only_if(taken, keeps))
        # clause: PPSF-D-004 58e6761c
        return inner, tl.where(taken, tl.abs(s), 0.0).to(tl.float64), tl.zeros_like(inner)


@triton.jit
def more(sums, share):
    """The three sums with the share of one more block."""
    return sums[0] + share[0], sums[1] + share[1], sums[2] + share[2]


@triton.jit
def keep_sums(slots, slot, sums, F: tl.constexpr):
    """Write the sums of a tile to its slot."""
    tl.store(slots + slot * SLOT, total(sums[0]))
    tl.store(slots + slot * SLOT + 1, total(sums[1]))
    if F.statistics == "displacement":
        tl.store(slots + slot * SLOT + 2, total(sums[2]))


@triton.jit
def measure(row, number, slot, slots, numbers, F: tl.constexpr):
    """Write the sums of the estimate, before any weight moves."""
    tile, memory = opened(row, number, C.TILES_L, F), remembered(row, F)
    sums = (no_sums(F.group, F), no_sums(F.group, F), no_sums(F.group, F))
    for down in range(0, tile[HEIGHT], F.bp):
        at, _, mask = block(tile, down, F)
        y = get(tile[OF_Y], at, mask, F)
        z = get(tile[OF_Z], at, mask, F) if F.at_z else y
        grad = gradient(tile, numbers, at, mask, y, F)
        known = recollected(tile, memory, down, F)
        sums = more(sums, measured(tile, memory, numbers, down, known, grad, y, z, F))
    keep_sums(slots, slot, sums, F)
