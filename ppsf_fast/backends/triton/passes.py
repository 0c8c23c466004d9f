"""What is done to a tile in each pass over the gradients; `kernels` launches these over the work table.

Sums are accumulated in float64 and written to a slot of the tile, so that their order is the same in every run.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.blocks import (
    block,
    corner,
    first_of_fours,
    get,
    has_moment,
    is_set,
    of,
    only_if,
    operand,
    pointer,
    put,
    rows,
    unscaled,
)
from ppsf_fast.backends.triton.direction import (
    SHARE,
    agrees,
    clipped,
    decayed,
    dense_root,
    factored_root,
    gradient,
    moment_of,
    renewed,
    renewed_average,
    row_mean,
    seen,
    update_of,
)
from ppsf_fast.backends.triton.maths import FOLD, folded, sign, signed_root, total
from ppsf_fast.backends.triton.rounding import nearest, stochastic, widened, words, words_in_fours
from ppsf_fast.plan import TOO_LARGE

#: Numbers in the slot of a tile: inner product, sum of magnitudes, and a third where SPEED asks for it.
SLOT = tl.constexpr(3)
_TOO_LARGE = tl.constexpr(TOO_LARGE)


@triton.jit
def find_bad(row, tile, bad, F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr):
    """Write whether a tile holds a gradient that is not finite in float32, or that this cannot square."""
    # clause: PPSF-L-004 23507e34
    start = corner(row, tile, C.SUMS_L, BQ, BL)
    count = tl.zeros((BP, BQ, BL), tl.int32)
    for down in range(0, rows(row, start, C.SUMS_L), BP):
        at, _, mask = block(row, start, down, F, BP, BQ, BL)
        grad = unscaled(row, at, mask, F)
        count += 1 - (tl.abs(grad) < _TOO_LARGE).to(tl.int32)
    _tell(row, tile, bad, count)


@triton.jit
def _tell(row, tile, bad, count):
    """Write how many elements of a tile, of those that the first look goes over, are not finite."""
    tl.store(bad + tl.load(row + C.FIRST_LOOK) + tile, tl.sum(tl.sum(tl.sum(count, axis=2), axis=1), axis=0))


@triton.jit
def add_squares(row, tile, found, parts, bad, F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr):
    """Write the sums of squares along the rows and columns of a tile, and whether its gradient is finite.

    Squares are exact in float64, and so nearly are their sums: a partial sum, rounded to float32 once, is no farther
    from the truth than one of squares that were rounded themselves. As nothing is negative, the relative error of a sum
    of partial sums is at most that of one.
    """
    # clause: PPSF-V-003 e56301e2
    # clause: PPSF-V-011 bfc8a7dc
    start = corner(row, tile, C.SUMS_L, BQ, BL)
    b0, b1, l0, p0, q0 = start
    size_l, size_p, size_q = tl.load(row + C.SIZES + 2), tl.load(row + C.SIZES + 3), tl.load(row + C.SIZES + 4)
    tiles_p, tiles_q = tl.load(row + C.SUMS_P), tl.load(row + C.SUMS_Q)
    across = l0 + tl.arange(0, BL).to(tl.int64)[None, :]
    part = (b0 * tl.load(row + C.SIZES + 1) + b1) * size_l + across
    to_p = tl.load(row + C.PART_P) + (part * tiles_q + q0 // BQ) * size_p
    to_q = tl.load(row + C.PART_Q) + (part * tiles_p + p0 // tl.load(row + C.SUMS_HEIGHT)) * size_q
    columns = tl.zeros((BQ, BL), tl.float64)
    count = tl.zeros((BP, BQ, BL), tl.int32)
    for down in range(0, rows(row, start, C.SUMS_L), BP):
        at, _, mask = block(row, start, down, F, BP, BQ, BL)
        grad = unscaled(row, at, mask, F)
        count += 1 - (tl.abs(grad) < _TOO_LARGE).to(tl.int32)
        if F.orthograd:
            grad = seen(grad, get(row, C.Y, C.BY_Y, at, mask, F.y, F), found, F)
        wide = grad.to(tl.float64)
        square = wide * wide
        p = p0 + down + tl.arange(0, BP).to(tl.int64)[:, None]
        tl.store(parts + to_p + p, tl.sum(square, axis=1).to(tl.float32), mask=(p < size_p) & (across < size_l))
        columns += tl.sum(square, axis=0)
    q = q0 + tl.arange(0, BQ).to(tl.int64)[:, None]
    tl.store(parts + to_q + q, columns.to(tl.float32), mask=(q < size_q) & (across < size_l))
    if F.orthograd == False:  # noqa: E712
        _tell(row, tile, bad, count)


@triton.jit
def add_components(row, tile, slot, slots, bad, F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr):
    """Write the sums that OrthoGrad needs: of y y, y g and g g; and whether the gradient is finite."""
    start = corner(row, tile, C.TILES_L, BQ, BL)
    count = tl.zeros((BP, BQ, BL), tl.int32)
    of_y, of_both, of_grad = 0.0, 0.0, 0.0
    of_y = tl.zeros((BP, BQ, BL), tl.float64)
    of_both = tl.zeros((BP, BQ, BL), tl.float64)
    of_grad = tl.zeros((BP, BQ, BL), tl.float64)
    for down in range(0, rows(row, start, C.TILES_L), BP):
        at, _, mask = block(row, start, down, F, BP, BQ, BL)
        grad, y = unscaled(row, at, mask, F), get(row, C.Y, C.BY_Y, at, mask, F.y, F)
        count += 1 - (tl.abs(grad) < _TOO_LARGE).to(tl.int32)
        of_y += (y * y).to(tl.float64)
        of_both += (y * grad).to(tl.float64)
        of_grad += (grad * grad).to(tl.float64)
    tl.store(slots + slot * SLOT, total(of_y))
    tl.store(slots + slot * SLOT + 1, total(of_both))
    tl.store(slots + slot * SLOT + 2, total(of_grad))
    _tell(row, tile, bad, count)


@triton.jit
def add_part(row, tile, slot, slots, found, F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr):
    """Write the sum of squares of what OrthoGrad leaves of a gradient, before it is made longer again."""
    start = corner(row, tile, C.TILES_L, BQ, BL)
    squares = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    for down in range(0, rows(row, start, C.TILES_L), BP):
        at, _, mask = block(row, start, down, F, BP, BQ, BL)
        y = get(row, C.Y, C.BY_Y, at, mask, F.y, F)
        part = seen(unscaled(row, at, mask, F), y, found, F)
        squares += folded((part * part).to(tl.float64))
    tl.store(slots + slot * SLOT, tl.sum(squares, axis=0))


@triton.jit
def _mean(row, means, start, F: tl.constexpr, BL: tl.constexpr):
    """The mean of the row of a factored second moment; of another one nobody asks."""
    mean = tl.zeros((1, 1, BL), tl.float32)
    if F.factored:
        if tl.load(row + C.FACTORED) != 0:
            mean = row_mean(row, means, start, BL)
    return mean


@triton.jit
def _point(row, numbers, roots, mean, start, at, mask, grad, y, F: tl.constexpr):
    """What the update is divided by, or compared with; and the new second moment, where each element has one."""
    if F.muon:
        return get(row, C.TURNED, C.BY_TURNED, at, mask, tl.float32, F), grad
    if F.focus:
        return renewed_average(row, numbers, y, at, mask, F)
    if F.factored and F.dense:
        if tl.load(row + C.FACTORED) != 0:
            point, after = factored_root(row, roots, mean, start, at, F), grad
        else:
            before, after = renewed(row, numbers, grad, at, mask, F)
            point = dense_root(before, after, numbers, F)
        return point, after
    elif F.factored:
        return factored_root(row, roots, mean, start, at, F), grad
    else:
        before, after = renewed(row, numbers, grad, at, mask, F)
        return dense_root(before, after, numbers, F), after


@triton.jit
def _moment(row, numbers, grad, point, y, at, mask, F: tl.constexpr):
    """The first moment after this step, where there is one or ADOPT needs one, and the gradient it is made of."""
    if F.averages == False and (F.keeps_moment or F.adopt):  # noqa: E712
        return moment_of(row, numbers, grad, point, y, at, mask, F)
    else:
        return grad, grad


@triton.jit
def count_steered(
    row, tile, slot, slots, found, numbers, roots, means,
    F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr,
):  # fmt: skip
    """Write how many elements of the first moment have the sign of the gradient."""
    start = corner(row, tile, C.TILES_L, BQ, BL)
    mean = _mean(row, means, start, F, BL)
    count = tl.zeros((BP, BQ, BL), tl.float32)
    for down in range(0, rows(row, start, C.TILES_L), BP):
        at, _, mask = block(row, start, down, F, BP, BQ, BL)
        y = get(row, C.Y, C.BY_Y, at, mask, F.y, F)
        grad = seen(gradient(row, numbers, at, mask, y, F), y, found, F)
        point, _ = _point(row, numbers, roots, mean, start, at, mask, grad, y, F)
        moment, source = _moment(row, numbers, grad, point, y, at, mask, F)
        count += tl.where(mask, agrees(moment, source), 0.0)
    tl.store(slots + slot * SLOT, total(count))


@triton.jit
def add_size(row, tile, slot, slots, F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr):
    """Write the sum of squares of the direction in which Muon moves a parameter."""
    start = corner(row, tile, C.TILES_L, BQ, BL)
    squares = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    for down in range(0, rows(row, start, C.TILES_L), BP):
        at, _, mask = block(row, start, down, F, BP, BQ, BL)
        values = get(row, C.TURNED, C.BY_TURNED, at, mask, tl.float32, F)
        squares += folded((values * values).to(tl.float64))
    tl.store(slots + slot * SLOT, tl.sum(squares, axis=0))


@triton.jit
def add_norm(
    row, tile, slot, slots, found, numbers, roots, means,
    F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr,
):  # fmt: skip
    """Write the sum of squares of the update."""
    start = corner(row, tile, C.TILES_L, BQ, BL)
    mean = _mean(row, means, start, F, BL)
    squares = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    for down in range(0, rows(row, start, C.TILES_L), BP):
        at, _, mask = block(row, start, down, F, BP, BQ, BL)
        y = get(row, C.Y, C.BY_Y, at, mask & F.norm_sees_y, F.y, F)
        grad = seen(gradient(row, numbers, at, mask, y, F), y, found, F)
        point, _ = _point(row, numbers, roots, mean, start, at, mask, grad, y, F)
        moment, source = _moment(row, numbers, grad, point, y, at, mask, F)
        update = tl.where(mask, update_of(moment, source, grad, point, y, numbers, found, F), 0.0)
        squares += folded((update * update).to(tl.float64))
    tl.store(slots + slot * SLOT, tl.sum(squares, axis=0))


@triton.jit
def _decrease(y, z, update, numbers, F: tl.constexpr):
    """By how much y falls where weights are averaged, but for decay beside the update."""
    return (y - z) * of(numbers, C.N_MIX) + update * of(numbers, C.N_Y)


@triton.jit
def count_averaged(
    row, tile, slot, slots, found, numbers, roots, means,
    F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr,
):  # fmt: skip
    """Write how many elements of the decrease of y have the sign of the update."""
    start = corner(row, tile, C.TILES_L, BQ, BL)
    mean = _mean(row, means, start, F, BL)
    count = tl.zeros((BP, BQ, BL), tl.float32)
    for down in range(0, rows(row, start, C.TILES_L), BP):
        at, _, mask = block(row, start, down, F, BP, BQ, BL)
        y, z = get(row, C.Y, C.BY_Y, at, mask, F.y, F), get(row, C.Z, C.BY_Z, at, mask, F.z, F)
        grad = seen(gradient(row, numbers, at, mask, y, F), y, found, F)
        point, _ = _point(row, numbers, roots, mean, start, at, mask, grad, y, F)
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
        mixed = tl.where(mix < 0.5, y + mix * (z - y), z - (z - y) * (1.0 - mix))
        return mixed - update * of(numbers, C.N_Y)


@triton.jit
def _without_average(y, update, numbers, F: tl.constexpr):
    if F.decay == "apart":
        # clause: PPSF-W-010 f7e19401
        y = y - y * of(numbers, C.N_YDECAY)
    # clause: PPSF-Z-012 ec80dd2d
    return y - update * of(numbers, C.N_Z)


@triton.jit
def _put_rounded(
    row, AT: tl.constexpr, BY: tl.constexpr, at, mask, values, noise, dtype: tl.constexpr, F: tl.constexpr
):
    tl.store(operand(row, AT, BY, at, dtype, F), stochastic(values, noise), mask=mask)


@triton.jit
def _move(
    row, numbers, found, start, down, at, element, mask, y, z, update,
    F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr,
):  # fmt: skip
    """Write y and z."""
    if F.noise_y or F.noise_z:
        seed, step = tl.load(numbers + C.N_SEED).to(tl.int64), tl.load(numbers + C.N_K).to(tl.int64)
        if F.fours:
            drawn = words_in_fours(
                first_of_fours(row, start, down, F, BP, BQ), seed, step, tl.load(row + C.INDEX), BP, BQ
            )
        else:
            drawn = words(element, seed, step, tl.load(row + C.INDEX))
    if F.averages:
        new_y = _new_y(y, z, update, found, numbers, F)
        # clause: PPSF-Z-003 ab92e5c3
        new_z = z - update * of(numbers, C.N_Z)
        if F.decay == "beside":
            # clause: PPSF-W-002 04320623
            new_y = new_y - y * of(numbers, C.N_YDECAY)
            new_z = new_z - y * of(numbers, C.N_DECAY)
        if F.noise_z:
            _put_rounded(row, C.Z, C.BY_Z, at, mask, new_z, drawn >> 16, F.z, F)
        else:
            put(row, C.Z, C.BY_Z, at, mask, new_z, F.z, F)
    else:
        new_y = _without_average(y, update, numbers, F)
    if F.noise_y:
        _put_rounded(row, C.Y, C.BY_Y, at, mask, new_y, drawn & 0xFFFF, F.y, F)
    else:
        put(row, C.Y, C.BY_Y, at, mask, new_y, F.y, F)


@triton.jit
def measured(row, numbers, element, mask, grad, y, z, F: tl.constexpr):
    """Renew what a block remembers for the estimate; returns its share of the sums, of the block's shape."""
    # clause: PPSF-N-001 4572b27e
    taken = mask & (element % F.stride == 0)
    place = element // F.stride
    x0 = widened(tl.load(pointer(row, C.X0, F.x0) + place * tl.load(row + C.BY_X0), mask=taken, other=0.0))
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
        to = pointer(row, C.S, F.s) + place * tl.load(row + C.BY_S)
        # clause: PPSF-D-003 e3d54af9
        s = widened(tl.load(to, mask=taken, other=0.0)) * of(numbers, C.N_BETA3) + grad * of(numbers, C.N_SUM)
        keeps = is_set(numbers, C.N_OK) & is_set(numbers, C.N_OPENED) & has_moment(row, F)
        tl.store(to, nearest(s, F.s), mask=only_if(taken, keeps))
        # clause: PPSF-D-004 58e6761c
        return inner, tl.where(taken, tl.abs(s), 0.0).to(tl.float64), tl.zeros_like(inner)


