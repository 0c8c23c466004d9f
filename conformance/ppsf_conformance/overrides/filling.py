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
                groups[i] = _sampled(f, groups[i], gradients[i])
        return replace(after, groups=tuple(groups))

    return step


def _sampled(f: Frame, group: GroupState, gradients: Sequence[Array | None]) -> GroupState:
    keeps = lifecycle.Keeps(z=f.averages, m=f.averages_moment, s=True)
    params = [
        p
        if gradient is None
        else lifecycle.created(
            p, None, keeps, True, f.options.slice_p, formats(f.options, dtype)["x0"], f.numbers, f.options.use_focus
        )
        for p, dtype, gradient in zip(group.params, f.dtypes, gradients, strict=True)
    ]
    return replace(group, params=tuple(params))
