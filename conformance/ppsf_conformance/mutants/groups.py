"""Wrong laws about samples, options, groups and pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref import GroupState, Options
from ppsf_ref import numbers as num
from ppsf_ref.law import Rule


def _ignores_group_options(defaults: Options, given: Any) -> Options:
    return defaults


def _harmonic_becomes_arithmetic(own: int, groups: Any, mean: bool) -> Any:
    active = [group.d for group in groups if group.k > 1]
    return num.add_up(active, 0) / len(active) if mean and active else groups[own].d


def _counts_idle(own: int, groups: Any, mean: bool) -> Any:
    return len(groups) / num.add_up([1 / group.d for group in groups], 0) if mean else groups[own].d


def _column_by_column(t: Any, stride: int) -> Any:
    order = np.arange(t.reshape(-1).shape[0]).reshape(t.shape).T.reshape(-1)
    return t.reshape(-1)[order[::stride]]


def _whole_strides(t: Any, stride: int) -> Any:
    flat = t.reshape(-1)
    return flat[: max(flat.shape[0] // stride, 1) * stride : stride]


def _with_the_last(t: Any, stride: int) -> Any:
    flat = t.reshape(-1)
    places = np.arange(0, flat.shape[0], stride)
    places[-1:] = flat.shape[0] - 1
    return flat[places]


def _only(*names: str) -> Rule:
    """Of the options that a group gives these count."""
    return lambda defaults, given: replace(defaults, **{name: given[name] for name in names if name in given})


def _without(name: str) -> Rule:
    def rule(defaults: Options, given: Mapping[str, Any]) -> Any:
        return law("PPSF-O-003", defaults, {key: value for key, value in given.items() if key != name})

    return rule


def _pairs(count: int, split: bool) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(range(first, min(first + 2, count))) for first in range(0, count, 2))


def _least(own: int, groups: Any, mean: bool) -> Any:
    active = [group.d for group in groups if group.k > 1]
    if not mean or not active:
        return groups[own].d
    least = active[0]
    for d in active[1:]:
        least = num.minimum(least, d)
    return least


def _own_in_pool(*names: str) -> Rule:
    """What a group keeps for itself though its pool has another."""

    def rule(group: GroupState, pool: GroupState, position: int) -> GroupState:
        right: GroupState = law("PPSF-G-005", group, pool, position)
        return replace(right, **{name: getattr(group, name) for name in names}) if position else right

    return rule


GROUPS: tuple[Mutant, ...] = (
    Mutant("every tenth element", clause="PPSF-N-001", kind="constant", rule=lambda t, stride: t.reshape(-1)[::10]),
    Mutant("starts at element 1", clause="PPSF-N-001", kind="slice", rule=lambda t, stride: t.reshape(-1)[1::stride]),
    Mutant(
        "beta2 itself", clause="PPSF-O-001", kind="operand", rule=lambda beta3, beta2: beta2 if beta3 is None else beta3
    ),
    Mutant("given beta3 ignored", clause="PPSF-O-001", kind="option", rule=lambda beta3, beta2: num.sqrt(beta2)),
    Mutant("clips with atan2 too", clause="PPSF-O-002", kind="condition", rule=lambda use, eps: use),
    Mutant("never clips", clause="PPSF-O-002", kind="condition", rule=lambda use, eps: False),
    Mutant("options of a group ignored", clause="PPSF-O-003", kind="option", rule=_ignores_group_options),
    Mutant("lr = 0 takes part", clause="PPSF-G-001", kind="condition", rule=lambda gradient, lr: gradient),
    Mutant(
        "groups never share",
        clause="PPSF-G-002",
        kind="condition",
        rule=lambda count, split: tuple((i,) for i in range(count)),
    ),
    Mutant(
        "groups always share", clause="PPSF-G-002", kind="condition", rule=lambda count, split: (tuple(range(count)),)
    ),
    Mutant("arithmetic mean", clause="PPSF-G-003", kind="formula", rule=_harmonic_becomes_arithmetic),
    Mutant("idle groups counted", clause="PPSF-G-003", kind="condition", rule=_counts_idle),
    Mutant("always the own d", clause="PPSF-G-003", kind="operand", rule=lambda own, groups, mean: groups[own].d),
    Mutant("lr ignored", clause="PPSF-G-004", kind="dropped", rule=lambda estimate, lr: estimate),
    Mutant(
        "lr off by 2**-20",
        clause="PPSF-G-004",
        kind="constant",
        rule=lambda estimate, lr: estimate * lr * (1 + 2.0**-20),
    ),
    Mutant(
        "d_prev stays behind",
        clause="PPSF-G-005",
        kind="stale",
        rule=lambda group, pool, position: replace(
            law("PPSF-G-005", group, pool, position), d_prev=group.d_prev if position else pool.d_prev
        ),
    ),
    Mutant("an idle pool moves", clause="PPSF-G-006", kind="condition", rule=lambda took_part: True),
    Mutant("every parameter needed", clause="PPSF-G-006", kind="condition", rule=lambda took_part: all(took_part)),
    Mutant("grams wins", clause="PPSF-O-004", kind="condition", rule=lambda use_grams, use_cautious: use_grams),
    Mutant("grams never applies", clause="PPSF-O-004", kind="condition", rule=lambda use_grams, use_cautious: False),
    Mutant("factored all the same", clause="PPSF-O-005", kind="condition", rule=lambda factored, use_focus: factored),
    Mutant("never factored", clause="PPSF-O-005", kind="condition", rule=lambda factored, use_focus: False),
    Mutant("Muon wins", clause="PPSF-O-006", kind="condition", rule=lambda use_muon_pp, use_focus: use_muon_pp),
    Mutant("Muon never applies", clause="PPSF-O-006", kind="condition", rule=lambda use_muon_pp, use_focus: False),
    Mutant("beta4 None is 0", clause="PPSF-O-010", kind="option", rule=lambda beta4, beta2: beta4 or 0.0),
    Mutant(
        "beta4 None is sqrt(beta2)",
        clause="PPSF-O-010",
        kind="constant",
        rule=lambda b4, b2: b2**0.5 if b4 is None else b4,
    ),
    Mutant("without d", clause="PPSF-G-010", kind="dropped", rule=lambda dlr, d: dlr),
    Mutant("lr alone", clause="PPSF-G-010", kind="dropped", rule=lambda dlr, d: 1.0 + 0 * d),
    Mutant("always the revision's", clause="PPSF-O-011", kind="condition", rule=lambda own, averages: own),
    Mutant("always Adam's", clause="PPSF-O-011", kind="condition", rule=lambda own, averages: "adam"),
    Mutant("ends at the stride", clause="PPSF-N-001", kind="slice", rule=lambda t, n: t.reshape(-1)[n - 1 :: n]),
    Mutant("column by column", clause="PPSF-N-001", kind="axis", rule=_column_by_column),
    Mutant("the last element in the place of the last sample", clause="PPSF-N-001", kind="slice", rule=_with_the_last),
    Mutant("whole strides only", clause="PPSF-N-001", kind="slice", rule=_whole_strides),
    Mutant("from the default beta2", clause="PPSF-O-001", kind="constant", rule=lambda b3, b2: num.sqrt(0 * b2 + 0.99)),
    Mutant("clips only with atan2", clause="PPSF-O-002", kind="condition", rule=lambda use, eps: use and eps is None),
    Mutant("a group may give lr only", clause="PPSF-O-003", kind="option", rule=_only("lr")),
    Mutant("weight_decay of a group ignored", clause="PPSF-O-003", kind="option", rule=_without("weight_decay")),
    Mutant("eps of a group ignored", clause="PPSF-O-003", kind="option", rule=_without("eps")),
    Mutant(
        "beta4 None is beta2 squared",
        clause="PPSF-O-010",
        kind="option",
        rule=lambda b4, b2: b2**2 if b4 is None else b4,
    ),
    Mutant("nobody takes part", clause="PPSF-G-001", kind="condition", rule=lambda gradient, lr: None),
    Mutant(
        "a gradient of zeros stays out",
        clause="PPSF-G-001",
        kind="condition",
        rule=lambda gradient, lr: gradient if lr and gradient is not None and np.any(gradient) else None,
    ),
    Mutant("two by two", clause="PPSF-G-002", kind="slice", rule=_pairs),
    Mutant("the smallest d", clause="PPSF-G-003", kind="formula", rule=_least),
    Mutant(
        "mean though switched off",
        clause="PPSF-G-003",
        kind="option",
        rule=lambda i, g, mean: law("PPSF-G-003", i, g, True),
    ),
    Mutant(
        "d of the first group", clause="PPSF-G-003", kind="slice", rule=lambda i, g, mean: law("PPSF-G-003", 0, g, mean)
    ),
    Mutant("lr twice", clause="PPSF-G-004", kind="constant", rule=lambda estimate, lr: estimate * lr * lr),
    Mutant("counts for itself", clause="PPSF-G-005", kind="stale", rule=_own_in_pool("k")),
    Mutant("numerator of its own", clause="PPSF-G-005", kind="stale", rule=_own_in_pool("d_numerator")),
    Mutant("d of its own", clause="PPSF-G-005", kind="stale", rule=_own_in_pool("d")),
    Mutant("the first parameter decides", clause="PPSF-G-006", kind="slice", rule=lambda took_part: any(took_part[:1])),
    Mutant("d over dlr", clause="PPSF-G-010", kind="operand", rule=lambda dlr, d: d / dlr),
)
