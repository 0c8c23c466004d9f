"""pytorch-optimizer's Prodigy: the lr of the first group is that of all groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ppsf_ref import Config, Numbers, State
from ppsf_ref.formats import Array

Step = Callable[[Config, State, Sequence[Sequence[Array | None]], Numbers], State]


def first_decides(base: Step) -> Step:
    """The step of the law with the lr of the first group in every group."""

    def step(config: Config, state: State, gradients: Sequence[Sequence[Array | None]], numbers: Numbers) -> State:
        lr = config.groups[0].lr
        alike = replace(config, groups=tuple(replace(options, lr=lr) for options in config.groups))
        return base(alike, state, gradients, numbers)

    return step
