"""What a parameter says of the estimate, and what a pool makes of it."""

from __future__ import annotations

from typing import NamedTuple

from ppsf_ref import numbers as num
from ppsf_ref.clauses import distance, notation, speed
from ppsf_ref.frame import Frame
from ppsf_ref.frozen import replace
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState, ParamState
from ppsf_ref.variants.sizes import StepSize


class Statistics(NamedTuple):
    """A parameter after its statistics moved, and its shares of the numerator and of the denominator."""

    param: ParamState
    item: Number
    norm: Number


def statistics(f: Frame, p: ParamState, g: Number, group: GroupState, size: StepSize) -> Statistics:
    """What a parameter with the gradient ``g`` says of the estimate."""
    weights, g = statistic_weights(f, group.d, size), notation.sampled(g, f.options.slice_p)  # N-001
    at_z = f.revision.statistic_point == "z" and f.averages
    point = notation.sampled(p.z if at_z else p.y, f.options.slice_p)  # N-001
    if follows_displacement(f):
        return _by_displacement(f, p, g, point, group.k, weights.item)
    p = replace(p, s=distance.gradient_sum(p.s, _counted(f, g), f.beta3, weights.sum))  # D-003
    return Statistics(p, _item(f, p, g, point, weights.item), distance.denominator_item(p.s))  # D-004


def statistic_weights(f: Frame, d: Number, size: StepSize) -> distance.Weights:
    """What multiplies the inner product and the gradient sum."""
    match f.revision.statistic_weight:
        case "sqrt_d":
            weight = distance.statistic_weight(d)  # D-001
            weight = speed.weight(weight, f.d0) if f.options.use_speed else weight  # M-010
        case "d_squared":
            weight = distance.squared_weight(d, f.d0)  # D-020
        case "share":
            weight = distance.share_weight(size.full, f.beta3)  # D-022
        case _:
            return distance.prodigy_weights(d, f.d0, size.dlr, f.options.safeguard_warmup)  # D-021
    return distance.Weights(weight, weight)


def _item(f: Frame, p: ParamState, g: Number, point: Number, weight: Number) -> Number:
    if not (f.options.amplify_gradients or f.options.use_speed):
        return distance.numerator_item(g, p.x0, point, weight)  # D-002
    return weight * _counted(f, distance.numerator_item(g, p.x0, point, 1 + 0 * weight))  # D-002


def _counted(f: Frame, x: Number) -> Number:
    """What of a gradient, or of a parameter's inner product, enters the statistics."""
    if f.options.use_speed:
        return speed.signed(x)  # M-011
    return distance.amplified(x) if f.options.amplify_gradients else x  # D-023


def follows_displacement(f: Frame) -> bool:
    """Whether SPEED measures displacements."""
    return f.options.use_speed and f.revision.speed == "displacement"


def _by_displacement(f: Frame, p: ParamState, g: Number, point: Number, k: int, weight: Number) -> Statistics:
    before = None if p.pull is None else speed.Course(p.pull, p.l1, p.l2)
    inner = distance.numerator_item(g, p.x0, point, 1 + 0 * weight)  # D-002
    inner = distance.amplified(inner) if f.options.amplify_gradients else inner  # D-023
    way = speed.course(before, inner, p.x0 - point, f.numbers.scalar(float(k)))  # M-040
    return Statistics(replace(p, **way._asdict()), speed.course_item(way, weight), way.l2)  # M-041


def numerator(f: Frame, pool: GroupState, item: Number) -> Number:
    """New numerator of a pool."""
    if f.revision.numerator == "add":
        return distance.plain_numerator(pool.d_numerator, item, f.beta3)  # D-024
    return distance.numerator(pool.d_numerator, item, f.beta3, pool.d, f.d0)  # D-005


def estimate(f: Frame, pool: GroupState, numerator: Number, denominator: Number) -> GroupState:
    """A pool with its new estimate."""
    grown = _estimate(f, pool, numerator, denominator)
    return replace(grown, d=distance.ceiling(grown.d)) if f.revision.ceiling == "d" else grown  # D-031


def _estimate(f: Frame, pool: GroupState, numerator: Number, denominator: Number) -> GroupState:
    n_max = num.maximum(pool.n_max, numerator)
    if follows_displacement(f):
        d = speed.growing_estimate(pool.d, numerator, pool.d_numerator, pool.n_max, f.d_coef)  # M-042
        return replace(pool, d=d, d_prev=pool.d, n_max=n_max)
    pool = replace(pool, n_max=n_max)
    if f.revision.estimate == "atan2":
        d_hat = distance.distance_estimate(numerator, denominator, f.d_coef)  # D-006
    else:
        d_hat = distance.ratio_estimate(numerator, denominator, f.d_coef)  # D-025
    if f.options.d_limiter:
        d_hat = distance.limited_estimate(pool.d, d_hat, f.d_coef)  # D-026
    if f.revision.growth == "capped":
        d, d_max = distance.capped_estimate(pool.d, d_hat, pool.d_max, f.d0, f.options.growth_rate)  # D-029
        return replace(pool, d=d, d_prev=pool.d, d_max=d_max)
    if f.options.use_speed:
        d, d_prev = speed.next_estimate(pool.d, d_hat)  # M-012
    elif num.value_of(f.beta4) == 0:
        d, d_prev = distance.next_estimate(pool.d, d_hat)  # D-007
    else:
        d, d_prev = distance.smoothed_estimate(pool.d, distance.floored_estimate(d_hat, f.d0), f.beta4)  # D-028, D-027
    return replace(pool, d=d, d_prev=d_prev)
