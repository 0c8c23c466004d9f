"""The reference as an implementation of its own, and short ways to states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Group, Snapshot
from ppsf_ref import (
    Config,
    Options,
    State,
    evaluate,
    initial_state,
    load_revision,
    options_of,
    step,
    train,
    whole_options,
)
from ppsf_ref.clauses.options import group_options
from ppsf_ref.formats import Array
from ppsf_ref.store import formats as formats_of

REVISION = load_revision("1.9")
ARRAYS = ("y", "z", "x0", "s", "v", "v_row", "v_col", "rms_sq")
SCALARS = ("d", "d_prev", "d_numerator", "d_denom", "weight_sum")


def configured(*groups: Options, dtypes: Sequence[Sequence[str]] | None = None, **whole: Any) -> Config:
    """A configuration; without ``dtypes`` each group has one float32 parameter."""
    names = tuple(map(tuple, dtypes or [("float32",)] * len(groups)))
    return Config(groups=groups or (Options(),), dtypes=names or (("float32",),), revision=REVISION, **whole)


def ran(config: Config, params: Sequence[Sequence[Any]], gradients: Sequence[Sequence[Sequence[Any]]]) -> State:
    """The float64 state after several steps."""
    state = initial_state(config, [[np.asarray(p, np.float64) for p in row] for row in params])
    for rows in gradients:
        state = step(config, state, [[None if g is None else np.asarray(g, np.float64) for g in row] for row in rows])
    return state


def contents(state: State) -> list[dict[str, Any]]:
    """Everything in a state as plain data, per group: scalars, and arrays as lists."""

    def plain(value: Any) -> Any:
        return None if value is None else np.asarray(value, np.float64).tolist()

    return [
        {
            "k": group.k,
            **{name: float(getattr(group, name)) for name in SCALARS},
            "params": [{name: plain(getattr(p, name)) for name in ARRAYS} for p in group.params],
        }
        for group in state.groups
    ]


class Reference:
    """The reference in float64 in the place of an implementation: what the kit's problems are played on."""

    def __init__(self, groups: Sequence[Group], options: Mapping[str, Any], revision: str = "1.9") -> None:
        law = load_revision(revision)
        defaults = group_options(options_of(law), options)
        self.config = Config(
            groups=tuple(group_options(defaults, group.options) for group in groups),
            dtypes=tuple(tuple(w.dtype for w in group.params) for group in groups),
            revision=law,
            **whole_options(law, options),
        )
        self.state = initial_state(self.config, [[w.values for w in group.params] for group in groups])

    def snapshot(self) -> Snapshot:
        pairs = zip(self.config.groups, self.config.dtypes, strict=True)
        formats = tuple(
            tuple({name: form.name for name, form in formats_of(o, d).items()} for d in dtypes) for o, dtypes in pairs
        )
        return Snapshot(self.state, formats)

    def step(self, gradients: Sequence[Sequence[Array | None]]) -> None:
        self.state = step(self.config, self.state, gradients)

    def set_lr(self, group: int, lr: float) -> None:
        groups = list(self.config.groups)
        groups[group] = replace(groups[group], lr=lr)
        self.config = replace(self.config, groups=tuple(groups))

    def train(self) -> None:
        self.state = train(self.config, self.state)

    def eval(self) -> None:
        self.state = evaluate(self.config, self.state)


class ReferenceFactory:
    """Makes sessions of the reference."""

    name, version, target = "reference", "0", "ppsf_ref"

    def __init__(self, revision: str = "1.9") -> None:
        self.revision = revision

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> Reference:
        return Reference(groups, options, self.revision)