@triton.jit
def _keep_sums(slots, slot, inner, norm, third, F: tl.constexpr):
    tl.store(slots + slot * SLOT, tl.sum(inner, axis=0))
    tl.store(slots + slot * SLOT + 1, tl.sum(norm, axis=0))
    if F.statistics == "displacement":
        tl.store(slots + slot * SLOT + 2, tl.sum(third, axis=0))


@triton.jit
def measure(row, tile, slot, slots, numbers, F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr):
    """Write the sums of the estimate, before any weight moves."""
    start = corner(row, tile, C.TILES_L, BQ, BL)
    inner = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    norm = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    third = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    for down in range(0, rows(row, start, C.TILES_L), BP):
        at, element, mask = block(row, start, down, F, BP, BQ, BL)
        taken = mask & (element % F.stride == 0)
        y = get(row, C.Y, C.BY_Y, at, taken, F.y, F)
        z = get(row, C.Z, C.BY_Z, at, taken, F.z, F) if F.at_z else y
        one, two, three = measured(row, numbers, element, taken, gradient(row, numbers, at, taken, y, F), y, z, F)
        inner, norm, third = inner + folded(one), norm + folded(two), third + folded(three)
    _keep_sums(slots, slot, inner, norm, third, F)


@triton.jit
def apply(
    row, tile, slot, slots, found, numbers, roots, means,
    F: tl.constexpr, BP: tl.constexpr, BQ: tl.constexpr, BL: tl.constexpr,
):  # fmt: skip
    """Move moments and weights, and write the sums of the estimate unless that is done already."""
    start = corner(row, tile, C.TILES_L, BQ, BL)
    mean = _mean(row, means, start, F, BL)
    inner = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    norm = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    third = tl.zeros((BP * BQ * BL // FOLD,), tl.float64)
    good, has = is_set(numbers, C.N_OK), has_moment(row, F)
    moves = is_set(numbers, C.N_MOVES) & has
    for down in range(0, rows(row, start, C.TILES_L), BP):
        at, element, mask = block(row, start, down, F, BP, BQ, BL)
        y = get(row, C.Y, C.BY_Y, at, mask, F.y, F)
        z = get(row, C.Z, C.BY_Z, at, mask, F.z, F) if F.averages else y
        grad = gradient(row, numbers, at, mask, y, F)
        if F.statistics != "" and F.unit != "new_d":
            one, two, three = measured(row, numbers, element, mask, grad, y, z, F)
            inner, norm, third = inner + folded(one), norm + folded(two), third + folded(three)
        grad = seen(grad, y, found, F)
        point, after = _point(row, numbers, roots, mean, start, at, mask, grad, y, F)
        moment, source = _moment(row, numbers, grad, point, y, at, mask, F)
        update = clipped(update_of(moment, source, grad, point, y, numbers, found, F), found, F)
        update = decayed(update, y, numbers, F)
        if F.dense:
            each = only_if(mask, good & (tl.load(row + C.FACTORED) == 0))
            put(row, C.V, C.BY_V, at, each, after, F.v, F)
        if F.keeps_moment:
            put(row, C.M, C.BY_M, at, only_if(mask, good & has), moment, F.m, F)
        _move(row, numbers, found, start, down, at, element, only_if(mask, moves), y, z, update, F, BP, BQ)
    if F.statistics != "" and F.unit != "new_d":
        _keep_sums(slots, slot, inner, norm, third, F)
