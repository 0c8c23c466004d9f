"""How far a group steps, how much of the step the average takes, and what the built-in decay counts."""

from __future__ import annotations

from typing import NamedTuple

from ppsf_ref import numbers as num
from ppsf_ref.clauses import average, groups, modifiers, options
from ppsf_ref.frame import Frame
from ppsf_ref.frozen import replace
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState


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


def counted(f: Frame, pool: GroupState, before: GroupState) -> GroupState:
    """A pool with what the built-in decay counts."""
    if not f.options.cosine_decay:
        return pool
    grew = num.is_positive(pool.d - before.d, "d_grew")
    start = modifiers.Peak(before.stalled, before.peak)
    stalled, peak = modifiers.peak_after(start, grew, before.k, f.options.peak_patience)  # M-022
    return replace(pool, stalled=stalled, peak=peak)
