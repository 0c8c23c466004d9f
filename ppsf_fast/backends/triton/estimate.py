"""What a pass does for the estimate: what a parameter remembers of its samples, and its sums over a tile."""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.blocks import (
    HEIGHT,
    OF_Y,
    OF_Z,
    block,
    get,
    has_moment,
    is_set,
    of,
    only_if,
    opened,
    pointer,
    samples,
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
    return to_x0, tl.load(row + C.BY_X0), to_s, tl.load(row + C.BY_S), has_moment(row, F)


@triton.jit
def recalled(memory, element, taken, F: tl.constexpr):
    """What is remembered of elements: x0 and s, in the place of which x0 stands where there is none.

    Args:
        memory: of :func:`remembered`.
        element, taken: positions in row-major logical order, and those of them that are sampled.
    """
    to_x0, by_x0, to_s, by_s, _ = memory
    nth = element // F.stride
    x0 = widened(tl.load(to_x0 + nth * by_x0, mask=taken, other=0.0))
    if F.statistics == "displacement":
        return x0, x0
    else:
        return x0, widened(tl.load(to_s + nth * by_s, mask=taken, other=0.0))


@triton.jit
def measured(memory, numbers, found, F: tl.constexpr):
    """Renew what a block remembers for the estimate; returns its share of the sums, of the block's shape.

    Args:
        memory: of :func:`remembered`.
        found: of elements the positions, which of them are sampled, gradient, y, z, and what is remembered of them.
    """
    element, taken, grad, y, z, x0, before = found
    point = z if F.at_z else y
    displacement = x0 - point
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
        to = memory[2] + element // F.stride * memory[3]
        tl.store(to, nearest(s, F.s), mask=only_if(taken, keeps))
        # clause: PPSF-D-004 58e6761c
        return inner, tl.where(taken, tl.abs(s), 0.0).to(tl.float64), tl.zeros_like(inner)


@triton.jit
def sampled(tile, memory, numbers, down, F: tl.constexpr):
    """What :func:`measured` needs of the samples among a block, read by themselves: they are few, and near. Nothing may
    be written before all threads have read theirs."""
    # clause: PPSF-N-001 4572b27e
    at, element, taken = samples(tile, down, F)
    return _read(tile, memory, numbers, at, element, taken, F)


@triton.jit
def _read(tile, memory, numbers, at, element, taken, F: tl.constexpr):
    y = get(tile[OF_Y], at, taken, F)
    z = get(tile[OF_Z], at, taken, F) if F.at_z else y
    x0, s = recalled(memory, element, taken, F)
    return element, taken, gradient(tile, numbers, at, taken, y, F), y, z, x0, s


@triton.jit
def no_sums(F: tl.constexpr):
    """A sum before the first block, of the shape of what :func:`measured` gives."""
    if F.sampled > 0:
        return tl.full((F.bp, F.sampled, 1), 0, tl.float64)
    else:
        return tl.full((F.bp, F.bq, F.bl), 0, tl.float64)


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
    sums = (no_sums(F), no_sums(F), no_sums(F))
    for down in range(0, tile[HEIGHT], F.bp):
        if F.sampled > 0:
            found = sampled(tile, memory, numbers, down, F)
        else:
            at, element, mask = block(tile, down, F)
            # clause: PPSF-N-001 4572b27e
            found = _read(tile, memory, numbers, at, element, mask & (element % F.stride == 0), F)
        sums = more(sums, measured(memory, numbers, found, F))
    keep_sums(slots, slot, sums, F)
