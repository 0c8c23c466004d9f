"""Where an update points: the gradient that is seen, the divisor, the quotient."""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.blocks import (
    FACTORED,
    LEFT,
    OF_M,
    OF_V,
    START,
    get,
    has_moment,
    of,
    only_if,
    unscaled,
)
from ppsf_fast.backends.triton.geometry import TOGETHER
from ppsf_fast.backends.triton.maths import atan2, negated, quotient, quotients, sign

#: What is found of a parameter on the way, float64: the divisor of its update; the share of an agreement; what of the
#: weights is taken from its gradient, and what the rest is multiplied by; what Muon divides by.
CUT, SHARE, ALONG, SCALE, SIZE = map(tl.constexpr, range(5))
FOUND_WIDTH = 5
_TOGETHER = tl.constexpr(TOGETHER)


@triton.jit
def known(found):
    """What is found of a parameter so far, by its columns; what is not used is not read."""
    return tl.load(found), tl.load(found + 1), tl.load(found + 2), tl.load(found + 3), tl.load(found + 4)


@triton.jit
def gradient(tile, numbers, at, mask, y, F: tl.constexpr):
    """The gradient, with the decay that is a part of it."""
    return penalized(unscaled(tile, at, mask, F), numbers, y, F)


@triton.jit
def penalized(grad, numbers, y, F: tl.constexpr):
    """A gradient with the decay that is a part of it."""
    if F.penalizes:
        # clause: PPSF-W-011 32971b9c
        grad = grad + y * of(numbers, C.N_DECAY)
    return grad


@triton.jit
def seen(grad, y, found, F: tl.constexpr):
    """What of a gradient moments and direction see."""
    if F.orthograd:
        # clause: PPSF-M-007 054cbda2
        return (grad - y * of(found, ALONG)) * of(found, SCALE)
    return grad


@triton.jit
def _row_mean(row, means, nth, there, period):
    """The means of rows of the second moment, float64: of those `nth` of a parameter that are there."""
    parts = tl.load(row + C.MEANS)
    first = tl.load(row + C.MEAN) + nth * parts
    sums = nth.to(tl.float64) * 0.0
    for part in range(parts.to(tl.int32)):
        sums += tl.load(means + first + part, mask=there, other=0.0)
    of_q = tl.load(row + C.SIZES + 4) // period
    length = tl.where(tl.load(row + C.ROW_IS_P) != 0, tl.load(row + C.SIZES + 3), of_q)
    return sums / length.to(tl.float64)


@triton.jit
def _slice(row, start, l):
    """The position of a slice along the two sides of a tile among all of them."""
    outer = start[0] * tl.load(row + C.SIZES + 1) + start[1]
    return outer * tl.load(row + C.SIZES + 2) + start[2] + l


