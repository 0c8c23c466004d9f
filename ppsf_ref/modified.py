"""Where a switch of a group decides which clause applies: step size, bound, statistics, and what weights lose."""

from __future__ import annotations

from ppsf_ref.clauses import average, distance, groups, modifiers, options, speed, update
from ppsf_ref.frame import Frame
from ppsf_ref.numbers import Number


def step_size(f: Frame, estimate: Number, k: int) -> Number:
    """dlr of a group in step ``k`` of its pool."""
    dlr = groups.step_size(estimate, f.lr)  # G-004
    if not f.options.use_bias_correction:
        return dlr
    return modifiers.rectified(dlr, f.numbers.scalar(f.options.betas[1]), k)  # M-003


def bound(f: Frame, d: Number) -> float:
    """Bound of the update of a parameter."""
    return speed.bound(f.revision) if f.options.use_speed else update.bound(d, f.d0, f.revision)  # M-013, U-001


def statistic_weight(f: Frame, d: Number) -> Number:
    """du."""
    weight = distance.statistic_weight(d)  # D-001
    return speed.weight(weight, f.d0) if f.options.use_speed else weight  # M-010


def counted(f: Frame, item: Number, g: Number, weight: Number) -> tuple[Number, Number]:
    """What of a parameter's item and of its sampled gradient enters the statistics."""
    if not f.options.use_speed:
        return item, g
    return weight * speed.signed(item), speed.signed(g)  # M-011


def next_estimate(f: Frame, d: Number, d_hat: Number) -> distance.Estimate:
    """d and d_prev of a pool that adapts."""
    return speed.next_estimate(d, d_hat) if f.options.use_speed else distance.next_estimate(d, d_hat)  # M-012, D-007


def next_y(f: Frame, y: Number, z: Number, u: Number, c: Number, dlr: Number) -> Number:
    """New y, before the decay that is not multiplied by dlr."""
    use_cautious, use_grams = f.options.use_cautious, f.options.use_grams
    if not (use_cautious or use_grams):
        return average.next_y(y, z, u, c, dlr, f.beta1)  # Z-002
    decrease = average.decrease_of_y(y, z, u, c, dlr, f.beta1)
    if options.applies_grams(use_grams, use_cautious):  # O-004
        return y - modifiers.grams(decrease, u)  # M-002
    return y - modifiers.cautious(decrease, u)  # M-001
