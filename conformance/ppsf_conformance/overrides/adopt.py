"""What releases make of ADOPT: who fills the second moment, and how far a step goes without averaging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ppsf_conformance.overrides.rules import Step, Table, as_it_is, instead
from ppsf_ref import Config, GroupState, Numbers, ParamState, State, variants
from ppsf_ref import numbers as num
from ppsf_ref.clauses.distance import Window
from ppsf_ref.formats import Array
from ppsf_ref.frame import Frame, frames
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number
from ppsf_ref.variants import Mover


def _keeps_sample(base: Step) -> Step:
    """The step of the law; what ADOPT's first step has made stays although the window is closed in it already."""

    def step(config: Config, state: State, gradients: Sequence[Sequence[Array | None]], numbers: Numbers) -> State:
        after = base(config, state, gradients, numbers)
        groups = list(after.groups)
        for i, f in enumerate(frames(config, state.groups, numbers)):
            if not f.window.adapts:
                groups[i] = _sampled(f, state.groups[i], groups[i], gradients[i])
        return replace(after, groups=tuple(groups))

    return step


def _sampled(f: Frame, before: GroupState, after: GroupState, gradients: Sequence[Array | None]) -> GroupState:
    adapting, params = replace(f, window=Window(adapts=True, releases=False)), list(after.params)
    for j, gradient in enumerate(gradients):
        if gradient is not None and variants.only_fills(f, before.params[j], before.k):
            made = variants.created(adapting, before.params[j], None, f.dtypes[j])
            params[j] = replace(params[j], x0=made.x0, s=made.s)
    return replace(after, params=tuple(params))


def _by_d_twice(base: Rule) -> Rule:
    """The gradient is divided without the factor d that the divisor has; the first moment gives it one."""

    def rule(f: Frame, p: ParamState, g: Number, divisor: Number, group: GroupState) -> Mover:
        if f.averages or not f.options.use_adopt:
            law: Mover = base(f, p, g, divisor, group)
            return law
        u = variants.divided(f, g, divisor, p.y, group.d, f.numbers.scalar(1.0))
        limit = group.k**0.25 + 0 * u
        cut = num.maximum(num.minimum(u, limit), -limit)
        m = f.beta1 * p.m + ((1 - f.beta1) * group.d) * cut
        return Mover(replace(p, m=m), variants.steered(f, m, cut))

    return rule


TABLE: Table = {
    "adopt_fills_in_first_step_of_group": {
        "PPSF-M-005": instead(lambda is_new, k: k == 1),
        "step": _keeps_sample,
    },
    "adopt_steps_by_squared_d": {"PPSF-M-032": as_it_is, "mover": _by_d_twice},
}
