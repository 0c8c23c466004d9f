"""Where a field of the revision or a switch of a group decides which clause applies.

Each function here makes one choice. What it chooses from are clauses; what it asks are data, never a revision's name.
"""

from __future__ import annotations

from typing import NamedTuple

from ppsf_ref import numbers as num
from ppsf_ref.clauses import (
    adopt,
    average,
    distance,
    focus,
    groups,
    lifecycle,
    modifiers,
    moment,
    muon,
    notation,
    options,
    orthograd,
    speed,
    update,
)
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.frame import Frame
from ppsf_ref.frozen import replace
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState, Measured, ParamState
from ppsf_ref.store import formats

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


def uses_muon(f: Frame, shape: tuple[int, ...]) -> bool:
    """Whether the orthogonalised gradient moves a parameter of this shape."""
    return muon.moves(shape, options.applies_muon(f.options.use_muon_pp, f.options.use_focus))  # M-014, O-006


def factored_axes(f: Frame, shape: tuple[int, ...]) -> Axes | None:
    """Axes over which the second moment of a parameter is factored."""
    if uses_muon(f, shape):
        return None
    factored = options.factors(f.options.factored, f.options.use_focus)  # O-005
    if f.revision.factored_axes == "last_two":
        return moment.last_axes(shape, factored)  # V-012
    return moment.factored_axes(shape, factored, f.revision.factored_min_dim)  # V-002


def created(f: Frame, p: ParamState, axes: Axes | None, dtype: str) -> ParamState:
    """A parameter with all the state it needs."""
    keeps = lifecycle.Keeps(
        z=f.averages, m=f.averages_moment, s=not _follows_displacement(f), rms_sq=uses_muon(f, p.y.shape)
    )
    x0 = formats(f.options, dtype)["x0"]
    return lifecycle.created(
        p, axes, keeps, f.window.adapts, f.options.slice_p, x0, f.numbers, f.options.use_focus
    )  # L-001


def decayed_gradient(f: Frame, p: ParamState, g: Number) -> Number:
    """The gradient with the decay that is a part of it."""
    coupled = f.options.weight_decay != 0 and not f.options.decouple
    return average.coupled_gradient(g, p.y, f.weight_decay) if coupled else g  # W-011


def only_fills(f: Frame, p: ParamState, k: int) -> bool:
    """Whether a parameter that takes part in step ``k`` of its pool does no more than :func:`filled`."""
    if not f.options.use_adopt or uses_muon(f, p.y.shape):
        return False
    return adopt.only_fills(lifecycle.is_new(p), k)  # M-005


def seen(f: Frame, p: ParamState, g: Number) -> Number:
    """The gradient that second moment and direction see."""
    return orthograd.orthogonal(g, p) if f.options.use_orthograd else g  # M-007


def filled(f: Frame, p: ParamState, g: Number, axes: Axes | None, group: GroupState) -> ParamState:
    """A parameter with its second moment made of ``g`` alone."""
    return second_moment(replace(f, beta2=f.numbers.scalar(0.0)), p, g, axes, group)


def second_moment(f: Frame, p: ParamState, g: Number, axes: Axes | None, group: GroupState) -> ParamState:
    """A parameter with its second moment moved, or what FOCUS keeps in its place."""
    d, d_prev, old = group.d, group.d_prev, Factors(p.v_row, p.v_col)
    rescaled = f.revision.second_moment == "rescaled"
    if f.options.use_focus:
        return replace(p, v=_average(f, p, group).kept)
    if axes is None and rescaled:
        return replace(p, v=moment.second_moment(p.v, g, f.beta2, d, d_prev))  # V-001
    if axes is None:
        return replace(p, v=moment.weighted_moment(p.v, g, f.beta2, d))  # V-010
    if rescaled:
        row, col = moment.factored_moments(old, g, axes, f.beta2, d, d_prev)  # V-003
    else:
        row, col = moment.weighted_factors(old, g, axes, f.beta2, d)  # V-011
    return replace(p, v_row=row, v_col=col)


def _average(f: Frame, p: ParamState, group: GroupState) -> focus.Average:
    return focus.average(p.v, p.y, f.beta2, group.d_prev / group.d)  # M-008


def divisor(f: Frame, old: ParamState, new: ParamState, axes: Axes | None, group: GroupState) -> Number:
    """What the update divides by, or what FOCUS compares the weights with."""
    if f.options.use_focus:
        compared = _average(f, old, group).compared
        return adopt.divides(old.v, compared) if f.options.use_adopt else compared  # M-006
    p = adopt.divides(old, new) if f.options.use_adopt else new  # M-006
    if axes is not None:
        return moment.factored_denominator(p.v_row, p.v_col, axes)  # V-005
    if f.revision.second_moment == "corrected":
        return moment.denominator(moment.corrected_moment(p.v, f.given_beta2, group.k))  # V-013, V-004
    return moment.denominator(p.v)  # V-004


# --------------------------------------------------------------------------------------------------------- statistics


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
    if _follows_displacement(f):
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


def _follows_displacement(f: Frame) -> bool:
    return f.options.use_speed and f.revision.speed == "displacement"


