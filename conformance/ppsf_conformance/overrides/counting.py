"""pytorch-optimizer's Prodigy: steps that it does not take are counted, and others twice."""

from __future__ import annotations

from dataclasses import replace

from ppsf_conformance.adapter import Gradients
from ppsf_conformance.overrides.rules import Step, Table, as_it_is
from ppsf_ref import Config, Numbers, State
from ppsf_ref.frame import frames


def _counts_rests(base: Step) -> Step:
    """The step of the law; where it rests, the count moves and the numerator decays all the same."""

    def step(config: Config, state: State, gradients: Gradients, numbers: Numbers) -> State:
        after = base(config, state, gradients, numbers)
        if after.groups[0].k != state.groups[0].k:
            return after
        numerator = frames(config, state.groups, numbers)[0].beta3 * state.groups[0].d_numerator
        return replace(after, groups=tuple(replace(g, k=g.k + 1, d_numerator=numerator) for g in after.groups))

    return step


def _counts_twice(base: Step) -> Step:
    """The step of the law; a step in which weights move counts as two."""

    def step(config: Config, state: State, gradients: Gradients, numbers: Numbers) -> State:
        after = base(config, state, gradients, numbers)
        if after.groups[0].k == state.groups[0].k:
            return after
        return replace(after, groups=tuple(replace(group, k=group.k + 1) for group in after.groups))

    return step


TABLE: Table = {
    "moved_step_counts_twice": {"PPSF-L-002": as_it_is, "step": _counts_twice},
    "resting_step_counts": {"PPSF-D-030": as_it_is, "step": _counts_rests},
}
