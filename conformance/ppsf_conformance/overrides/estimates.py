"""What releases make of the estimate, its pools and its window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ppsf_conformance.overrides.rules import Table, instead
from ppsf_ref import GroupState
from ppsf_ref import numbers as num
from ppsf_ref.clauses.distance import LARGEST_STEP, Estimate, Window
from ppsf_ref.clauses.speed import GROWTH
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number


def _d_prev_not_shared(base: Rule) -> Rule:
    def rule(group: GroupState, pool: GroupState, position: int) -> GroupState:
        shared: GroupState = base(group, pool, position)
        return replace(shared, d_prev=group.d_prev) if position else shared

    return rule


def _mean_over_all_groups(own: int, groups: Sequence[GroupState], mean: bool) -> Number:
    if not mean or len(groups) == 1 or all(group.k == 1 for group in groups):
        return groups[own].d
    return len(groups) / num.add_up([1 / group.d for group in groups], 0)


def _negative_item_replaces(previous: Number, item: Number, beta3: Number, d: Number, d0: Number) -> Number:
    decayed = beta3 * previous
    if not num.is_positive(-item, "numerator_item_negative"):
        return decayed + item
    if not num.value_of(d) > num.value_of(d0):
        return decayed
    return -num.maximum(-decayed, -item)


def _angle_without_guard(numerator: Number, denominator: Number, d_coef: Number) -> Number:
    return num.atan2(d_coef * numerator, denominator)


def _nothing_by_nothing(base: Rule) -> Rule:
    """Where the denominator is 0 the quotient is left to the arithmetic, and nothing is known of it."""

    def rule(numerator: Number, denominator: Number, d_coef: Number) -> Number:
        return base(numerator, denominator, d_coef) if num.value_of(denominator) else (d_coef * numerator) / denominator

    return rule


def _one_step_early(k: int, prodigy_steps: int) -> Window:
    adapts = prodigy_steps == 0 or k < prodigy_steps
    return Window(adapts=adapts, releases=not adapts)


def _limited_before_d_coef(d: Number, d_hat: Number, d_coef: Number) -> Number:
    return num.minimum(d_hat, (LARGEST_STEP * d) * d_coef)


def _capped_last(d: Number, d_hat: Number) -> Estimate:
    return Estimate(d=num.minimum(num.maximum(d, d_hat), num.power(d, GROWTH)), d_prev=d)


TABLE: Table = {
    "later_groups_keep_first_d_prev": {"PPSF-G-005": _d_prev_not_shared},
    "frozen_d_prev_keeps_last_value": {"PPSF-D-009": instead(lambda pool: pool)},
    "mean_includes_idle_groups": {"PPSF-G-003": instead(_mean_over_all_groups)},
    "negative_item_replaces_numerator": {"PPSF-D-005": instead(_negative_item_replaces)},
    "idle_pool_adapts": {
        "PPSF-G-006": instead(lambda took_part: True),
        "PPSF-D-006": instead(_angle_without_guard),
    },
    "window_closes_one_step_early": {"PPSF-D-008": instead(_one_step_early)},
    "speed_shrinks_estimate_above_one": {"PPSF-M-012": instead(_capped_last)},
    "limited_before_d_coef": {"PPSF-D-026": instead(_limited_before_d_coef)},
    "moves_without_evidence": {
        "PPSF-D-030": instead(lambda denominator: True),
        "PPSF-D-025": _nothing_by_nothing,
        "PPSF-D-033": instead(lambda numerator, denominator: True),
    },
}
