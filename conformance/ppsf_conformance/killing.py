"""The mutation gate: which wrong laws the suite notices.

An implementation that follows the law is recorded once; then each mutant is held against the record. A mutant is killed
by the first transition, or check, that it makes disagree.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ppsf_conformance import lockstep
from ppsf_conformance.adapter import Capabilities, Implementation
from ppsf_conformance.checks import CHECKS
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.lockstep import Transition
from ppsf_conformance.mutant import Mutant
from ppsf_conformance.problems import Problem, rare
from ppsf_ref import overriding


@dataclass(frozen=True)
class Recorded:
    """One transition of a lawful implementation and the clauses that were evaluated in it."""

    transition: Transition
    clauses: tuple[str, ...]
    capabilities: Capabilities


class Corpus:
    """Recorded transitions, by clause, shuffled: neighbours in a problem are alike, and would miss alike."""

    def __init__(self, recorded: Sequence[Recorded], seed: int = 0) -> None:
        self.recorded = recorded
        self._by_clause: dict[str, list[Recorded]] = defaultdict(list)
        for index in np.random.default_rng(seed).permutation(len(recorded)):
            for clause in recorded[index].clauses:
                self._by_clause[clause].append(recorded[index])

    def of(self, clause: str) -> Sequence[Recorded]:
        """Transitions in which a clause was evaluated."""
        return self._by_clause.get(clause, ())


def weight(transition: Transition) -> int:
    """How many weights take part, and with that the time that a judgement takes."""
    return sum(int(np.size(p.y)) for group in transition.before.state.groups for p in group.params)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        way: how it was noticed, "lockstep" or "check"; empty for a survivor.
        where: the revision and the regime, or the class on which the check ran.
        tried: transitions that were judged.
        detail: what was noticed.
        crashed: whether the wrong law could not even run.
    """

    mutant: Mutant
    way: str = ""
    where: str = ""
    tried: int = 0
    detail: str = ""
    crashed: bool = False

    @property
    def killed(self) -> bool:
        return bool(self.way)


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

    for problem in rare(capabilities.dtypes, capabilities.options, capabilities.revision, capabilities.always):
        visit(problem)
    draw_problems(
        capabilities.dtypes, capabilities.options, examples, seed, visit, capabilities.revision, capabilities.always
    )
    return found


def kill(mutants: Iterable[Mutant], corpus: Corpus, implementations: Sequence[Implementation]) -> Iterator[Outcome]:
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
            detail = f"{type(error).__name__}: {error}"
            return Outcome(mutant, "check", implementation.target, detail=detail, crashed=True)
    return Outcome(mutant, "check", implementation.target, detail=wrong.message) if wrong else None


def _by_lockstep(mutant: Mutant, corpus: Corpus) -> Outcome:
    tried = 0
    for tried, entry in enumerate(corpus.of(mutant.clause), 1):
        problem = entry.transition.problem
        verdict = lockstep.judge(entry.transition, entry.capabilities, {mutant.clause: mutant.rule})
        if not verdict.ok:
            where, detail = f"{problem.revision}, {problem.regime}", verdict.witness.detail
            return Outcome(mutant, "lockstep", where, tried, detail, lockstep.CANNOT_GO_ON in detail)
    return Outcome(mutant, tried=tried)
