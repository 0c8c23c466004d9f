"""Where a field of the revision or a switch of a group decides which clause applies.

Each function here makes one choice. What it chooses from are clauses; what it asks are data, never a revision's name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ppsf_ref import numbers as num
from ppsf_ref.clauses import average, distance, groups, modifiers, moment, notation, options, update
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.frame import Frame
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState, ParamState

# ------------------------------------------------------------------------------------------------- numbers of a group


class StepSize(NamedTuple):
    """dlr, and what it would be without warm-up and decay."""

    dlr: Number
    full: Number


def step_size(f: Frame, estimate: Number, group: GroupState) -> StepSize:
    """Step size of a group in the coming step of its pool."""
    dlr = groups.step_size(estimate, f.lr)  # G-004
    kind = options.correction(f.revision.bias_correction, f.averages)  # O-011
    if f.options.use_bias_correction and kind != "adam":
        dlr = modifiers.rectified(dlr, f.given_beta2, group.k)  # M-003
    elif f.options.use_bias_correction:
        dlr = modifiers.adam_corrected(dlr, f.beta1, f.given_beta2, group.k)  # M-020
    full = dlr
    if f.options.warmup_steps:
        dlr = modifiers.warmed_up(dlr, group.k, f.options.warmup_steps)  # M-021
    if f.options.cosine_decay:
        dlr = dlr * modifiers.cosine_factor(group.peak, group.k, f.options.total_training_steps)  # M-023
    return StepSize(dlr, full)


def averaged(f: Frame, group: GroupState, dlr: Number) -> average.Largest:
    """Averaging weight of a group, and what it keeps for the next one."""
    if not f.averages:
        return average.Largest(f.numbers.scalar(0.0), group.weight_sum, group.lr_max)
    if f.revision.averaging_weight == "dlr_squared":
        found = average.Largest(*average.averaging(group.weight_sum, dlr), lr_max=group.lr_max)  # Z-001
    else:
        r, power = f.options.r, f.options.weight_lr_power
        k = f.numbers.scalar(float(group.k))
        found = average.averaging_by_largest(group.weight_sum, group.lr_max, dlr, k, r, power)  # Z-010
    if not f.options.schedulefree_c:
        return found
    return found._replace(c=average.refined(found.c, f.beta1, f.options.schedulefree_c))  # Z-011


# ------------------------------------------------------------------------------------------------------ second moment


def factored_axes(f: Frame, shape: tuple[int, ...]) -> Axes | None:
    """Axes over which the second moment of a parameter is factored."""
    if f.revision.factored_axes == "last_two":
        return moment.last_axes(shape, f.options.factored)  # V-012
    return moment.factored_axes(shape, f.options.factored, f.revision.factored_min_dim)  # V-002


def second_moment(f: Frame, p: ParamState, g: Number, axes: Axes | None, d: Number, d_prev: Number) -> ParamState:
    """A parameter with its second moment moved."""
    rescaled, old = f.revision.second_moment == "rescaled", Factors(p.v_row, p.v_col)
    if axes is None and rescaled:
        return replace(p, v=moment.second_moment(p.v, g, f.beta2, d, d_prev))  # V-001
    if axes is None:
        return replace(p, v=moment.weighted_moment(p.v, g, f.beta2, d))  # V-010
    if rescaled:
        row, col = moment.factored_moments(old, g, axes, f.beta2, d, d_prev)  # V-003
    else:
        row, col = moment.weighted_factors(old, g, axes, f.beta2, d)  # V-011
    return replace(p, v_row=row, v_col=col)


def denominator(f: Frame, p: ParamState, axes: Axes | None, k: int) -> Number:
    """What the update divides by."""
    if axes is not None:
        return moment.factored_denominator(p.v_row, p.v_col, axes)  # V-005
    if f.revision.second_moment == "corrected":
        return moment.denominator(moment.corrected_moment(p.v, f.given_beta2, k))  # V-013, V-004
    return moment.denominator(p.v)  # V-004


# --------------------------------------------------------------------------------------------------------- statistics


def statistic_weights(f: Frame, d: Number, size: StepSize) -> distance.Weights:
    """What multiplies the inner product and the gradient sum."""
    match f.revision.statistic_weight:
        case "sqrt_d":
            weight = distance.statistic_weight(d)  # D-001
        case "d_squared":
            weight = distance.squared_weight(d, f.d0)  # D-020
        case "share":
            weight = distance.share_weight(size.full, f.beta3)  # D-022
        case _:
            return distance.prodigy_weights(d, f.d0, size.dlr, f.options.safeguard_warmup)  # D-021
    return distance.Weights(weight, weight)


def inner_product(f: Frame, p: ParamState, g: Number, weight: Number) -> Number:
    """One parameter's share of the numerator; ``g`` sampled."""
    at_z = f.revision.statistic_point == "z" and f.averages
    point = notation.sampled(p.z if at_z else p.y, f.options.slice_p)  # N-001
    if not f.options.amplify_gradients:
        return distance.numerator_item(g, p.x0, point, weight)  # D-002
    one = 1 + 0 * weight
    return weight * distance.amplified(distance.numerator_item(g, p.x0, point, one))  # D-002, D-023


def next_sum(f: Frame, s: Number, g: Number, weight: Number) -> Number:
    """New gradient sum; ``g`` sampled."""
    seen = distance.amplified(g) if f.options.amplify_gradients else g  # D-023
    return distance.gradient_sum(s, seen, f.beta3, weight)  # D-003


