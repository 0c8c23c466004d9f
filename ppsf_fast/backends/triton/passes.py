"""What is done to a tile in each pass over the gradients; `kernels` launches these over the work table.

Sums are accumulated in float64 and written to a slot of the tile, so that their order is the same in every run.
"""

from __future__ import annotations

import struct

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.blocks import (
    FACTORED,
    HEIGHT,
    INDEX,
    LEFT,
    OF_G,
    OF_M,
    OF_TURNED,
    OF_V,
    OF_Y,
    OF_Z,
    START,
    as_read,
    block,
    fetched,
    first_of_fours,
    get,
    has_moment,
    is_set,
    no_sums,
    of,
    only_if,
    opened,
    place,
    put,
    unscaled,
    without_scale,
)
from ppsf_fast.backends.triton.direction import (
    SHARE,
    agrees,
    clipped,
    decayed,
    dense_root,
    gradient,
    known,
    moment_of,
    opened_root,
    penalized,
    renewed,
    renewed_average,
    root_along,
    seen,
    update_of,
)
from ppsf_fast.backends.triton.estimate import SLOT, keep_sums, measured, more, recollected, remembered
from ppsf_fast.backends.triton.maths import sign, total
from ppsf_fast.backends.triton.rounding import stochastic, words, words_in_fours
from ppsf_fast.backends.triton.squares import is_tame, more_squares, with_square
from ppsf_fast.plan import TOO_LARGE

#: As a bit pattern.
_TOO_LARGE = tl.constexpr(int.from_bytes(struct.pack(">f", TOO_LARGE)))


@triton.jit
def find_bad(row, number, bad, F: tl.constexpr):
    """Write whether a tile holds a gradient that is not finite in float32, or that this cannot square."""
    # clause: PPSF-L-004 863a8cde
    tile = opened(row, number, C.SUMS_L, F)
    largest = tl.full((F.bp, F.bq, F.bl), 0, tl.int32)
    for down in range(0, tile[HEIGHT], F.bp):
        at, _, mask = block(tile, down, F)
        grad = unscaled(tile, at, mask, F)
        largest = tl.maximum(largest, magnitude(grad))
    tell(row, number, bad, largest)


@triton.jit
def magnitude(grad):
    """The bit patterns of the absolute values of float32 values, int32: in the order of their size, what is infinite
    above all numbers, and what is none above that."""
    return grad.to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def tell(row, number, bad, largest):
    """Write whether a tile, of those that the first look goes over, has an element that is not finite or cannot be
    squared.

    Args:
        largest: the largest magnitude at each place of its blocks.
    """
    found = (largest >= _TOO_LARGE).to(tl.int32)
    tl.store(bad + tl.load(row + C.FIRST_LOOK) + number, tl.sum(tl.sum(tl.sum(found, axis=2), axis=1), axis=0))


@triton.jit
def _with_squares(sums, grad, tile, down, found, F: tl.constexpr):
    """The sums along the columns and the largest magnitudes with those of one more block, of which the gradient is as
    it is stored; and the sums along its rows, [bp, bl]."""
    columns, largest = sums
    grad = without_scale(tile, as_read(grad, F), F)
    largest = tl.maximum(largest, magnitude(grad))
    if F.orthograd:
        at, _, mask = block(tile, down, F)
        grad = seen(grad, get(tile[OF_Y], at, mask, F), found, F)
    wide = grad.to(tl.float64)
    square = wide * wide
    return (columns + square, largest), tl.sum(square, axis=1).to(tl.float32)


@triton.jit
def _gradients(tile, F: tl.constexpr):
    """Those of the first blocks of a tile, as they are stored."""
    AHEAD: tl.constexpr = F.ahead
    found = ()
    for nth in tl.static_range(AHEAD):
        found = found + (fetched(tile, OF_G, nth * F.bp, F),)  # type: ignore[assignment]  # noqa: RUF005
    return found


@triton.jit
def _with_ahead(sums, rows, coming, tile, top, down, found, F: tl.constexpr):
    """The sums with those of the blocks that were asked for; each of these is followed by asking for another."""
    AHEAD: tl.constexpr = F.ahead
    SPAN: tl.constexpr = F.span
    later = ()
    for nth in tl.static_range(AHEAD):
        here = down + nth * F.bp
        sums, row_sums = _with_squares(sums, coming[nth], tile, here, found, F)
        rows = tl.where(tl.arange(0, SPAN)[None, :, None] * F.bp == here - top, row_sums[:, None, :], rows)
        later = later + (fetched(tile, OF_G, here + AHEAD * F.bp, F),)  # type: ignore[assignment]  # noqa: RUF005
    return sums, rows, later


