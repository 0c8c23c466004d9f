"""Which clause is wrong, from the transitions that deviate.

A hypothesis is a set of overriding rules. It explains a transition if the law under those rules agrees with what the
implementation did. There are two kinds, tried in this order:

- a *known fault*: a mutant, or what some release does;
- a *freed clause*: its result may be anything, and everything that follows from it too. Of the freed clauses that
  explain a transition the one is named that was evaluated in deviating transitions rather than in agreeing ones
  (Ochiai's measure of suspicion).

The hypothesis that explains most transitions is taken, then the one that explains most of the rest, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ppsf_conformance import lockstep
from ppsf_conformance.adapter import Capabilities
from ppsf_conformance.lockstep import OWNERS, Transition, Verdict
from ppsf_conformance.mutants import MUTANTS
from ppsf_conformance.overrides import OVERRIDES, combined
from ppsf_ref import Allowed, Bounded, clause_functions
from ppsf_ref.law import Rule


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


def causes(
    deviations: Sequence[Deviation],
    capabilities: Capabilities,
    rules: Mapping[str, Rule],
    agreeing: Mapping[str, int],
) -> list[Cause]:
    """The causes of some deviations from the law under ``rules``.

    Args:
        agreeing: how often each clause was evaluated in transitions that agree.
    """
    explains = cache(lambda hypothesis, deviation: _explains(hypothesis, deviation, capabilities, rules))
    found: list[Cause] = []
    for hypotheses in (_known_faults(), _freed_clauses()):
        left = [d for d in deviations if not any(d in cause.deviations for cause in found)]
        rank = {h: (_ochiai(h.clause, deviations, agreeing), _lateness(h.clause, left)) for h in hypotheses}
        while left and (best := _best(hypotheses, left, explains, rank)):
            gone = tuple(d for d in left if explains(best, d))
            found.append(Cause(best.clause, best.what, gone))
            left = [d for d in left if d not in gone]
    left = [d for d in deviations if not any(d in cause.deviations for cause in found)]
    return found + [Cause(OWNERS[d.verdict.witness.output], "", (d,)) for d in left]


def _best(
    hypotheses: Sequence[_Hypothesis],
    deviations: Sequence[Deviation],
    explains: Callable[[_Hypothesis, Deviation], bool],
    rank: Mapping[_Hypothesis, Any],
) -> _Hypothesis | None:
    """The hypothesis that explains most, of equals the one with the highest rank; None if none explains anything.

    Only those that may still be the best are tried on the next deviation.
    """
    tried: dict[_Hypothesis, list[bool]] = {hypothesis: [] for hypothesis in hypotheses}
    while True:
        fewest = min(outcomes.count(False) for outcomes in tried.values())
        leading = [hypothesis for hypothesis, outcomes in tried.items() if outcomes.count(False) == fewest]
        unfinished = [hypothesis for hypothesis in leading if len(tried[hypothesis]) < len(deviations)]
        if fewest == len(deviations):
            return None
        if not unfinished:
            return max(leading, key=lambda hypothesis: rank[hypothesis])
        for hypothesis in unfinished:
            tried[hypothesis].append(explains(hypothesis, deviations[len(tried[hypothesis])]))


def _lateness(clause: str, deviations: Sequence[Deviation]) -> int:
    """How late in the step a clause is evaluated: of equals the one nearest to the outputs is named."""
    orders = (d.verdict.clauses for d in deviations)
    return max((order.index(clause) - len(order) for order in orders if clause in order), default=-len(clause))


def _ochiai(clause: str, deviations: Sequence[Deviation], agreeing: Mapping[str, int]) -> float:
    seen = sum(clause in d.verdict.clauses for d in deviations)
    return seen / math.sqrt(len(deviations) * (seen + agreeing.get(clause, 0))) if seen else 0.0


def _explains(
    hypothesis: _Hypothesis, deviation: Deviation, capabilities: Capabilities, rules: Mapping[str, Rule]
) -> bool:
    if hypothesis.clause not in deviation.verdict.clauses:
        return False
    try:
        verdict = lockstep.judge(deviation.transition, capabilities, {**rules, **hypothesis.rules})
    except Exception:  # a wrong rule may not even run on this input
        return False
    return all(comparison.ok for comparison in verdict.comparisons if comparison.output != "raises")


@cache
def _known_faults() -> tuple[_Hypothesis, ...]:
    releases = [_Hypothesis(next(iter(o)), name.replace("_", " "), combined([name])) for name, o in OVERRIDES.items()]
    bits = _Hypothesis("PPSF-R-004", "other random bits", {"PPSF-R-003": lockstep.next_to_it})
    return (*(_Hypothesis(m.clause, m.what, {m.clause: m.rule}) for m in MUTANTS), *releases, bits)


@cache
def _freed_clauses() -> tuple[_Hypothesis, ...]:
    return tuple(_Hypothesis(clause, "", {clause: _freed(rule)}) for clause, rule in clause_functions().items())


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
