"""The mutation gate: which wrong laws the suite notices.

An implementation that follows the law is recorded once; then each mutant is held against the record. A mutant is killed
by the first transition, or check, that it makes disagree.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ppsf_conformance import lockstep
from ppsf_conformance.adapter import Capabilities, Implementation
from ppsf_conformance.checks import CHECKS
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.lockstep import Transition
from ppsf_conformance.mutant import Mutant
from ppsf_conformance.problems import RARE, Problem
from ppsf_ref import overriding


@dataclass(frozen=True)
class Recorded:
    """One transition of a lawful implementation and the clauses that were evaluated in it."""

    transition: Transition
    clauses: tuple[str, ...]
    capabilities: Capabilities


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: ``by`` names the regime or check that killed it, and is empty for a survivor."""

    mutant: Mutant
    by: str
    detail: str

    @property
    def killed(self) -> bool:
        return bool(self.by)


def record(implementation: Implementation, examples: int, seed: int) -> list[Recorded]:
    """Transitions of a lawful implementation on problems drawn from ``seed``."""
    capabilities = implementation.capabilities
    found: list[Recorded] = []

    def visit(problem: Problem) -> None:
        for transition in lockstep.play(implementation, problem):
            verdict = lockstep.judge(transition, capabilities)
            if not verdict.ok:
                raise ValueError(f"the recorded implementation leaves the law: {verdict.witness.detail}")
            found.append(Recorded(transition, verdict.clauses, capabilities))

    for problem in RARE:
        if problem.revision == capabilities.revision:
            visit(problem)
    draw_problems(
        capabilities.dtypes, capabilities.options, examples, seed, visit, capabilities.revision, capabilities.always
    )
    return found


def kill(
    mutants: Iterable[Mutant], corpus: Sequence[Recorded], implementations: Sequence[Implementation]
) -> Iterator[Outcome]:
    """The fate of each mutant, before the checks run on any of the lawful implementations, and before the corpus."""
    for mutant in mutants:
        by_checks = (_by_check(mutant, implementation) for implementation in implementations)
        found = next(filter(None, by_checks), None) if mutant.clause in CHECKS else None
        yield found or _by_lockstep(mutant, corpus)


def _by_check(mutant: Mutant, implementation: Implementation) -> Outcome | None:
    check = CHECKS[mutant.clause]
    with overriding({mutant.clause: mutant.rule}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wrong = next((finding for finding in check(implementation) if not finding.ok), None)
        except Exception as error:
            return Outcome(mutant, "check", f"{type(error).__name__}: {error}")
    return Outcome(mutant, "check", wrong.message) if wrong else None


def _by_lockstep(mutant: Mutant, corpus: Sequence[Recorded]) -> Outcome:
    for entry in corpus:
        if mutant.clause not in entry.clauses:
            continue
        regime = entry.transition.problem.regime
        try:
            verdict = lockstep.judge(entry.transition, entry.capabilities, {mutant.clause: mutant.rule})
        except Exception as error:  # a wrong law that cannot even run is noticed
            return Outcome(mutant, regime, f"{type(error).__name__}: {error}")
        if not verdict.ok:
            return Outcome(mutant, regime, verdict.witness.detail)
    return Outcome(mutant, "", "survived")