@triton.jit
def add_squares(row, number, found, parts, bad, F: tl.constexpr):
    """Write the sums of squares along the rows and columns of a tile, and whether its gradient is finite.

    Squares are exact in float64, and so nearly are their sums: a partial sum, rounded to float32 once, is no farther
    from the truth than one of squares that were rounded themselves. As nothing is negative, the relative error of a sum
    of partial sums is at most that of one.
    """
    # clause: PPSF-V-003 e56301e2
    # clause: PPSF-V-011 bfc8a7dc
    tile = opened(row, number, C.SUMS_L, F)
    b0, b1, l0, p0, q0 = tile[START]
    left = tile[LEFT]
    size_l, size_p, size_q = tl.load(row + C.SIZES + 2), tl.load(row + C.SIZES + 3), tl.load(row + C.SIZES + 4)
    l = tl.arange(0, F.bl).to(F.index)[None, :]
    part = (b0 * tl.load(row + C.SIZES + 1) + b1) * size_l + l0 + l
    row_of_tiles, column_of_tiles = q0 // F.bq, p0 // tl.load(row + C.SUMS_HEIGHT)
    to_p = parts + tl.load(row + C.PART_P) + (part * tl.load(row + C.SUMS_Q) + row_of_tiles) * size_p + p0
    to_q = parts + tl.load(row + C.PART_Q) + (part * tl.load(row + C.SUMS_P) + column_of_tiles) * size_q + q0
    sums = tl.full((F.bp, F.bq, F.bl), 0, tl.float64), tl.full((F.bp, F.bq, F.bl), 0, tl.int32)
    found = known(found)
    AHEAD: tl.constexpr = F.ahead
    SPAN: tl.constexpr = F.span
    of_block, in_block = tl.arange(0, SPAN)[None, :, None], tl.arange(0, F.bp)[:, None, None]
    coming = _gradients(tile, F)
    for top in range(0, tile[HEIGHT], SPAN * F.bp):
        rows = tl.full((F.bp, F.span, F.bl), 0, tl.float32)
        for down in range(top, tl.minimum(tile[HEIGHT], top + SPAN * F.bp), AHEAD * F.bp):
            sums, rows, coming = _with_ahead(sums, rows, coming, tile, top, down, found, F)
        p = (top + of_block * F.bp + in_block).to(F.index)
        tl.store(to_p[None, :] + p, rows, mask=(p < left[1]) & (l[None, :] < left[0]))
    columns, largest = sums
    q = tl.arange(0, F.bq).to(F.index)[:, None]
    tl.store(to_q + q, tl.sum(columns, axis=0).to(tl.float32), mask=(q < left[2]) & (l < left[0]))
    if F.orthograd == False:  # noqa: E712
        tell(row, number, bad, largest)


@triton.jit
def add_components(row, number, slot, slots, bad, F: tl.constexpr):
    """Write the sums that OrthoGrad needs: of y y, y g and g g; and whether the gradient is finite."""
    tile = opened(row, number, C.TILES_L, F)
    largest = tl.full((F.bp, F.bq, F.bl), 0, tl.int32)
    of_y = tl.full((F.bp, F.bq, F.bl), 0, tl.float64)
    of_both = tl.full((F.bp, F.bq, F.bl), 0, tl.float64)
    of_grad = tl.full((F.bp, F.bq, F.bl), 0, tl.float64)
    for down in range(0, tile[HEIGHT], F.bp):
        at, _, mask = block(tile, down, F)
        grad, y = unscaled(tile, at, mask, F), get(tile[OF_Y], at, mask, F)
        largest = tl.maximum(largest, magnitude(grad))
        of_y += (y * y).to(tl.float64)
        of_both += (y * grad).to(tl.float64)
        of_grad += (grad * grad).to(tl.float64)
    tl.store(slots + slot * SLOT, total(of_y))
    tl.store(slots + slot * SLOT + 1, total(of_both))
    tl.store(slots + slot * SLOT + 2, total(of_grad))
    tell(row, number, bad, largest)