def _by_displacement(f: Frame, p: ParamState, g: Number, point: Number, k: int, weight: Number) -> Statistics:
    before = None if p.pull is None else speed.Course(p.pull, p.l1, p.l2)
    inner = distance.numerator_item(g, p.x0, point, 1 + 0 * weight)  # D-002
    inner = distance.amplified(inner) if f.options.amplify_gradients else inner  # D-023
    way = speed.course(before, inner, p.x0 - point, f.numbers.scalar(float(k)))  # M-040
    return Statistics(replace(p, **way._asdict()), speed.course_item(way, weight), way.l2)  # M-041


# ------------------------------------------------------------------------------------------------------------ estimate


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
    if _follows_displacement(f):
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


def counted(f: Frame, pool: GroupState, before: GroupState) -> GroupState:
    """A pool with what the built-in decay counts."""
    if not f.options.cosine_decay:
        return pool
    grew = num.is_positive(pool.d - before.d, "d_grew")
    start = modifiers.Peak(before.stalled, before.peak)
    stalled, peak = modifiers.peak_after(start, grew, before.k, f.options.peak_patience)  # M-022
    return replace(pool, stalled=stalled, peak=peak)


# -------------------------------------------------------------------------------------------------------------- update


def bound(f: Frame, d: Number) -> float:
    """Bound of the update."""
    return speed.bound(f.revision) if f.options.use_speed else update.bound(d, f.d0, f.revision)  # M-013, U-001


def _steered(f: Frame, m: Number, g: Number) -> Number:
    """What moves the weights: the first moment ``m`` of what ``g`` is now, or what cautious or grams makes of it."""
    use_cautious, use_grams = f.options.use_cautious, f.options.use_grams
    if not (use_cautious or use_grams):
        return m
    if options.applies_grams(use_grams, use_cautious):  # O-004
        return modifiers.grams_momentum(m, g)  # M-031
    return modifiers.cautious_momentum(m, g)  # M-030


class Mover(NamedTuple):
    """A parameter with its first moment moved, and what moves its weights."""

    param: ParamState
    n: Number


def mover(f: Frame, p: ParamState, g: Number, divisor: Number, group: GroupState) -> Mover:
    """What moves the weights: the gradient, or a first moment of it, or of what ADOPT makes of it."""
    if f.averages or not (f.averages_moment or f.options.use_adopt):
        return Mover(p, g)
    if f.options.use_adopt:
        g = _divided(f, update.weighted_gradient(g, group.d), divisor, p.y, group.d, f.numbers.scalar(1.0))  # U-011
        m = adopt.normalized_moment(p.m, g, f.beta1, f.numbers.scalar(float(group.k)))  # M-032
    else:
        m = update.momentum(p.m, g, f.beta1, group.d)  # U-010
    return Mover(replace(p, m=m) if f.averages_moment else p, _steered(f, m, g))


class Moved(NamedTuple):
    """A parameter with its moments moved, what moves its weights, and what this is divided by."""

    param: ParamState
    n: Number
    divisor: Number


def by_muon(f: Frame, p: ParamState, g: Number, group: GroupState) -> Moved:
    """What a gradient makes of a parameter that Muon moves; the divisor is the memory, squared as it is."""
    o = muon.shortened(muon.orthogonalized(g))  # M-016, M-015
    rms_sq = muon.size_memory(p.rms_sq, o, f.beta2, group.d, group.d_prev)  # M-017
    return Moved(replace(p, rms_sq=rms_sq), o.o, rms_sq)


def by_moments(f: Frame, p: ParamState, g: Number, axes: Axes | None, group: GroupState) -> Moved:
    """What a gradient makes of any other parameter."""
    g = seen(f, p, g)  # M-007
    old, p = p, second_moment(f, p, g, axes, group)  # V-001, V-003, V-010, V-011, M-008
    by = divisor(f, old, p, axes, group)  # M-006, V-004, V-005, V-013, M-008
    p, n = mover(f, p, g, by, group)  # U-010, M-030 .. M-032
    return Moved(p, n, by)


def direction(f: Frame, measured: Measured, d: Number, new_d: Number, dlr: Number) -> Number:
    """The update, before it is clipped."""
    n, by, y = measured.n, measured.divisor, measured.param.y
    if uses_muon(f, y.shape):
        return muon.direction(n, by)  # M-018
    if f.options.use_adopt and not f.averages:
        return n
    if f.revision.unit == "g" and f.eps is None and not f.options.use_focus:
        return update.angle(n, by, bound(f, d))  # U-003
    at = new_d if f.revision.unit == "new_d" else d
    if f.revision.unit != "g" and not f.averages_moment:
        n = update.weighted_gradient(n, at)  # U-011
    return _divided(f, n, by, y, at, dlr)


def _divided(f: Frame, n: Number, by: Number, y: Number, d: Number, dlr: Number) -> Number:
    if f.options.use_focus:
        return focus.direction(n, by, y)  # M-009
    if f.revision.unit == "g":
        return update.quotient(n, by, f.eps)  # U-002
    if f.eps is None:
        return update.scaled_angle(n, by, f.revision.atan2_scale)  # U-013
    return update.weighted_quotient(n, by, f.eps, d, dlr)  # U-012


def clipped(f: Frame, u: Number, d: Number) -> Number:
    """The update after what limits its root mean square."""
    if not options.clips(f.options.use_stableadamw, f.options.eps):  # O-002
        return u
    if f.revision.clipping == "soft":
        return update.softly_clipped(u)  # C-010
    return update.clipped(u, bound(f, d))  # C-001


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
