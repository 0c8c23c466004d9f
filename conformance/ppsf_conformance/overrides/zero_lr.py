"""prodigyopt 1.1: a group whose lr is 0 feeds no statistics, but its weights move with the step size of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ppsf_conformance.lockstep import Raises
from ppsf_conformance.overrides.rules import Step, Table, as_it_is
from ppsf_ref import Config, GroupState, Numbers, ParamState, State, variants
from ppsf_ref.clauses import average
from ppsf_ref.formats import Array
from ppsf_ref.frame import Frame, frames
from ppsf_ref.numbers import Number
from ppsf_ref.state import Measured
from ppsf_ref.store import stored


def _moves_on(base: Step) -> Step:
    """The step of the law, after which groups with lr 0 move by what their moments hold."""

    def step(config: Config, state: State, gradients: Sequence[Sequence[Array | None]], numbers: Numbers) -> State:
        after = base(config, state, gradients, numbers)
        largest = max(options.lr for options in config.groups)
        alike = replace(config, groups=tuple(replace(options, lr=largest) for options in config.groups))
        groups = list(after.groups)
        for i, f in enumerate(frames(alike, state.groups, numbers)):
            if config.groups[i].lr == 0:
                moves = after.groups[i].k > state.groups[i].k
                groups[i] = _moved(f, state.groups[i], after.groups[i], gradients[i], moves)
        return replace(after, groups=tuple(groups))

    return step


def _needs_one_lr(base: Step) -> Step:
    """The step of the law, unless two groups have different lr above 0."""

    def step(config: Config, state: State, gradients: Sequence[Sequence[Array | None]], numbers: Numbers) -> State:
        if len({options.lr for options in config.groups if options.lr > 0}) > 1:
            raise Raises("RuntimeError")
        return base(config, state, gradients, numbers)

    return step


def _moved(f: Frame, before: GroupState, after: GroupState, grads: Sequence[Array | None], moves: bool) -> GroupState:
    dlr = variants.step_size(f, before.d, before).dlr
    params = list(after.params)
    for j, g in enumerate(grads):
        if g is not None:
            p = variants.created(f, params[j], None, f.dtypes[j])
            moved = _step(f, p, f.numbers.array(g), before, after.d, dlr) if moves else p
            params[j] = stored(f, moved, j, before.k)
    return replace(after, params=tuple(params))


def _step(f: Frame, p: ParamState, g: Number, before: GroupState, new_d: Number, dlr: Number) -> ParamState:
    n = p.m if f.averages_moment else variants.decayed_gradient(f, p, g)
    found = Measured(p, n, variants.divisor(f, p, p, None, before))
    u = variants.direction(f, found, before.d, new_d, dlr)
    return replace(p, y=average.without_average(variants.decayed(f, p.y, dlr), u, dlr))


#: The law's own clause decides who takes part; what the others do besides is beside the law.
TABLE: Table = {
    "zero_lr_group_moves_on": {"PPSF-G-001": as_it_is, "step": _moves_on},
    "unlike_lr_raises": {"PPSF-G-004": as_it_is, "step": _needs_one_lr},
}