@triton.jit
def add_part(row, number, slot, slots, found, F: tl.constexpr):
    """Write the sum of squares of what OrthoGrad leaves of a gradient, before it is made longer again."""
    tile = opened(row, number, C.TILES_L, F)
    found = known(found)
    squares = tl.full((F.bp, F.bq, F.bl), 0, tl.float64)
    for down in range(0, tile[HEIGHT], F.bp):
        at, _, mask = block(tile, down, F)
        y = get(tile[OF_Y], at, mask, F)
        part = seen(unscaled(tile, at, mask, F), y, found, F)
        squares = with_square(squares, part)
    tl.store(slots + slot * SLOT, total(squares))


@triton.jit
def _root(row, tile, roots, means, F: tl.constexpr):
    """What all blocks share of the root of a factored second moment; of another one nobody asks."""
    if F.factored:
        return opened_root(row, tile, roots, means, F)
    else:
        return 0.0, 0, 0, 1


@triton.jit
def _point(row, tile, numbers, root, along, at, mask, grad, y, F: tl.constexpr):
    """What the update is divided by, or compared with; and the new second moment, where each element has one.

    Args:
        root, along: of a second moment of a row and a column, what :func:`_root` and :func:`root_along` gave.
    """
    if F.muon:
        return get(tile[OF_TURNED], at, mask, F), grad
    if F.focus:
        return renewed_average(row, tile, numbers, y, at, mask, F)
    if F.factored and F.dense:
        if tile[FACTORED]:
            # clause: PPSF-V-005 170be250
            point, after = along * root[0], grad
        else:
            before, after = renewed(row, tile, numbers, grad, at, mask, F)
            point = dense_root(before, after, numbers, F)
        return point, after
    elif F.factored:
        # clause: PPSF-V-005 170be250
        return along * root[0], grad
    else:
        before, after = renewed(row, tile, numbers, grad, at, mask, F)
        return dense_root(before, after, numbers, F), after


@triton.jit
def _moment(row, tile, numbers, grad, point, y, at, mask, F: tl.constexpr):
    """The first moment after this step, where there is one or ADOPT needs one, and the gradient it is made of."""
    if F.averages == False and (F.keeps_moment or F.adopt):  # noqa: E712
        return moment_of(row, tile, numbers, grad, point, y, at, mask, F)
    else:
        return grad, grad


@triton.jit
def count_steered(row, number, slot, slots, found, numbers, roots, means, F: tl.constexpr):
    """Write how many elements of the first moment have the sign of the gradient."""
    tile = opened(row, number, C.TILES_L, F)
    found = known(found)
    root = _root(row, tile, roots, means, F)
    count = tl.full((F.bp, F.bq, F.bl), 0, tl.float32)
    for down in range(0, tile[HEIGHT], F.bp):
        at, _, mask = block(tile, down, F)
        y = get(tile[OF_Y], at, mask, F)
        grad = seen(gradient(tile, numbers, at, mask, y, F), y, found, F)
        along = root_along(tile, root, down, F)
        point, _ = _point(row, tile, numbers, root, along, at, mask, grad, y, F)
        moment, source = _moment(row, tile, numbers, grad, point, y, at, mask, F)
        count += tl.where(mask, agrees(moment, source), 0.0)
    tl.store(slots + slot * SLOT, total(count))


@triton.jit
def add_size(row, number, slot, slots, F: tl.constexpr):
    """Write the sum of squares of the direction in which Muon moves a parameter."""
    tile = opened(row, number, C.TILES_L, F)
    squares = tl.full((F.bp, F.bq, F.bl), 0, tl.float64)
    for down in range(0, tile[HEIGHT], F.bp):
        at, _, mask = block(tile, down, F)
        values = get(tile[OF_TURNED], at, mask, F)
        squares = with_square(squares, values)
    tl.store(slots + slot * SLOT, total(squares))


@triton.jit
def _turn(tile, root, down, F: tl.constexpr):
    """Of each block of a turn the gradient as it is stored, and the root of the side along its first axis."""
    TURN: tl.constexpr = F.turn
    grads = ()
    roots = ()
    for nth in tl.static_range(TURN):
        here = down + nth * F.bp
        grads = grads + (fetched(tile, OF_G, here, F),)  # type: ignore[assignment]  # noqa: RUF005
        roots = roots + (root_along(tile, root, here, F),)  # type: ignore[assignment]  # noqa: RUF005
    return grads, roots


