"""1.9: a parameter that only fills its second moment keeps a sample and a gradient sum that nothing will read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ppsf_ref import Config, GroupState, Numbers, State
from ppsf_ref.clauses import lifecycle
from ppsf_ref.formats import Array
from ppsf_ref.frame import Frame, frames
from ppsf_ref.store import formats

Step = Callable[[Config, State, Sequence[Sequence[Array | None]], Numbers], State]


def keeps_sample(base: Step) -> Step:
    """The step of the law; what ADOPT's first step has made stays although the window is closed in it already."""

    def step(config: Config, state: State, gradients: Sequence[Sequence[Array | None]], numbers: Numbers) -> State:
        after = base(config, state, gradients, numbers)
        groups = list(after.groups)
        for i, f in enumerate(frames(config, state.groups, numbers)):
            if f.options.use_adopt and state.groups[i].k == 1 and not f.window.adapts:
                groups[i] = _sampled(f, state.groups[i], groups[i], gradients[i])
        return replace(after, groups=tuple(groups))

    return step


def _sampled(f: Frame, before: GroupState, after: GroupState, gradients: Sequence[Array | None]) -> GroupState:
    keeps, params = lifecycle.Keeps(z=f.averages, m=f.averages_moment), list(after.params)
    for j, gradient in enumerate(gradients):
        if gradient is not None:
            x0 = formats(f.options, f.dtypes[j])["x0"]
            made = lifecycle.created(before.params[j], None, keeps, True, f.options.slice_p, x0, f.numbers)
            params[j] = replace(params[j], x0=made.x0, s=made.s)
    return replace(after, params=tuple(params))
