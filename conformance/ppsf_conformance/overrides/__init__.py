"""What releases do instead of the law: one override per erratum that is a formula, under the name the erratum gives.

With all overrides of a release in force the reference follows that release in lockstep; what still disagrees is an
erratum not yet found. An override turns the rule it finds into another one, so that two of them may touch one clause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.lockstep import STEP
from ppsf_conformance.overrides import counting, filling, moment, options, shared_lr, zero_lr
from ppsf_conformance.problems import Problem
from ppsf_ref import BFLOAT16, FLOAT32, Bounded, Format, GroupState, ParamState, clause_functions, step
from ppsf_ref import numbers as num
from ppsf_ref.clauses.average import Decaying
from ppsf_ref.clauses.distance import LARGEST_STEP, Estimate, Window
from ppsf_ref.clauses.focus import Average
from ppsf_ref.clauses.moment import Axes
from ppsf_ref.clauses.orthograd import length
from ppsf_ref.clauses.speed import GROWTH
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number

#: From the rule in force so far to the release's.
Override = Callable[[Rule], Rule]


def _instead(rule: Rule) -> Override:
    return lambda _: rule


def _half(x: Number) -> Number:
    """``x`` after a round trip through bfloat16."""
    return x.cast(BFLOAT16, x.is_array).cast(FLOAT32, x.is_array) if isinstance(x, Bounded) else x


def _stored_as(name: str, form: Format) -> Override:
    return lambda base: lambda dtype, factored_fp32: {**base(dtype, factored_fp32), name: form}


def _sum_rounded_twice(s: Number, g: Number, beta3: Number, weight: Number) -> Number:
    return _half(_half(beta3 * s) + weight * g)


def _wrong_axis(base: Rule) -> Rule:
    """The axis that would be right had the row factor lost its reduced axis."""
    return lambda row, col, axes: base(row, col, Axes(axes.dr, axes.dc - 1 if axes.dc > axes.dr else axes.dc))


def _mean_plus(row: Number, col: Number, axes: Axes) -> Number:
    return num.sqrt(row / (num.mean(row, axes.dc) + 1e-30)) * num.sqrt(col)


def _mean_plus_under_one_root(row: Number, col: Number, axes: Axes) -> Number:
    return num.sqrt(row / (num.mean(row, axes.dc) + 1e-30) * col)


def _d_prev_not_shared(base: Rule) -> Rule:
    def rule(group: GroupState, pool: GroupState, position: int) -> GroupState:
        shared: GroupState = base(group, pool, position)
        return replace(shared, d_prev=group.d_prev) if position else shared

    return rule


def _last_parameter_decides(before: Number, after: Number, moved: Sequence[bool]) -> Number:
    return after if moved and moved[-1] else before


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


def _one_step_early(k: int, prodigy_steps: int) -> Window:
    adapts = prodigy_steps == 0 or k < prodigy_steps
    return Window(adapts=adapts, releases=not adapts)


def _cautious_plus_one(decrease: Number, u: Number) -> Number:
    kept = num.indicator(decrease * u)
    return decrease * (kept * (np.size(u) / (num.total(kept) + 1)))


def _limited_before_d_coef(d: Number, d_hat: Number, d_coef: Number) -> Number:
    return num.minimum(d_hat, (LARGEST_STEP * d) * d_coef)


def _decays_first(by_lr: bool) -> Rule:
    """y decays before anything else, z by the decayed y, and the average is taken of both."""

    def rule(before: Decaying, weight_decay: Number, dlr: Number, c: Number, beta1: Number) -> Decaying:
        lost = weight_decay * dlr if by_lr else weight_decay
        y = before.y - (lost * (1 - beta1 * (1 - c))) * before.y
        return before._replace(y=y, z=before.z - lost * y)

    return rule


def _scaled_back(g: Number, p: ParamState) -> Number:
    along = num.total(p.y * g) / (num.total(p.y * p.y) + 1e-30)
    part = g - along * p.y
    return part * (length(g) / (length(part) + 1e-30))


def _on_z(base: Rule) -> Rule:
    return lambda g, p: base(g, replace(p, y=p.z))


def _capped_last(d: Number, d_hat: Number) -> Estimate:
    return Estimate(d=num.minimum(num.maximum(d, d_hat), num.power(d, GROWTH)), d_prev=d)


def _rescaled_average(base: Rule) -> Rule:
    def rule(v: Number, y: Number, beta2: Number, growth: Number) -> Average:
        law: Average = base(v, y, beta2, growth)
        return law._replace(kept=(beta2 * growth * growth) * v + (1 - beta2) * y)

    return rule


def _new_average_compared(base: Rule) -> Rule:
    def rule(v: Number, y: Number, beta2: Number, growth: Number) -> Average:
        average: Average = base(v, y, beta2, growth)
        return average._replace(compared=average.kept)

    return rule


def _nothing_by_nothing(base: Rule) -> Rule:
    """Where the denominator is 0 the quotient is left to the arithmetic, and nothing is known of it."""

    def rule(numerator: Number, denominator: Number, d_coef: Number) -> Number:
        return base(numerator, denominator, d_coef) if num.value_of(denominator) else (d_coef * numerator) / denominator

    return rule


def _root_plus(v: Number) -> Number:
    return num.sqrt(v + 1e-15)


def _through_x(y: Number, z: Number, u: Number, c: Number, dlr: Number, beta1: Number) -> Number:
    """The average is recovered from y, moved, and y made of it anew, as an increment of y."""
    new_z = z - dlr * u
    x = (y - (1 - beta1) * z) / beta1
    x = (1 - c) * x + c * new_z
    return y + ((beta1 * x + (1 - beta1) * new_z) - y)


#: By name, innermost first where two touch one clause.
OVERRIDES: Mapping[str, Mapping[str, Override]] = {
    "initial_sample_in_bfloat16": {"PPSF-R-001": _stored_as("x0", BFLOAT16)},
    "gradient_sum_in_bfloat16": {
        "PPSF-R-001": _stored_as("s", BFLOAT16),
        "PPSF-D-003": _instead(_sum_rounded_twice),
    },
    "statistics_in_bfloat16": {"PPSF-D-004": _instead(lambda s: _half(num.total(abs(s))))},
    "factored_mean_plus_1e_30": {"PPSF-V-005": _instead(_mean_plus)},
    "factored_mean_plus_1e_30_under_one_root": {"PPSF-V-005": _instead(_mean_plus_under_one_root)},
    "factored_mean_over_size_one_axis": {"PPSF-V-005": _wrong_axis},
    "later_groups_keep_first_d_prev": {"PPSF-G-005": _d_prev_not_shared},
    "frozen_d_prev_keeps_last_value": {"PPSF-D-009": _instead(lambda pool: pool)},
    "last_parameter_decides_weight_sum": {"PPSF-Z-006": _instead(_last_parameter_decides)},
    "idle_group_weighs": {"PPSF-Z-006": _instead(lambda before, after, took_part: after)},
    "mean_includes_idle_groups": {"PPSF-G-003": _instead(_mean_over_all_groups)},
    "negative_item_replaces_numerator": {"PPSF-D-005": _instead(_negative_item_replaces)},
    "idle_pool_adapts": {
        "PPSF-G-006": _instead(lambda took_part: True),
        "PPSF-D-006": _instead(_angle_without_guard),
    },
    "zero_lr_group_takes_part": {"PPSF-G-001": _instead(lambda gradient, lr: gradient)},
    "window_closes_one_step_early": {"PPSF-D-008": _instead(_one_step_early)},
    "cautious_scaled_by_kept_plus_one": {"PPSF-M-001": _instead(_cautious_plus_one)},
    "speed_shrinks_estimate_above_one": {"PPSF-M-012": _instead(_capped_last)},
    "focus_average_starts_at_zero": {"PPSF-L-001": lambda base: lambda *args: base(*args[:7], False)},
    "focus_average_rescaled": {"PPSF-M-008": _rescaled_average},
    "focus_compares_with_new_average": {"PPSF-M-008": _new_average_compared},
    "orthograd_scales_rounding_up": {"PPSF-M-007": _instead(_scaled_back)},
    "orthograd_projects_on_z": {"PPSF-M-007": _on_z},
    "adopt_fills_in_first_step_of_group": {
        "PPSF-M-005": _instead(lambda is_new, k: k == 1),
        STEP: filling.keeps_sample,
    },
    "non_finite_gradient_is_applied": {"PPSF-L-004": _instead(lambda gradients: True)},
    "limited_before_d_coef": {"PPSF-D-026": _instead(_limited_before_d_coef)},
    "decays_before_average": {
        "PPSF-W-001": _instead(_decays_first(by_lr=True)),
        "PPSF-W-002": _instead(_decays_first(by_lr=False)),
    },
    "cautious_momentum_loses_sign": {"PPSF-M-030": _instead(lambda m, g: g * m)},
    "rectified_without_schedule_free": {"PPSF-O-011": _instead(lambda own, averages: own)},
    "atan2_group_keeps_clipping": {
        "PPSF-O-002": _instead(lambda use_stableadamw, eps: use_stableadamw),
        "PPSF-O-003": options.inherits(options.unclipped_angle),
    },
    "beta3_from_constructor_betas": {"PPSF-O-003": options.inherits(options.beta3_found)},
    "factored_dropped_by_constructor": {"PPSF-O-003": options.inherits(options.factored_dropped)},
    "grams_dropped_by_constructor": {"PPSF-O-003": options.inherits(options.grams_dropped)},
    "muon_dropped_by_constructor": {"PPSF-O-003": options.inherits(options.muon_dropped)},
    # The law's own clause decides who takes part; what the others do besides is beside the law.
    "coupled_decay_comes_too_late": {"PPSF-W-011": _instead(lambda g, y, weight_decay: g)},
    "moves_without_evidence": {
        "PPSF-D-030": _instead(lambda denominator: True),
        "PPSF-D-025": _nothing_by_nothing,
    },
    "root_plus_1e_15": {"PPSF-V-004": _instead(_root_plus)},
    "average_recovered_from_y": {"PPSF-Z-002": _instead(_through_x)},
    "zero_lr_group_moves_on": {"PPSF-G-001": lambda base: base, STEP: zero_lr.moves_on},
    "unlike_lr_raises": {"PPSF-G-004": lambda base: base, STEP: zero_lr.needs_one_lr},
    "moved_step_counts_twice": {"PPSF-L-002": lambda base: base, STEP: counting.counts_twice},
    "resting_step_counts": {"PPSF-D-030": lambda base: base, STEP: counting.counts_rests},
    "first_moment_kept": {"PPSF-L-001": lambda base: base, "PPSF-U-011": lambda base: base, STEP: moment.kept},
    "first_lr_for_all": {
        "PPSF-G-004": lambda base: base,
        "PPSF-G-001": _instead(lambda gradient, lr: gradient),
        STEP: shared_lr.first_decides,
    },
}


def combined(names: Iterable[str]) -> dict[str, Rule]:
    """The rules under several overrides together.

    Raises:
        KeyError: an override does not exist.
    """
    wanted = set(names)
    if unknown := wanted - set(OVERRIDES):
        raise KeyError(f"no override named {', '.join(sorted(unknown))}")
    law, rules = {**clause_functions(), STEP: step}, dict[str, Rule]()
    for name in (name for name in OVERRIDES if name in wanted):
        for clause, override in OVERRIDES[name].items():
            rules[clause] = override(rules.get(clause, law[clause]))
    return rules


def _has_bfloat16(problem: Problem) -> bool:
    return any(spec.dtype == "bfloat16" for group in problem.groups for spec in group.params)


def _empty_with_axes(problem: Problem) -> bool:
    shapes = [spec.shape for group in problem.groups for spec in group.params]
    return any(len(shape) > 1 and 0 in shape and max(shape) >= 32 for shape in shapes)


def _values(problem: Problem, *names: str) -> list[tuple[Any, ...]]:
    """What each group is given for these options, itself or through the constructor; None where nothing is."""
    given = [{**problem.options, **group.options} for group in problem.groups]
    return [tuple(options.get(name) for name in names) for options in given]


def _switched_on(option: str) -> Callable[[Problem], bool]:
    return lambda problem: (True,) in _values(problem, option)


def _projects_strided(problem: Problem) -> bool:
    switched = zip(_values(problem, "use_orthograd"), problem.groups, strict=True)
    params = [spec for (on,), group in switched if on for spec in group.params]
    return any(len(spec.shape) > 1 and spec.layout == "transposed" for spec in params)


def _fused_with_gaps(problem: Problem) -> bool:
    return (True,) in _values(problem, "fused_back_pass") and problem.missing > 0


def _orthogonalizes(problem: Problem) -> bool:
    """Whether Muon, whose arithmetic a release has in bfloat16, is asked for there and moves a parameter."""
    dropped = problem.options.get("use_focus", False)
    inherited = problem.options.get("use_muon_pp", False) and not dropped
    switched = [(group, group.options.get("use_muon_pp", inherited)) for group in problem.groups]
    return any(len(spec.shape) > 1 for group, on in switched if on for spec in group.params)


def _warms_up(problem: Problem) -> bool:
    return any(steps for (steps,) in _values(problem, "warmup_steps"))


#: Errata of an option that no override follows, with that option.
UNFOLLOWED: Mapping[str, str] = {
    "ERR-0048": "use_adopt",
    "ERR-0049": "use_focus",
    "ERR-0055": "use_orthograd",
    "ERR-0056": "use_orthograd",
    "ERR-0111": "use_muon_pp",
    "ERR-0251": "warmup_steps",
}

#: Problems to which an erratum applies that no override follows, or not in all cases: judged for other releases only.
#: By its id.
EXCLUDED: Mapping[str, Callable[[Problem], bool]] = {
    **dict.fromkeys(
        (
            "ERR-0013",
            "ERR-0027",
            "ERR-0028",
            "ERR-0029",
            "ERR-0064",
            "ERR-0065",
            "ERR-0066",
            "ERR-0126",
            "ERR-0127",
            "ERR-0213",
            "ERR-0229",
            "ERR-0245",
            "ERR-0255",
        ),
        _has_bfloat16,
    ),
    "ERR-0024": _empty_with_axes,
    "ERR-0104": _projects_strided,
    "ERR-0052": _fused_with_gaps,
    **{erratum: _switched_on(option) for erratum, option in UNFOLLOWED.items()},
    "ERR-0215": lambda problem: problem.missing > 0,
    "ERR-0251": _warms_up,
    "ERR-0111": _orthogonalizes,  # only matrices: no other parameter notices the option
}


def excluded(ids: Iterable[str], problem: Problem) -> bool:
    """Whether one of these errata keeps a problem out."""
    return any(EXCLUDED[name](problem) for name in ids if name in EXCLUDED)
