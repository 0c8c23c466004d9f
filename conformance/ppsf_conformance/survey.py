"""A survey: many problems, every transition judged, and what it says clause by clause."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ppsf_conformance import lockstep, problems
from ppsf_conformance.adapter import Array, Implementation, Lacking
from ppsf_conformance.checks import CHECKS
from ppsf_conformance.diagnosis import Deviation, causes
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.errata import Erratum, KnownDeviations
from ppsf_conformance.lockstep import OWNERS, Transition, Verdict
from ppsf_conformance.problems import Problem

#: Error/bound ratios are counted in bins of a quarter of a decade.
EDGES = tuple(float(edge) for edge in np.arange(-6, 1.01, 0.25))
#: How many deviations that look alike are attributed to errata, and how many in all are diagnosed.
MOST_ATTRIBUTED = 3
MOST_DIAGNOSED = 12

Progress = Callable[[str, int, int], None]


@dataclass
class ClauseTally:
    """What was seen of one clause."""

    checks: int = 0
    max_ratio: float = 0.0
    errata: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    problem: Problem | None = None


@dataclass
class OutputTally:
    """All compared values of one output."""

    compared: int = 0
    undecided: int = 0
    exact: bool = True
    max_ratio: float = 0.0
    counts: Array = field(default_factory=lambda: np.zeros(len(EDGES) - 1, int))


@dataclass
class RegimeTally:
    """One regime of problems."""

    problems: int = 0
    steps: int = 0
    max_ratio: float = 0.0


class Survey:
    """Collects verdicts on one implementation.

    Args:
        implementation: the class under judgement.
        known: the errata of its release.
    """

    def __init__(self, implementation: Implementation, known: KnownDeviations) -> None:
        self.implementation, self.known = implementation, known
        self.clauses: dict[str, ClauseTally] = defaultdict(ClauseTally)
        self.outputs: dict[str, OutputTally] = defaultdict(OutputTally)
        self.regimes: dict[str, RegimeTally] = defaultdict(RegimeTally)
        self.problems = self.steps = 0
        #: Clauses whose check asks for what the implementation does not have.
        self.lacking: set[str] = set()
        self._attributed: Counter[tuple[str, ...]] = Counter()
        self._deviations: list[Deviation] = []
        self._kinds: set[tuple[object, ...]] = set()
        self.deviating = 0

    # --- lockstep ----------------------------------------------------------------------------------------------

    def run(
        self,
        examples: int,
        seed: int,
        progress: Progress = lambda *_: None,
        diagnose: bool = True,
        first_only: bool = False,
    ) -> None:
        """Judge ``examples`` problems drawn from ``seed``, and find the causes of what deviates.

        Args:
            first_only: pass the problems after the first deviation by.
        """
        capabilities = self.implementation.capabilities
        plain = {dtype: problems.of_dtype(dtype, capabilities.revision) for dtype in capabilities.dtypes}
        dtypes = tuple(dtype for dtype, problem in plain.items() if not self.known.excludes(problem))

        def visit(problem: Problem) -> None:
            if not (first_only and self.deviating):
                self.judge_problem(problem)
            progress("problems", self.problems, examples)

        draw_problems(
            dtypes,
            capabilities.options,
            examples,
            seed,
            visit,
            capabilities.revision,
            capabilities.always,
            capabilities.limits,
        )
        if diagnose:
            self._diagnose()

    def judge_problem(self, problem: Problem) -> None:
        """Play one problem to its end or to its first unexplained deviation."""
        self.problems += 1
        if self.known.excludes(problem):
            return
        regime = self.regimes[problem.regime]
        regime.problems += 1
        try:
            for transition in lockstep.play(self.implementation, problem):
                self.steps += transition.kind == "step"
                regime.steps += transition.kind == "step"
                if not self._judge(transition, regime):
                    return
        except lockstep.Refused as refusal:
            self._book("PPSF-X-002", str(refusal), problem)

    def _judge(self, transition: Transition, regime: RegimeTally) -> bool:
        capabilities = self.implementation.capabilities
        verdict = lockstep.judge(transition, capabilities)
        if verdict.ok:
            self._count(verdict, regime)
            return True
        followed = lockstep.judge(transition, capabilities, self.known.rules) if self.known.followed else verdict
        if followed.ok:
            self._count(followed, regime)
            self._attribute(transition, verdict)
            return True
        self._keep(Deviation(transition, followed))
        return False

    def _count(self, verdict: Verdict, regime: RegimeTally) -> None:
        for clause in verdict.clauses:
            self.clauses[clause].checks += 1
        for comparison in verdict.comparisons:
            tally = self.outputs[comparison.output]
            tally.compared += comparison.elements
            tally.undecided += comparison.undecided
            tally.exact &= comparison.exact
            tally.max_ratio = max(tally.max_ratio, comparison.ratio)
            regime.max_ratio = max(regime.max_ratio, comparison.ratio)
            owner = self.clauses[OWNERS[comparison.output]]
            owner.max_ratio = max(owner.max_ratio, comparison.ratio)
        for output, ratios in verdict.ratios.items():
            logs = np.log10(ratios[ratios > 0])
            self.outputs[output].counts += np.histogram(np.clip(logs, EDGES[0], EDGES[-1]), EDGES)[0]

    def _attribute(self, transition: Transition, verdict: Verdict) -> None:
        """Book a deviation to the errata without which the release cannot be followed."""
        signature = tuple(sorted({c.output for c in verdict.comparisons if not c.ok}))
        self._attributed[signature] += 1
        if self._attributed[signature] > MOST_ATTRIBUTED:
            return
        capabilities = self.implementation.capabilities
        for name in self.known.followed:
            if not lockstep.judge(transition, capabilities, self.known.rules_without(name)).ok:
                for clause in self.known.clauses_of(name):
                    self.clauses[clause].errata.add(self.known.names[name].id)

    def _keep(self, deviation: Deviation) -> None:
        """Keep a deviation for diagnosis, one of each kind: kinds differ in what was evaluated and what is wrong."""
        self.deviating += 1
        kind = (deviation.verdict.clauses, *sorted({c.output for c in deviation.verdict.comparisons if not c.ok}))
        if kind not in self._kinds and len(self._deviations) < MOST_DIAGNOSED:
            self._deviations.append(deviation)
        self._kinds.add(kind)

    def _diagnose(self) -> None:
        """Book the deviations to the clauses that explain them."""
        agreeing = {clause: tally.checks for clause, tally in self.clauses.items()}
        capabilities = self.implementation.capabilities
        for cause in causes(self._deviations, capabilities, self.known.rules, agreeing):
            for deviation in cause.deviations:
                manner = f"; as if: {cause.what}" if cause.what else ""
                self._book(cause.clause, deviation.verdict.witness.detail + manner, deviation.transition.problem)
        self._deviations.clear()

    def _book(self, clause: str, message: str, problem: Problem | None) -> None:
        tally = self.clauses[clause]
        tally.failures.append(message)
        tally.problem = tally.problem or problem

    # --- checks ------------------------------------------------------------------------------------------------

    def check(self, progress: Progress = lambda *_: None) -> None:
        """Run every check of what lockstep cannot see."""
        for done, (clause, check) in enumerate(CHECKS.items(), 1):
            self.check_clause(clause, check)
            progress("checks", done, len(CHECKS))

    def check_clause(self, clause: str, check: Callable[[Implementation], object]) -> None:
        """Run one check; a deviation is covered when an erratum of the release cites the clause."""
        errata = self.known.citing(clause)
        tally = self.clauses[clause]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                for finding in check(self.implementation):  # type: ignore[attr-defined]
                    tally.checks += 1
                    if not finding.ok:
                        self._book_finding(clause, finding.message, errata)
            except Lacking:
                self.lacking.add(clause)
            except Exception as error:
                self._book_finding(clause, f"raises {type(error).__name__}: {error}", errata)

    def replayed(self, erratum: Erratum, shows: bool) -> None:
        """Note whether the pinned input of an erratum still shows it."""
        for clause in erratum.clauses:
            if shows:
                self.clauses[clause].errata.add(erratum.id)
            else:
                self._book(clause, f"{erratum.id} does not show any more on its pinned input: retire it", None)

    def _book_finding(self, clause: str, message: str, errata: tuple[str, ...]) -> None:
        if errata:
            self.clauses[clause].errata.update(errata)
        else:
            self._book(clause, message, None)

    @property
    def undecided_fraction(self) -> float:
        """Share of compared numbers about which the bounds say nothing."""
        compared = sum(tally.compared for tally in self.outputs.values())
        return sum(tally.undecided for tally in self.outputs.values()) / compared if compared else 0.0
