"""Which clause is wrong, from the transitions that deviate.

A hypothesis is a set of overriding rules. It explains a transition if the law under those rules agrees with what the
implementation did. There are two kinds:

- a *known fault*: a mutant, or what some release does;
- a *freed clause*: its result may be anything, of a rounding either neighbour, and everything that follows from it too.
  Of the freed clauses that explain as much, those count that were evaluated in deviating transitions rather than in
  agreeing ones (Ochiai's measure of suspicion, to within a tenth of the largest); of these the one is named that leaves
  least undecided, then the more suspicious one, then the one nearest to the outputs.

Causes are found one after the other: of the hypotheses that explain the smallest deviation left, the one that explains
most of the others. A known fault says more than a freed clause, but a freed clause can do all that a known fault of it
can; so a known fault is named unless it explains less than half of what a freed clause does: then it is a coincidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from ppsf_conformance import lockstep
from ppsf_conformance.adapter import Capabilities
from ppsf_conformance.lockstep import OWNERS, Transition, Verdict
from ppsf_conformance.mutants import MUTANTS
from ppsf_conformance.overrides import OVERRIDES, combined
from ppsf_ref import Allowed, Bounded, clause_functions, numbers
from ppsf_ref.law import Rule

#: Share of the largest suspicion from which on a clause counts as suspicious as any.
NEARLY = 0.9

#: Roundings, freed: one of two numbers comes out. Were it anything, they would explain what any clause gets wrong, as
#: all that is stored is rounded.
NEIGHBOURS: Mapping[str, Rule] = {"PPSF-R-002": numbers.round_either_way, "PPSF-R-003": lockstep.next_to_it}


@dataclass(frozen=True, eq=False)
class Deviation:
    """A transition outside the law."""

    transition: Transition
    verdict: Verdict


@dataclass(frozen=True)
class Cause:
    """A clause that is done otherwise, how if that is known, and the deviations it explains."""

    clause: str
    what: str
    deviations: tuple[Deviation, ...]


@dataclass(frozen=True, eq=False)
class _Hypothesis:
    clause: str
    what: str
    rules: Mapping[str, Rule]


@dataclass(frozen=True)
class _Explained:
    """What a hypothesis explains, and about how many numbers of the first of them it says nothing."""

    deviations: tuple[Deviation, ...]
    undecided: int


def causes(
    deviations: Sequence[Deviation],
    capabilities: Capabilities,
    rules: Mapping[str, Rule],
    agreeing: Mapping[str, int],
) -> list[Cause]:
    """The causes of some deviations from the law under ``rules``, those that explain most first.

    Args:
        agreeing: how often each clause was evaluated in transitions that agree.
    """
    found: list[Cause] = []
    left = sorted(deviations, key=_size)
    while left:
        explained = partial(_explained_of, left, capabilities, rules)
        known, freed = (
            _best(hypotheses, explained, left, agreeing) for hypotheses in (_known_faults(), _freed_clauses())
        )
        cause = known if 2 * len(known.deviations) >= max(len(freed.deviations), 1) else freed
        if not cause.deviations:  # nothing explains it
            cause = Cause(OWNERS[left[0].verdict.witness.output], "", _alike(left))
        found.append(cause)
        left = [deviation for deviation in left if deviation not in cause.deviations]
    return sorted(found, key=lambda cause: -len(cause.deviations))


def _alike(left: Sequence[Deviation]) -> tuple[Deviation, ...]:
    """The first deviation, and those that raise the same exception as it."""
    raised = left[0].transition.raised
    return tuple(d for d in left if d is left[0] or (raised and d.transition.raised == raised))


def _size(deviation: Deviation) -> int:
    """How much there is to compute again: numbers of the state, and clauses."""
    return sum(comparison.elements for comparison in deviation.verdict.comparisons) + len(deviation.verdict.clauses)


def _explained_of(
    left: Sequence[Deviation], capabilities: Capabilities, rules: Mapping[str, Rule], hypothesis: _Hypothesis
) -> _Explained:
    """The deviations that a hypothesis explains; none unless the first one is among them."""
    freed = _explains(hypothesis, left[0], capabilities, rules)
    if freed is None:
        return _Explained((), 0)
    others = (d for d in left[1:] if _explains(hypothesis, d, capabilities, rules) is not None)
    return _Explained((left[0], *others), freed)


def _best(
    hypotheses: Sequence[_Hypothesis],
    explained: Callable[[_Hypothesis], _Explained],
    left: Sequence[Deviation],
    agreeing: Mapping[str, int],
) -> Cause:
    found = [(hypothesis, explained(hypothesis)) for hypothesis in hypotheses]
    most = max((len(one.deviations) for _, one in found), default=0)
    if not most:
        return Cause("", "", ())
    equals = [(h, one, _ochiai(h.clause, left, agreeing)) for h, one in found if len(one.deviations) == most]
    least = NEARLY * max(suspicion for *_, suspicion in equals)

    def weight(candidate: tuple[_Hypothesis, _Explained, float]) -> tuple[int, float, int]:
        hypothesis, one, suspicion = candidate
        return -one.undecided, suspicion, _lateness(hypothesis.clause, left)

    hypothesis, one, _ = max((candidate for candidate in equals if candidate[2] >= least), key=weight)
    return Cause(hypothesis.clause, hypothesis.what, one.deviations)


def _lateness(clause: str, deviations: Sequence[Deviation]) -> int:
    """How late in the step a clause is evaluated: of equals the one nearest to the outputs is named."""
    orders = (d.verdict.clauses for d in deviations)
    return max((order.index(clause) - len(order) for order in orders if clause in order), default=-len(clause))


def _ochiai(clause: str, deviations: Sequence[Deviation], agreeing: Mapping[str, int]) -> float:
    seen = sum(clause in d.verdict.clauses for d in deviations)
    return seen / math.sqrt(len(deviations) * (seen + agreeing.get(clause, 0))) if seen else 0.0


def _explains(
    hypothesis: _Hypothesis, deviation: Deviation, capabilities: Capabilities, rules: Mapping[str, Rule]
) -> int | None:
    """About how many numbers it says nothing, if it explains a deviation."""
    if hypothesis.clause not in deviation.verdict.clauses:
        return None
    try:
        verdict = lockstep.judge(deviation.transition, capabilities, {**rules, **hypothesis.rules})
    except Exception:  # a wrong rule may not even run on this input
        return None
    return sum(comparison.undecided for comparison in verdict.comparisons) if verdict.ok else None


@cache
def _known_faults() -> tuple[_Hypothesis, ...]:
    releases = [_Hypothesis(next(iter(o)), name.replace("_", " "), combined([name])) for name, o in OVERRIDES.items()]
    bits = _Hypothesis("PPSF-R-004", "other random bits", {"PPSF-R-003": lockstep.next_to_it})
    return (*(_Hypothesis(m.clause, m.what, {m.clause: m.rule}) for m in MUTANTS), *releases, bits)


@cache
def _freed_clauses() -> tuple[_Hypothesis, ...]:
    rules = clause_functions()
    return tuple(_Hypothesis(c, "", {c: NEIGHBOURS.get(c) or _freed(rule)}) for c, rule in rules.items())


def _freed(rule: Rule) -> Rule:
    return lambda *args, **kwargs: _anything(rule(*args, **kwargs))


def _anything(result: Any) -> Any:
    if isinstance(result, Bounded):
        return Bounded(result.value, np.inf, result.form, result.is_array, result.arithmetic)
    if isinstance(result, Allowed):
        edge = np.full(result.value.shape, np.inf)
        return Allowed(result.value, -edge, edge)
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*map(_anything, result))
    return result
