"""Where an implementation leaves the law in one problem, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ppsf_conformance import lockstep
from ppsf_conformance.adapter import ARRAYS, Array, Capabilities, Implementation
from ppsf_conformance.diagnosis import Deviation
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.lockstep import WEIGHTS, Transition, Verdict
from ppsf_conformance.problems import Problem
from ppsf_ref import Running, State, evaluate, overriding, step, train
from ppsf_ref.law import Rule

#: Deviations in one problem after which it is left.
MOST_IN_ONE = 2
#: After these a state may be one that no lawful step starts from.
FINAL = frozenset({"raises", "mode", "presence"})
#: In the place of an output where the constructor refuses a problem.
REFUSED = "constructor"


def wrong_outputs(verdict: Verdict) -> tuple[str, ...]:
    """The outputs outside their bounds."""
    return tuple(sorted({comparison.output for comparison in verdict.comparisons if not comparison.ok}))


def deviations(implementation: Implementation, known: KnownDeviations, problem: Problem) -> Iterator[Deviation]:
    """Transitions outside the law and the known errata, until nothing can be said of what comes after.

    Raises:
        Refused: the constructor raises.
    """
    capabilities, left = implementation.capabilities, MOST_IN_ONE
    if known.excludes(problem):
        return
    for transition in lockstep.play(implementation, problem):
        verdict = lockstep.judge(transition, capabilities)
        if not verdict.ok and known.followed:
            verdict = lockstep.judge(transition, capabilities, known.rules)
        if verdict.ok:
            continue
        yield Deviation(transition, verdict)
        left -= 1 if FINAL.isdisjoint(wrong_outputs(verdict)) else MOST_IN_ONE
        if left <= 0:
            return


def first_outputs(implementation: Implementation, known: KnownDeviations, problem: Problem) -> tuple[str, ...]:
    """The output to look at first of each deviation; nothing where the problem agrees."""
    try:
        return tuple(found.verdict.witness.output for found in deviations(implementation, known, problem))
    except lockstep.Refused:
        return (REFUSED,)


@dataclass(frozen=True, eq=False)
class Quantity:
    """One array or number after a transition: what the law allows, and what is there.

    ``group`` and ``param`` are positions; ``param`` is None for a number of a group.
    """

    output: str
    name: str
    group: int
    param: int | None
    value: Array
    low: Array
    high: Array
    got: Array

    @property
    def worst(self) -> tuple[int, ...]:
        """Index of the element that is farthest outside, in units of what is allowed."""
        radius = np.maximum(self.high - self.low, np.finfo(np.float64).tiny)
        beyond = np.maximum(self.low - self.got, self.got - self.high) / radius
        index = int(np.argmax(np.where(np.isnan(beyond), np.inf, beyond)))
        return tuple(map(int, np.unravel_index(index, self.value.shape)))


def quantities(transition: Transition, capabilities: Capabilities, rules: dict[str, Rule]) -> Iterator[Quantity]:
    """Everything that can be measured after a transition, under the law with ``rules``."""
    lift = Running(capabilities.arithmetic)
    config = lockstep.config_of(transition.problem, transition.rates)
    with np.errstate(all="ignore"), overriding({**lockstep.base_rules(capabilities), **rules}):
        before = lockstep.lifted(config, transition.before.state, lift)
        if transition.kind == "step":
            expected: State = step(config, before, transition.gradients, lift)
        else:
            expected = (evaluate if transition.kind == "eval" else train)(config, before, lift)
    for i, (group, there) in enumerate(zip(expected.groups, transition.after.state.groups, strict=True)):
        for name in config.revision.scalars:
            yield _quantity(name, name, (i, None), getattr(group, name), getattr(there, name))
        for j, (p, q) in enumerate(zip(group.params, there.params, strict=True)):
            for name in ARRAYS:
                want, got = getattr(p, name), getattr(q, name)
                if want is not None and got is not None and np.shape(got) == np.shape(getattr(want, "value", want)):
                    output = WEIGHTS[transition.kind] if name == "y" else name
                    yield _quantity(output, name, (i, j), want, got)


def _quantity(output: str, name: str, place: tuple[int, int | None], want: object, got: object) -> Quantity:
    exact = np.asarray(getattr(want, "value", want), np.longdouble)
    low, high = (np.asarray(getattr(want, end, exact), np.longdouble) for end in ("low", "high"))
    return Quantity(output, name, *place, exact, low, high, np.asarray(got, np.float64))
