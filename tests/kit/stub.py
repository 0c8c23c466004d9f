"""An implementation that is the reference itself, lawful or under other rules: what the judge's own tests judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Capabilities, Gradients, Group, Snapshot
from ppsf_conformance.problems import OPTION_VALUES
from ppsf_ref import (
    Arithmetic,
    Config,
    Options,
    State,
    evaluate,
    initial_state,
    load_revision,
    options_of,
    overriding,
    step,
    train,
    whole_options,
)
from ppsf_ref.clauses.options import group_options
from ppsf_ref.law import Rule
from ppsf_ref.store import formats


def capabilities_of(revision: str) -> Capabilities:
    """All options that are drawn."""
    served = load_revision(revision).options & frozenset(OPTION_VALUES)
    return Capabilities(Arithmetic(), revision, ("float32", "bfloat16"), served, frozenset(), True)


CAPABILITIES = capabilities_of("1.9")


def unchanged(state: State) -> State:
    return state


@dataclass
class StubImplementation:
    """The reference in float64, each result rounded once into its storage format.

    Attributes:
        rules: clauses that are done otherwise.
        tamper: what happens to the state after each step.
        raises: the step of this number (from 0) raises after it is done.
    """

    rules: Mapping[str, Rule] = field(default_factory=dict)
    tamper: Callable[[State], State] = unchanged
    raises: int = -1
    name: str = "stub"
    version: str = "0"
    target: str = "tests:Stub"
    revision: str = "1.9"

    @property
    def capabilities(self) -> Capabilities:
        return capabilities_of(self.revision)

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> StubSession:
        return StubSession(self, groups, options)


class StubSession:
    def __init__(self, made_by: StubImplementation, groups: Sequence[Group], options: Mapping[str, Any]) -> None:
        revision = load_revision(made_by.revision)
        defaults = group_options(options_of(revision), options)
        self.made_by, self.steps = made_by, 0
        self.config = Config(
            groups=tuple(group_options(defaults, group.options) for group in groups),
            dtypes=tuple(tuple(weights.dtype for weights in group.params) for group in groups),
            revision=revision,
            **whole_options(revision, options),
        )
        self.state = initial_state(self.config, [[weights.values for weights in group.params] for group in groups])

    def snapshot(self) -> Snapshot:
        rows = zip(self.config.groups, self.config.dtypes, strict=True)
        formats = tuple(tuple(self._formats(options, dtype) for dtype in dtypes) for options, dtypes in rows)
        return Snapshot(self.state, formats)

    @staticmethod
    def _formats(options: Options, dtype: str) -> dict[str, str]:
        return {name: form.name for name, form in formats(options, dtype).items()}

    def step(self, gradients: Gradients) -> None:
        with np.errstate(all="ignore"), overriding(self.made_by.rules):
            self.state = self.made_by.tamper(step(self.config, self.state, gradients))
        self.steps += 1
        if self.steps == self.made_by.raises + 1:
            raise ArithmeticError("out of luck")

    def set_lr(self, group: int, lr: float) -> None:
        options = [replace(o, lr=lr) if i == group else o for i, o in enumerate(self.config.groups)]
        self.config = replace(self.config, groups=tuple(options))

    def train(self) -> None:
        with overriding(self.made_by.rules):
            self.state = train(self.config, self.state)

    def eval(self) -> None:
        with overriding(self.made_by.rules):
            self.state = evaluate(self.config, self.state)
