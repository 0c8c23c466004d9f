"""Two implementations in lockstep with each other and with the law: where they differ, and which of them is right.

Both are given the same weights and gradients. Before each step the second is put into the state that the first is in,
so that a difference is one of that step. If both are within their bounds of the law, they differ by less than both
bounds together, and nothing is said. Where they differ by more, at least one of them is outside, and the law tells
which. Where the second cannot be put into the state of the first - it keeps other arrays, or cannot hold their values -
each is judged from its own state, and what they keep differently is told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppsf_conformance import lockstep
from ppsf_conformance import problems as pb
from ppsf_conformance.adapter import ARRAYS, Implementation, Session, Snapshot
from ppsf_conformance.checks.finding import difference
from ppsf_conformance.deviating import FINAL, wrong_outputs
from ppsf_conformance.diagnosis import Deviation, causes
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.lockstep import ORDER, Comparison, Transition, Verdict
from ppsf_conformance.problem_files import SCHEMA as PROBLEM
from ppsf_conformance.report import codec
from ppsf_conformance.survey import MOST_ALIKE, MOST_DIAGNOSED, Progress
from ppsf_conformance.verdicts import clause_titles

#: Who is right, by whether the first and the second are.
FOLLOWS: Mapping[tuple[bool, bool], str] = {
    (True, False): "first",
    (False, True): "second",
    (False, False): "neither",
    (True, True): "both",
}
SCHEMA = "comparison-1"


@dataclass(frozen=True)
class Difference:
    """One output in which they differ beyond both bounds, and what was seen of it first."""

    output: str
    where: str
    event: str
    follows: str
    first: str
    second: str
    problem: pb.Problem


@dataclass
class ClauseDifference:
    """A clause in which one of them, or both, leave the law."""

    clause: str
    title: str
    follows: str
    first: int = 0
    second: int = 0
    example: str = ""
    problem: pb.Problem | None = None


@dataclass
class Comparing:
    """What was found. ``kept`` counts, by reason, the steps in which the two could not be put into one state."""

    targets: tuple[str, str]
    revision: str
    seed: int
    problems: int = 0
    steps: int = 0
    together: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    clauses: list[ClauseDifference] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether no difference was found that is more than rounding."""
        return not self.differences and not self.clauses

    def as_data(self) -> dict[str, Any]:
        """For programs (``comparison-1``)."""
        data: dict[str, Any] = codec.encode(
            {
                "schema": SCHEMA,
                "problem_schema": PROBLEM,
                "first": self.targets[0],
                "second": self.targets[1],
                "revision": self.revision,
                "seed": self.seed,
                "problems": self.problems,
                "steps": self.steps,
                "steps_from_one_state": self.together,
                "kept_differently": dict(self.kept),
                "same": self.same,
                "differences": self.differences,
                "clauses": self.clauses,
            }
        )
        return data


def compare(
    first: Implementation, second: Implementation, examples: int, seed: int, progress: Progress = lambda *_: None
) -> Comparing:
    """Compare two implementations on problems that both can take.

    Raises:
        ValueError: they are judged by different revisions, or have no dtype in common.
    """
    a, b = first.capabilities, second.capabilities
    if a.revision != b.revision:
        raise ValueError(
            f"{first.target} is judged by revision {a.revision}, {second.target} by {b.revision}: choose one that both "
            "follow with --revision"
        )
    dtypes = tuple(dtype for dtype in a.dtypes if dtype in b.dtypes)
    if not dtypes:
        raise ValueError(f"{first.target} and {second.target} take no dtype in common")
    play = _Play(first, second, Comparing((first.target, second.target), a.revision, seed))

    def visit(problem: pb.Problem) -> None:
        play.visit(problem)
        progress("problems", play.found.problems, examples)

    draw_problems(dtypes, a.options & b.options, examples, seed, visit, a.revision, {**a.always, **b.always})
    play.diagnose()
    return play.found