@triton.jit
def opened_root(row, tile, roots, means, F: tl.constexpr):
    """What all blocks of a tile share of the root of a second moment of a row and a column: the root of the side along
    a block's second axis, over that of the row's mean; where the roots of the other side begin, and if there is a
    period, where in it each few elements begin, and its pitch. Of another moment nothing.

    Which of the two sides is over the mean is the same in exact arithmetic. It is this one, since it is found once for
    a tile; in float64, where a quotient neither overflows nor underflows, and its root is rounded once.
    """
    start, left = tile[START], tile[LEFT]
    l, q = tl.arange(0, F.bl).to(tl.int64)[None, None, :], tl.arange(0, F.bq).to(tl.int64)[None, :, None]
    period = tl.load(row + C.PERIOD)
    there = only_if(l < left[0], tile[FACTORED])
    at = _slice(row, start, l)
    size_p, size_q = tl.load(row + C.SIZES + 3), tl.load(row + C.SIZES + 4)
    of_q = roots + tl.load(row + C.PART_Q) + at * tl.load(row + C.SUMS_P) * size_q + start[4]
    pitch = tl.load(row + C.PITCH)
    of_p = roots + tl.load(row + C.PART_P) + (at * tl.load(row + C.SUMS_Q) * size_p + start[3]) * pitch
    if F.periodic:
        near = (start[4] % period).to(tl.int32)
        place, short = tl.arange(0, F.bq)[None, :, None], period.to(tl.int32)
        mean = _row_mean(row, means, at * period + (near + place) % short, there & (q < left[2]), period)
        nth = (near + place // _TOGETHER * _TOGETHER) % short
    else:
        nth = 0
        mean = _row_mean(row, means, at, there, 1)
    along_q = tl.load(of_q + q, mask=(q < left[2]) & there, other=0.0).to(tl.float64)
    over = tl.where(mean > 0, along_q / tl.where(mean > 0, mean, 1.0), 0.0)
    # As wide as a block from here on: else the compiler finds the root again for every block.
    return tl.broadcast_to(tl.sqrt(over).to(tl.float32), (F.bp, F.bq, F.bl)), of_p, nth, pitch.to(F.index)


@triton.jit
def root_along(tile, root, down, F: tl.constexpr):
    """The root of the side along the first axis for a block, [bp, 1 or bq, 1 or bl]; where there is no such side, 0."""
    if F.factored:
        _, of_p, nth, pitch = root
        left_l, left_p, left_q, _ = tile[LEFT]
        p = down + tl.arange(0, F.bp).to(F.index)[:, None, None]
        there = only_if(p < left_p, tile[FACTORED])
        if F.periodic:
            q = tl.arange(0, F.bq).to(F.index)[None, :, None]
            to = of_p + (p * pitch + nth) + q % _TOGETHER
            return tl.load(to, mask=there & (q < left_q), other=0.0)
        else:
            l = tl.arange(0, F.bl).to(F.index)[None, None, :]
            return tl.load(of_p + p, mask=there & (l < left_l), other=0.0)
    else:
        return tl.zeros((1, 1, 1), tl.float32)


@triton.jit
def renewed(row, tile, numbers, grad, at, mask, F: tl.constexpr):
    """The second moment of each element: before this step and after it."""
    before = get(tile[OF_V], at, mask, F)
    keep, gain = of(numbers, C.N_KEEP), of(numbers, C.N_GAIN)
    if F.adopt:
        # clause: PPSF-M-005 dfcd9473
        has = has_moment(row, F)
        keep, gain = tl.where(has, keep, 0.0), tl.where(has, gain, of(numbers, C.N_UNIT))
    # clause: PPSF-V-001 eda871f8
    # clause: PPSF-V-010 ba9d63ae
    return before, before * keep + grad * grad * gain


@triton.jit
def renewed_average(row, tile, numbers, y, at, mask, F: tl.constexpr):
    """The average of the weights that FOCUS keeps: before this step and after it."""
    before = get(tile[OF_V], at, mask, F)
    gain = of(numbers, C.N_RENEWAL)
    if F.adopt:
        gain = tl.where(has_moment(row, F), gain, 1.0)
    # clause: PPSF-M-008 39d9b37b
    return before, before + (y - before) * gain


@triton.jit
def dense_root(before, after, numbers, F: tl.constexpr):
    """The root of a second moment of each element."""
    # clause: PPSF-M-006 bc3f0bb3
    moment = before if F.adopt else after
    # clause: PPSF-V-004 ef012b6a
    if F.corrected:
        return tl.sqrt_rn(tl.div_rn(moment, of(numbers, C.N_SHARE)))
    return tl.sqrt_rn(moment)


@triton.jit
def weighted(grad, d, F: tl.constexpr):
    """The gradient in the units of the divisor; `d` is wide."""
    # clause: PPSF-U-011 46ab4792
    if F.unit == "g":
        return grad
    return grad * d.to(tl.float32)


@triton.jit
def least_of(d, numbers, F: tl.constexpr):
    """What a divisor is no less than, one float64 number; `d` is wide."""
    return numbers[C.N_EPS] if F.unit == "g" else d * numbers[C.N_EPS]


@triton.jit
def unit_of(numbers, F: tl.constexpr):
    """The estimate that gradients are multiplied by, where they are: a float64 number."""
    return numbers[C.N_NEW_D] if F.unit == "new_d" else numbers[C.N_D]


@triton.jit
def divided(over, point, d, y, numbers, F: tl.constexpr):
    """What moves the weights, over its divisor; `d` is wide."""
    if F.focus:
        # clause: PPSF-M-009 49b96f47
        return sign(over) - sign(point - y) * 0.1
    if F.unit == "g":
        if F.eps:
            # clause: PPSF-U-002 9f1c013e
            return quotients(over, point + of(numbers, C.N_EPS), least_of(d, numbers, F))
        else:
            # clause: PPSF-U-003 fd609a87
            bound = of(numbers, C.N_BOUND)
            return atan2(over, point * bound) * bound
    else:
        if F.eps:
            # clause: PPSF-U-012 a1c3be3d
            least = least_of(d, numbers, F)
            return quotients(over, point + least.to(tl.float32), least)
        else:
            # clause: PPSF-U-013 abd36150
            return atan2(over, point) * of(numbers, C.N_SCALE)


@triton.jit
def agrees(values, direction):
    """1 where both have the same sign, else 0."""
    return tl.maximum(sign(values) * sign(direction), 0.0)


@triton.jit
def steered(moment, grad, found, F: tl.constexpr):
    """What moves weights that are not averaged: the first moment, or what cautious or Grams makes of it."""
    if F.steer == "grams":
        # clause: PPSF-M-031 6a3b5d0e
        return tl.abs(moment) * sign(grad)
    if F.steer == "cautious":
        # clause: PPSF-M-030 da5d4c9e
        return moment * tl.div_rn(agrees(moment, grad), of(found, SHARE))
    return moment


@triton.jit
def moment_of(row, tile, numbers, grad, point, y, at, mask, F: tl.constexpr):
    """Where weights are not averaged: the first moment after this step, and the gradient it is made of."""
    if F.adopt:
        d = numbers[C.N_D]
        grad = divided(weighted(grad, d, F), point, d, y, numbers, F)
        # clause: PPSF-M-032 4f307814
        limit = of(numbers, C.N_LIMIT)
        moment = tl.maximum(tl.minimum(grad, limit), negated(limit))
        if F.keeps_moment:
            beta1 = numbers[C.N_BETA1]
            before = get(tile[OF_M], at, mask, F)
            moment = before * beta1.to(tl.float32) + moment * (1 - beta1).to(tl.float32)
        return moment, grad
    # clause: PPSF-U-010 3667548e
    before = get(tile[OF_M], at, mask, F)
    return before * of(numbers, C.N_BETA1) + grad * of(numbers, C.N_MOMENT), grad


@triton.jit
def update_of(moment, source, grad, point, y, numbers, found, F: tl.constexpr):
    """The update of a block, before it is clipped.

    Args:
        moment, source: what :func:`moment_of` gave, where weights are not averaged.
        grad: what is seen of the gradient.
        point: the divisor, or what FOCUS compares the weights with.
    """
    if F.muon:
        # clause: PPSF-M-018 5e9f3f6c
        return quotient(point, of(found, SIZE))
    if F.adopt and not F.averages:
        return steered(moment, source, found, F)
    d = unit_of(numbers, F)
    if F.keeps_moment:
        return divided(steered(moment, source, found, F), point, d, y, numbers, F)
    return divided(weighted(grad, d, F), point, d, y, numbers, F)


@triton.jit
def clipped(update, found, F: tl.constexpr):
    """The update after what limits its root mean square."""
    if F.clip != "":
        return quotient(update, of(found, CUT))
    return update


@triton.jit
def decayed(update, y, numbers, F: tl.constexpr):
    """The update with the decay that is multiplied by the step size."""
    if F.decay == "update":
        # clause: PPSF-W-001 29728ec4
        return update + y * of(numbers, C.N_DECAY)
    return update
