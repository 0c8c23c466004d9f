"""Two runs side by side: the same problem told in two ways, whose results must correspond.

Weights, gradients and options of the second run follow from those of the first by a *correspondence*; the law is that
the states do too. How far they may lie apart is derived: the two steps have the same exact result as long as the states
before them are the same, and each lies inside the bound of the judge around it, so they differ by its width at most.
Once rounding has told the runs apart they are followed no further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppsf_conformance.adapter import ARRAYS, COUNTS, Array, Gradients, Group, Implementation, Snapshot
from ppsf_conformance.checks.finding import Finding
from ppsf_conformance.lockstep import base_rules, config_of, given_rates, lifted
from ppsf_conformance.problems import Problem, constructor_groups, gradients
from ppsf_ref import Allowed, Bounded, Running, State, overriding, step, tracing

#: Steps of a run.
STEPS = 5


@dataclass(frozen=True)
class Told:
    """The other way to tell a problem.

    Attributes:
        groups: its groups.
        options: its options.
        gradients: of one step, from those of the first run.
        back: its state, read as one of the first run.
        ignores: outputs that do not correspond.
    """

    groups: Sequence[Group]
    options: dict[str, Any]
    gradients: Callable[[Gradients], Gradients] = lambda given: given
    back: Callable[[State], State] = lambda state: state
    ignores: frozenset[str] = frozenset()


@dataclass
class Followed:
    """Two runs.

    Attributes:
        steps: how many steps have been compared.
        exact: whether they were the same bit for bit in all of them.
    """

    steps: int = 0
    exact: bool = True
    findings: list[Finding] = field(default_factory=list)


def follow(implementation: Implementation, problem: Problem, told: Told, steps: int = STEPS) -> Followed:
    """Compare two runs, step by step, until rounding tells them apart."""
    groups = constructor_groups(problem)
    first = implementation.new(groups, problem.options)
    second = implementation.new(told.groups, told.options)
    found = Followed()
    for t in range(steps):
        before = first.snapshot()
        given = gradients(problem, t, before)
        first.step(given)
        second.step(told.gradients(given))
        after, other = first.snapshot(), told.back(second.snapshot().state)
        apart, wrong = _compare(implementation, problem, before, given, after.state, other, told.ignores)
        found.steps += 1
        found.findings += [Finding(not wrong, f"step {t + 1}: {wrong[0] if wrong else ''}")]
        found.exact &= not apart
        if apart or wrong:
            break
    return found


def _compare(
    implementation: Implementation,
    problem: Problem,
    before: Snapshot,
    given: Gradients,
    state: State,
    other: State,
    ignores: frozenset[str],
) -> tuple[bool, list[str]]:
    """Whether two states differ at all, and where by more than rounding explains."""
    differing = [(where, a, b) for where, a, b in _pairs(state, other, ignores) if not np.array_equal(a, b)]
    if not differing:
        return False, []
    widths = dict(_widths(implementation, problem, before, given))
    wrong = [
        f"{where} is {_short(a)} in one run and {_short(b)} in the other"
        for where, a, b in differing
        if a.shape != b.shape or not np.all(np.abs(a - b) <= widths.get(where, 0))
    ]
    return True, wrong


def _short(a: Array) -> str:
    return str(a.reshape(-1)[:3].tolist())


def _pairs(state: State, other: State, ignores: frozenset[str]) -> Iterator[tuple[str, Array, Array]]:
    """Numbers and arrays of two states, by name."""
    for (where, a), (_, b) in zip(_parts(state, ignores), _parts(other, ignores), strict=True):
        yield where, np.asarray(a, np.float64), np.asarray(b, np.float64)


def _parts(state: State, ignores: frozenset[str]) -> Iterator[tuple[str, Any]]:
    numbers = ("d", "d_prev", "d_max", "d_numerator", "d_denom", "n_max", "weight_sum", "lr_max", "k", *COUNTS)
    for i, group in enumerate(state.groups):
        yield from ((f"{i}.{name}", _number(getattr(group, name))) for name in numbers if name not in ignores)
        for j, p in enumerate(group.params):
            for name in ARRAYS:
                if name not in ignores:
                    value = getattr(p, name)
                    yield f"{i}.{j}.{name}", np.zeros(0) if value is None else value


def _number(value: Any) -> Any:
    return -1 if value is None else value


def _widths(
    implementation: Implementation, problem: Problem, before: Snapshot, given: Gradients
) -> Iterator[tuple[str, Array]]:
    """How far two lawful results of one step can lie apart."""
    lift = Running(implementation.capabilities.arithmetic)
    config = config_of(problem, given_rates(problem))
    with np.errstate(all="ignore"), overriding(base_rules(implementation.capabilities)), tracing() as trace:
        after = step(config, lifted(config, before.state, lift), given, lift)
    unsure = not all(decision.certain for decision in trace.decisions)
    for where, value in _parts(after, frozenset()):
        if isinstance(value, Allowed | Bounded):
            width = np.asarray(value.high - value.low, np.longdouble)
            yield where, np.where(np.isfinite(width) & (not unsure), width, np.inf)


def same_run(problem: Problem, **changed: Any) -> Told:
    """The problem as it is, but for what is changed."""
    return replace(Told(constructor_groups(problem), dict(problem.options)), **changed)