class _Play:
    """Plays problems on both."""

    def __init__(self, first: Implementation, second: Implementation, found: Comparing) -> None:
        self.both, self.found = (first, second), found
        self._deviations: tuple[list[Deviation], list[Deviation]] = ([], [])
        self._kinds: set[tuple[int, tuple[str, ...], tuple[str, ...]]] = set()
        self._agreeing: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._seen: set[tuple[str, str]] = set()

    def visit(self, problem: pb.Problem) -> None:
        """Play one problem until one of them cannot go on."""
        self.found.problems += 1
        groups = pb.constructor_groups(problem)
        try:
            sessions = [one.new(groups, problem.options) for one in self.both]
        except Exception as error:  # whatever a constructor raises: `run` says whose fault it is
            self.found.kept[f"a constructor raises {type(error).__name__}"] += 1
            return
        given = lockstep.given_rates(problem)
        for t in range(problem.steps):
            rates = pb.learning_rates(problem, t, given)
            before = self._one_state(sessions)
            gradients = pb.gradients(problem, t, before[0])
            events: list[tuple[lockstep.Kind, Any]] = [("step", gradients)]
            events += [("eval", ()), ("train", ())] if problem.switches and t % 2 == 0 else []
            for kind, given_gradients in events:
                if not self._event(problem, kind, t, rates, sessions, given_gradients):
                    return

    def _one_state(self, sessions: Sequence[Session]) -> tuple[Snapshot, Snapshot]:
        """Put the second into the state of the first, and tell where that is not possible."""
        first, second = (session.snapshot() for session in sessions)
        self.found.steps += 1
        if _apart(first, second) and hasattr(sessions[1], "put"):
            sessions[1].put(first)
            second = sessions[1].snapshot()
        apart = _apart(first, second)
        self.found.together += not apart
        if apart:
            self.found.kept[apart] += 1
        return first, second

    def _event(
        self,
        problem: pb.Problem,
        kind: lockstep.Kind,
        t: int,
        rates: tuple[float, ...],
        sessions: Sequence[Session],
        gradients: Any,
    ) -> bool:
        transitions = [lockstep.happened(problem, kind, t, rates, session, gradients) for session in sessions]
        pairs = zip(transitions, self.both, strict=True)
        verdicts = [lockstep.judge(transition, one.capabilities) for transition, one in pairs]
        for number, (transition, verdict) in enumerate(zip(transitions, verdicts, strict=True)):
            self._keep(number, transition, verdict)
        self._differ(transitions[0], verdicts)
        stops = [not FINAL.isdisjoint(wrong_outputs(verdict)) for verdict in verdicts]
        return not any(stops) and all(lockstep.is_finite(transition.after) for transition in transitions)

    def _keep(self, number: int, transition: Transition, verdict: Verdict) -> None:
        if verdict.ok:
            self._agreeing[number].update(verdict.clauses)
            return
        kind = (number, verdict.clauses, wrong_outputs(verdict))
        alike = sum((other[0], other[2]) == (number, kind[2]) for other in self._kinds)
        if kind not in self._kinds and alike < MOST_ALIKE and len(self._deviations[number]) < MOST_DIAGNOSED:
            self._kinds.add(kind)
            self._deviations[number].append(Deviation(transition, verdict))

    def _differ(self, transition: Transition, verdicts: Sequence[Verdict]) -> None:
        first, second = ({(c.output, c.where): c for c in verdict.comparisons} for verdict in verdicts)
        common = [key for key in first if key in second and not (first[key].ok and second[key].ok)]
        for key in sorted(common, key=lambda key: ORDER.index(key[0])):
            one, other = first[key], second[key]
            if one.detail == other.detail or (key[0], _follows(one, other)) in self._seen:
                continue  # alike, or seen before
            self._seen.add((key[0], _follows(one, other)))
            event = f"step {transition.t + 1}" if transition.kind == "step" else f"{transition.kind}()"
            told = (_told(one), _told(other))
            self.found.differences.append(
                Difference(key[0], key[1], event, _follows(one, other), *told, transition.problem)
            )

    def diagnose(self) -> None:
        """The clauses that explain what either of them does otherwise."""
        rows: dict[str, ClauseDifference] = {}
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for number, (one, found) in enumerate(zip(self.both, self._deviations, strict=True)):
            for cause in causes(found, one.capabilities, {}, self._agreeing[number]):
                counts[cause.clause][number] += len(cause.deviations)
                row = rows.setdefault(cause.clause, ClauseDifference(cause.clause, clause_titles()[cause.clause], ""))
                example = cause.deviations[0]
                row.example = row.example or example.verdict.witness.detail
                row.problem = row.problem or example.transition.problem
        for clause, row in rows.items():
            row.first, row.second = counts[clause]
            row.follows = FOLLOWS[(not row.first, not row.second)]
        self.found.clauses = sorted(rows.values(), key=lambda row: -(row.first + row.second))


def _follows(one: Comparison, other: Comparison) -> str:
    return FOLLOWS[(one.ok, other.ok)]


def _told(comparison: Comparison) -> str:
    return comparison.detail or "within its bound"


def _apart(first: Snapshot, second: Snapshot) -> str:
    """What two states do not share; empty if they are one."""
    for g, h in zip(first.state.groups, second.state.groups, strict=True):
        for p, q in zip(g.params, h.params, strict=True):
            for name in ARRAYS:
                there, here = getattr(p, name), getattr(q, name)
                if (there is None) != (here is None):
                    return f"only {'the second' if there is None else 'the first'} keeps {name}"
                if there is not None and np.shape(there) != np.shape(here):
                    return f"{name} has other shapes"
    where = difference(first.state, second.state)
    return f"{where.split('.')[-1].split(' ')[0]} of the first cannot be put into the second" if where else ""