@triton.jit
def _with_update(squares, grad, along, row, tile, down, numbers, found, root, tame, F: tl.constexpr):
    """Sums of squares with those of the update of one more block, of which the gradient is as it is stored."""
    grad = without_scale(tile, as_read(grad, F), F)
    at, _, mask = block(tile, down, F)
    y = get(tile[OF_Y], at, mask & F.norm_sees_y, F)
    grad = seen(penalized(grad, numbers, y, F), y, found, F)
    point, _ = _point(row, tile, numbers, root, along, at, mask, grad, y, F)
    moment, source = _moment(row, tile, numbers, grad, point, y, at, mask, F)
    update = update_of(moment, source, grad, point, y, numbers, found, F)
    return more_squares(squares, update, mask, tame, F)


@triton.jit
def add_norm(row, number, slot, slots, found, numbers, roots, means, F: tl.constexpr):
    """Write the sum of squares of the update."""
    tile = opened(row, number, C.TILES_L, F)
    found = known(found)
    root, tame = _root(row, tile, roots, means, F), is_tame(numbers, F)
    squares = no_sums(F.run, F)
    TURN: tl.constexpr = F.turn
    coming, coming_roots = _turn(tile, root, 0, F)
    for down in range(0, tile[HEIGHT], TURN * F.bp):
        grads, along = coming, coming_roots
        coming, coming_roots = _turn(tile, root, down + TURN * F.bp, F)
        for nth in tl.static_range(TURN):
            here = down + nth * F.bp
            squares = _with_update(squares, grads[nth], along[nth], row, tile, here, numbers, found, root, tame, F)
    tl.store(slots + slot * SLOT, total(squares))


@triton.jit
def _decrease(y, z, update, numbers, F: tl.constexpr):
    """By how much y falls where weights are averaged, but for decay beside the update."""
    return (y - z) * of(numbers, C.N_MIX) + update * of(numbers, C.N_Y)


@triton.jit
def count_averaged(row, number, slot, slots, found, numbers, roots, means, F: tl.constexpr):
    """Write how many elements of the decrease of y have the sign of the update."""
    tile = opened(row, number, C.TILES_L, F)
    found = known(found)
    root = _root(row, tile, roots, means, F)
    count = tl.full((F.bp, F.bq, F.bl), 0, tl.float32)
    for down in range(0, tile[HEIGHT], F.bp):
        at, _, mask = block(tile, down, F)
        y, z = get(tile[OF_Y], at, mask, F), get(tile[OF_Z], at, mask, F)
        grad = seen(gradient(tile, numbers, at, mask, y, F), y, found, F)
        along = root_along(tile, root, down, F)
        point, _ = _point(row, tile, numbers, root, along, at, mask, grad, y, F)
        update = update_of(grad, grad, grad, point, y, numbers, found, F)
        update = decayed(clipped(update, found, F), y, numbers, F)
        count += tl.where(mask, agrees(_decrease(y, z, update, numbers, F), update), 0.0)
    tl.store(slots + slot * SLOT, total(count))


@triton.jit
def _new_y(y, z, update, found, numbers, F: tl.constexpr):
    if F.steer == "grams":
        # clause: PPSF-M-002 dd8e6b2b
        return y - tl.abs(_decrease(y, z, update, numbers, F)) * sign(update)
    elif F.steer == "cautious":
        # clause: PPSF-M-001 9062a592
        decrease = _decrease(y, z, update, numbers, F)
        return y - decrease * tl.div_rn(agrees(decrease, update), of(found, SHARE))
    else:
        # clause: PPSF-Z-002 f37679bd
        mix = of(numbers, C.N_MIX)
        near_y = mix < 0.5
        mixed = tl.where(near_y, y, z) + (z - y) * tl.where(near_y, mix, mix - 1.0)
        return mixed - update * of(numbers, C.N_Y)


@triton.jit
def _without_average(y, update, numbers, F: tl.constexpr):
    if F.decay == "apart":
        # clause: PPSF-W-010 f7e19401
        y = y - y * of(numbers, C.N_YDECAY)
    # clause: PPSF-Z-012 ec80dd2d
    return y - update * of(numbers, C.N_Z)


