"""pytorch-optimizer's Prodigy: the lr of the first group is that of all groups."""

from __future__ import annotations

from dataclasses import replace

from ppsf_conformance.adapter import Gradients
from ppsf_conformance.overrides.rules import Step, Table, as_it_is, instead
from ppsf_ref import Config, Numbers, State


def _first_decides(base: Step) -> Step:
    """The step of the law with the lr of the first group in every group."""

    def step(config: Config, state: State, gradients: Gradients, numbers: Numbers) -> State:
        lr = config.groups[0].lr
        alike = replace(config, groups=tuple(replace(options, lr=lr) for options in config.groups))
        return base(alike, state, gradients, numbers)

    return step


TABLE: Table = {
    "first_lr_for_all": {
        "PPSF-G-004": as_it_is,
        "PPSF-G-001": instead(lambda gradient, lr: gradient),
        "step": _first_decides,
    },
}
