"""States outside a step: the first one, and the changes of mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ppsf_ref.clauses import average, lifecycle, rounding
from ppsf_ref.formats import Array
from ppsf_ref.frozen import replace
from ppsf_ref.numbers import Float64, Numbers
from ppsf_ref.options import Config, Options
from ppsf_ref.state import GroupState, ParamState, State
from ppsf_ref.store import formats


def initial_state(config: Config, params: Sequence[Sequence[Array]], numbers: Numbers | None = None) -> State:
    """State before the first step, from the weights (float64 arrays, per group and parameter)."""
    lift = numbers or Float64()
    zero = lift.scalar(0.0)

    def group(options: Options, weights: Sequence[Array]) -> GroupState:
        d0 = lift.scalar(options.d0)
        return GroupState(
            d=d0,
            d_prev=d0,
            d_numerator=zero,
            d_denom=zero,
            weight_sum=zero,
            k=1,
            params=tuple(ParamState(y=lift.array(w)) for w in weights),
            lr_max=zero,
            d_max=d0,
            n_max=zero,
            peak=0 if options.cosine_decay and options.peak_patience == 0 else None,
        )

    return State(tuple(group(options, weights) for options, weights in zip(config.groups, params, strict=True)))


def evaluate(config: Config, state: State, numbers: Numbers | None = None) -> State:
    """Enter eval mode: every parameter that has a ``z`` holds x."""
    return _switched(config, state, "eval", numbers or Float64())


def train(config: Config, state: State, numbers: Numbers | None = None) -> State:
    """Enter train mode: every parameter that has a ``z`` holds y."""
    return _switched(config, state, "train", numbers or Float64())


def _switched(config: Config, state: State, call: Literal["train", "eval"], lift: Numbers) -> State:
    averages = any(options.use_schedulefree for options in config.groups)
    mode = lifecycle.mode_after(state.train_mode, call, averages)  # L-003
    if mode == state.train_mode:
        return state
    turn = average.interpolated if mode else average.averaged  # Z-005, Z-004

    def turned(options: Options, dtype: str, p: ParamState) -> ParamState:
        if p.z is None:
            return p
        form = formats(options, dtype)["y"]
        return replace(p, y=rounding.nearest(turn(p.y, p.z, lift.scalar(options.betas[0])), form))

    def group(options: Options, dtypes: tuple[str, ...], old: GroupState) -> GroupState:
        return replace(old, params=tuple(turned(options, t, p) for t, p in zip(dtypes, old.params, strict=True)))

    return State(tuple(map(group, config.groups, config.dtypes, state.groups)), train_mode=mode)