@triton.jit
def _put_rounded(view, at, mask, values, noise, F: tl.constexpr):
    tl.store(place(view, at, F.vector), stochastic(values, noise), mask=mask)


@triton.jit
def _move(tile, numbers, found, down, at, element, mask, y, z, update, F: tl.constexpr):
    """Write y and z."""
    if F.noise_y or F.noise_z:
        seed, step = numbers[C.N_SEED].to(tl.int64), numbers[C.N_K].to(tl.int64)
        if F.fours:
            drawn = words_in_fours(first_of_fours(tile, down, F), seed, step, tile[INDEX], F.bp, F.bq)
        else:
            drawn = words(element, seed, step, tile[INDEX])
    if F.averages:
        new_y = _new_y(y, z, update, found, numbers, F)
        # clause: PPSF-Z-003 ab92e5c3
        new_z = z - update * of(numbers, C.N_Z)
        if F.decay == "beside":
            # clause: PPSF-W-002 04320623
            new_y = new_y - y * of(numbers, C.N_YDECAY)
            new_z = new_z - y * of(numbers, C.N_DECAY)
        if F.noise_z:
            _put_rounded(tile[OF_Z], at, mask, new_z, drawn >> 16, F)
        else:
            put(tile[OF_Z], at, mask, new_z, F)
    else:
        new_y = _without_average(y, update, numbers, F)
    if F.noise_y:
        _put_rounded(tile[OF_Y], at, mask, new_y, drawn & 0xFFFF, F)
    else:
        put(tile[OF_Y], at, mask, new_y, F)


@triton.jit
def _coming(tile, memory, root, down, F: tl.constexpr):
    """What is needed of a block, asked for while the one above is worked on: the gradient, y and z as they are stored,
    without averages y in the place of z; the root of the side along its first axis; and of its samples, if they are
    few, what is remembered."""
    grad, y, along = fetched(tile, OF_G, down, F), fetched(tile, OF_Y, down, F), root_along(tile, root, down, F)
    z = fetched(tile, OF_Z, down, F) if F.averages else y
    few = recollected(tile, memory, down, F) if F.measures and F.group > 1 else 0
    return grad, y, z, along, few


@triton.jit
def apply(row, number, slot, slots, found, numbers, roots, means, F: tl.constexpr):
    """Move moments and weights, and write the sums of the estimate unless that is done already."""
    tile, memory, found = opened(row, number, C.TILES_L, F), remembered(row, F), known(found)
    root = _root(row, tile, roots, means, F)
    sums = (no_sums(F.group, F), no_sums(F.group, F), no_sums(F.group, F))
    good, has = is_set(numbers, C.N_OK), has_moment(row, F)
    moves = is_set(numbers, C.N_MOVES) & has
    coming = _coming(tile, memory, root, 0, F)
    for down in range(0, tile[HEIGHT], F.bp):
        at, element, mask = block(tile, down, F)
        if F.vector == False:  # noqa: E712
            coming = _coming(tile, memory, root, down, F)
        grad, y, z = as_read(coming[0], F), as_read(coming[1], F), as_read(coming[2], F)
        along, few = coming[3], coming[4]
        if F.vector:
            coming = _coming(tile, memory, root, down + F.bp, F)
        grad = penalized(without_scale(tile, grad, F), numbers, y, F)
        if F.measures:
            if F.group == 1:
                few = recollected(tile, memory, down, F)
            sums = more(sums, measured(tile, memory, numbers, down, few, grad, y, z, F))
        grad = seen(grad, y, found, F)
        point, after = _point(row, tile, numbers, root, along, at, mask, grad, y, F)
        moment, source = _moment(row, tile, numbers, grad, point, y, at, mask, F)
        update = clipped(update_of(moment, source, grad, point, y, numbers, found, F), found, F)
        update = decayed(update, y, numbers, F)
        if F.dense:
            put(tile[OF_V], at, only_if(mask, good & (tile[FACTORED] == 0)), after, F)
        if F.keeps_moment:
            put(tile[OF_M], at, only_if(mask, good & has), moment, F)
        _move(tile, numbers, found, down, at, element, only_if(mask, moves), y, z, update, F)
    if F.measures:
        keep_sums(slots, slot, sums, F)