# ------------------------------------------------------------------------------------------------------------ estimate


def numerator(f: Frame, pool: GroupState, item: Number) -> Number:
    """New numerator of a pool."""
    if f.revision.numerator == "add":
        return distance.plain_numerator(pool.d_numerator, item, f.beta3)  # D-024
    return distance.numerator(pool.d_numerator, item, f.beta3, pool.d, f.d0)  # D-005


def estimate(f: Frame, pool: GroupState, numerator: Number, denominator: Number) -> GroupState:
    """A pool with its new estimate."""
    if f.revision.estimate == "atan2":
        d_hat = distance.distance_estimate(numerator, denominator, f.d_coef)  # D-006
    else:
        d_hat = distance.ratio_estimate(numerator, denominator, f.d_coef)  # D-025
    if f.options.d_limiter:
        d_hat = distance.limited_estimate(pool.d, d_hat, f.d_coef)  # D-026
    if f.revision.growth == "capped":
        d, d_max = distance.capped_estimate(pool.d, d_hat, pool.d_max, f.d0, f.options.growth_rate)  # D-029
        return replace(pool, d=d, d_prev=pool.d, d_max=d_max)
    if num.value_of(f.beta4) == 0:
        d, d_prev = distance.next_estimate(pool.d, d_hat)  # D-007
    else:
        d, d_prev = distance.smoothed_estimate(pool.d, distance.floored_estimate(d_hat, f.d0), f.beta4)  # D-028, D-027
    return replace(pool, d=d, d_prev=d_prev)


def counted(f: Frame, pool: GroupState, before: GroupState) -> GroupState:
    """A pool with what the built-in decay counts."""
    if not f.options.cosine_decay:
        return pool
    grew = num.is_positive(pool.d - before.d, "d_grew")
    start = modifiers.Peak(before.stalled, before.peak)
    stalled, peak = modifiers.peak_after(start, grew, before.k, f.options.peak_patience)  # M-022
    return replace(pool, stalled=stalled, peak=peak)


# -------------------------------------------------------------------------------------------------------------- update


def steered(f: Frame, m: Number, g: Number) -> Number:
    """What moves weights that are not averaged: the first moment, or what cautious or grams makes of it."""
    use_cautious, use_grams = f.options.use_cautious, f.options.use_grams
    if not (use_cautious or use_grams):
        return m
    if options.applies_grams(use_grams, use_cautious):  # O-004
        return modifiers.grams_momentum(m, g)  # M-031
    return modifiers.cautious_momentum(m, g)  # M-030


def direction(f: Frame, n: Number, denominator: Number, d: Number, new_d: Number, dlr: Number) -> Number:
    """The update from what moves the weights, gradient or first moment, and the divisor."""
    if f.revision.unit == "g":
        if f.eps is None:
            return update.angle(n, denominator, update.bound(d, f.d0, f.revision))  # U-003, U-001
        return update.quotient(n, denominator, f.eps)  # U-002
    at = new_d if f.revision.unit == "new_d" else d
    if not f.averages_moment:
        n = update.weighted_gradient(n, at)  # U-011
    if f.eps is None:
        return update.scaled_angle(n, denominator, f.revision.atan2_scale)  # U-013
    return update.weighted_quotient(n, denominator, f.eps, at, dlr)  # U-012


def clipped(f: Frame, u: Number, d: Number) -> Number:
    """The update after what limits its root mean square."""
    if not options.clips(f.options.use_stableadamw, f.options.eps):  # O-002
        return u
    if f.revision.clipping == "soft":
        return update.softly_clipped(u)  # C-010
    return update.clipped(u, update.bound(d, f.d0, f.revision))  # C-001, U-001


# ------------------------------------------------------------------------------------------------------------- weights


def decaying(f: Frame, p: ParamState, u: Number, c: Number, dlr: Number) -> average.Decaying:
    """What a step begins with where weights are averaged, and what decay takes from them."""
    before = average.Decaying(p.y, p.z, u)
    if f.options.weight_decay == 0 or not f.options.decouple:
        return before
    if f.options.weight_decay_by_lr:
        return average.decayed_update(before, f.weight_decay, dlr, c, f.beta1)  # W-001
    return average.decay(before, f.weight_decay, dlr, c, f.beta1)  # W-002


def next_y(f: Frame, y: Number, z: Number, u: Number, c: Number, dlr: Number) -> Number:
    """New y, before the decay that is not multiplied by dlr."""
    use_cautious, use_grams = f.options.use_cautious, f.options.use_grams
    if not (use_cautious or use_grams):
        return average.next_y(y, z, u, c, dlr, f.beta1)  # Z-002
    decrease = average.decrease_of_y(y, z, u, c, dlr, f.beta1)
    if options.applies_grams(use_grams, use_cautious):  # O-004
        return y - modifiers.grams(decrease, u)  # M-002
    return y - modifiers.cautious(decrease, u)  # M-001


def decayed(f: Frame, y: Number, dlr: Number) -> Number:
    """What decoupled weight decay leaves of weights that are not averaged."""
    if f.options.weight_decay == 0 or not f.options.decouple:
        return y
    return average.decayed_weights(y, f.weight_decay, dlr, f.options.weight_decay_by_lr)  # W-010
