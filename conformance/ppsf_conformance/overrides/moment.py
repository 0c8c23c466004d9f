"""pytorch-optimizer and optax: a first moment is kept with betas[0] = 0 as well."""

from __future__ import annotations

from dataclasses import replace

from ppsf_conformance.adapter import Gradients
from ppsf_conformance.overrides.rules import Step, Table, as_it_is
from ppsf_ref import Config, Numbers, Options, State

#: A first beta that is not 0, and changes no number that is.
NEXT_TO_0 = 1e-300


def _kept(base: Step) -> Step:
    """The step of the law with a first moment in every case."""

    def step(config: Config, state: State, gradients: Gradients, numbers: Numbers) -> State:
        groups = tuple(map(_with_moment, config.groups))
        return base(replace(config, groups=groups), state, gradients, numbers)

    return step


def _with_moment(options: Options) -> Options:
    return options if options.betas[0] else replace(options, betas=(NEXT_TO_0, options.betas[1]))


TABLE: Table = {
    "first_moment_kept": {"PPSF-L-001": as_it_is, "PPSF-U-011": as_it_is, "step": _kept},
}
