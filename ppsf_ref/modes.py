"""States outside a step: the first one, and the changes of mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from ppsf_ref.clauses import average, lifecycle, rounding
from ppsf_ref.formats import Array
from ppsf_ref.numbers import Float64, Numbers
from ppsf_ref.options import Config, Options
from ppsf_ref.state import GroupState, ParamState, State


def initial_state(config: Config, params: Sequence[Sequence[Array]], numbers: Numbers | None = None) -> State:
    """State before the first step, from the weights (float64 arrays, per group and parameter)."""
    lift = numbers or Float64()
    zero = lift.scalar(0.0)

    def group(options: Options, weights: Sequence[Array]) -> GroupState:
        d0 = lift.scalar(options.d0)
        return GroupState(d0, d0, zero, zero, zero, 1, tuple(ParamState(y=lift.array(w)) for w in weights))

    return State(tuple(group(options, weights) for options, weights in zip(config.groups, params, strict=True)))


def evaluate(config: Config, state: State, numbers: Numbers | None = None) -> State:
    """Enter eval mode: every parameter that has a ``z`` holds x."""
    return _switched(config, state, "eval", numbers or Float64())


def train(config: Config, state: State, numbers: Numbers | None = None) -> State:
    """Enter train mode: every parameter that has a ``z`` holds y."""
    return _switched(config, state, "train", numbers or Float64())


def _switched(config: Config, state: State, call: Literal["train", "eval"], lift: Numbers) -> State:
    mode = lifecycle.mode_after(state.train_mode, call)  # L-003
    if mode == state.train_mode:
        return state
    turn = average.interpolated if mode else average.averaged  # Z-005, Z-004

    def turned(options: Options, dtype: str, p: ParamState) -> ParamState:
        if p.z is None:
            return p
        form = rounding.storage(dtype, options.factored_fp32)["y"]
        return replace(p, y=rounding.nearest(turn(p.y, p.z, lift.scalar(options.betas[0])), form))

    def group(options: Options, dtypes: tuple[str, ...], old: GroupState) -> GroupState:
        return replace(old, params=tuple(turned(options, t, p) for t, p in zip(dtypes, old.params, strict=True)))

    return State(tuple(map(group, config.groups, config.dtypes, state.groups)), train_mode=mode)
