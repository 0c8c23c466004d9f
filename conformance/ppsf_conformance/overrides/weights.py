"""Who takes part in a step, and what releases make of its average, its decay and its direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ppsf_conformance.adapter import Gradients, fused_order
from ppsf_conformance.overrides.rules import Step, Table, instead
from ppsf_ref import Config, Numbers, State
from ppsf_ref import numbers as num
from ppsf_ref.clauses.average import Decaying
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number


def _last_parameter_decides(before: Number, after: Number, moved: Sequence[bool]) -> Number:
    return after if moved and moved[-1] else before


def _as_called(base: Step) -> Step:
    """The step of the law on parameters in the order in which a fused backward pass calls them."""

    def step(config: Config, state: State, gradients: Gradients, numbers: Numbers) -> State:
        if not config.fused_back_pass:
            return base(config, state, gradients, numbers)
        order = [[j for i, j in fused_order(gradients) if i == group] for group in range(len(gradients))]
        called = [[row[j] for j in js] for row, js in zip(gradients, order, strict=True)]
        dtypes = tuple(tuple(row[j] for j in js) for row, js in zip(config.dtypes, order, strict=True))
        after = base(replace(config, dtypes=dtypes), _ordered(state, order), called, numbers)
        return _ordered(after, [list(np.argsort(js)) for js in order])

    return step


def _ordered(state: State, order: Sequence[Sequence[int]]) -> State:
    pairs = zip(state.groups, order, strict=True)
    return replace(state, groups=tuple(replace(g, params=tuple(g.params[j] for j in js)) for g, js in pairs))


def _cautious_plus_one(decrease: Number, u: Number) -> Number:
    kept = num.indicator(decrease * u)
    return decrease * (kept * (np.size(u) / (num.total(kept) + 1)))


def _decays_first(by_lr: bool) -> Rule:
    """y decays before anything else, z by the decayed y, and the average is taken of both."""

    def rule(before: Decaying, weight_decay: Number, dlr: Number, c: Number, beta1: Number) -> Decaying:
        lost = weight_decay * dlr if by_lr else weight_decay
        y = before.y - (lost * (1 - beta1 * (1 - c))) * before.y
        return before._replace(y=y, z=before.z - lost * y)

    return rule


def _through_x(y: Number, z: Number, u: Number, c: Number, dlr: Number, beta1: Number) -> Number:
    """The average is recovered from y, moved, and y made of it anew, as an increment of y."""
    new_z = z - dlr * u
    x = (y - (1 - beta1) * z) / beta1
    x = (1 - c) * x + c * new_z
    return y + ((beta1 * x + (1 - beta1) * new_z) - y)


TABLE: Table = {
    "last_parameter_decides_weight_sum": {"PPSF-Z-006": instead(_last_parameter_decides), "step": _as_called},
    "idle_group_weighs": {"PPSF-Z-006": instead(lambda before, after, took_part: after)},
    "zero_lr_group_takes_part": {"PPSF-G-001": instead(lambda gradient, lr: gradient)},
    "cautious_scaled_by_kept_plus_one": {"PPSF-M-001": instead(_cautious_plus_one)},
    "non_finite_gradient_is_applied": {"PPSF-L-004": instead(lambda gradients: True)},
    "decays_before_average": {
        "PPSF-W-001": instead(_decays_first(by_lr=True)),
        "PPSF-W-002": instead(_decays_first(by_lr=False)),
    },
    "cautious_momentum_loses_sign": {"PPSF-M-030": instead(lambda m, g: g * m)},
    "rectified_without_schedule_free": {"PPSF-O-011": instead(lambda own, averages: own)},
    "coupled_decay_comes_too_late": {"PPSF-W-011": instead(lambda g, y, weight_decay: g)},
    "average_recovered_from_y": {"PPSF-Z-002": instead(_through_x)},
}
