"""A survey: many problems, every transition judged, and what it says clause by clause."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ppsf_conformance import lockstep, problems
from ppsf_conformance.adapter import Array, Implementation, Lacking
from ppsf_conformance.checks import CHECKS, Check
from ppsf_conformance.deviating import FINAL, MOST_IN_ONE, REFUSED, wrong_outputs
from ppsf_conformance.diagnosis import Deviation, causes
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.errata import Erratum, KnownDeviations
from ppsf_conformance.lockstep import OWNERS, Transition, Verdict
from ppsf_conformance.patience import NoAnswer
from ppsf_conformance.problems import Problem
from ppsf_conformance.watching import Watched, described

#: Error/bound ratios are counted in bins of a quarter of a decade.
EDGES = tuple(float(edge) for edge in np.arange(-6, 1.01, 0.25))
#: How many deviations that look alike are attributed to errata; how many are diagnosed of those that differ in the same
#: outputs, and how many in all.
MOST_ATTRIBUTED = 3
MOST_ALIKE = 4
MOST_DIAGNOSED = 12

Progress = Callable[[str, int, int], None]


@dataclass
class ClauseTally:
    """What was seen of one clause.

    Attributes:
        problem, output: one on which it fails, and where it shows.
        explains: how many of the diagnosed deviations it explains.
        broken: how the judge itself failed in checking it.
    """

    checks: int = 0
    max_ratio: float = 0.0
    errata: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    problem: Problem | None = None
    output: str = ""
    explains: int = 0
    broken: str = ""


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
        keep: is given every transition that the law allows, with its verdict.
    """

    def __init__(
        self,
        implementation: Implementation,
        known: KnownDeviations,
        keep: Callable[[Transition, Verdict], None] = lambda *_: None,
    ) -> None:
        self.implementation, self.known, self.keep = implementation, known, keep
        self.clauses: dict[str, ClauseTally] = defaultdict(ClauseTally)
        self.outputs: dict[str, OutputTally] = defaultdict(OutputTally)
        self.regimes: dict[str, RegimeTally] = defaultdict(RegimeTally)
        self.problems = self.steps = 0
        #: Whether a call did not come back in time: nothing more is tried.
        self.stuck = False
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
    ) -> None:
        """Judge ``examples`` problems drawn from ``seed``, and find the causes of what deviates."""
        capabilities = self.implementation.capabilities
        plain = {dtype: problems.of_dtype(dtype, capabilities.revision) for dtype in capabilities.dtypes}
        dtypes = tuple(dtype for dtype, problem in plain.items() if not self.known.excludes(problem))

        def visit(problem: Problem) -> None:
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
            self.diagnose()

    def rare(self) -> None:
        """Judge the problems that drawing seldom meets, as far as the implementation takes them."""
        capabilities = self.implementation.capabilities
        found = problems.rare(capabilities.dtypes, capabilities.options, capabilities.revision, capabilities.always)
        for problem in found:
            self.judge_problem(problem)

    def large(self) -> None:
        """Judge parameters that may be worked on piece by piece."""
        capabilities = self.implementation.capabilities
        for problem in problems.large(capabilities.dtypes, capabilities.options, capabilities.revision):
            self.judge_problem(replace(problem, options={**problem.options, **capabilities.always}))

    def judge_problem(self, problem: Problem) -> None:
        """Play one problem, each step from the state that the implementation is in, until it cannot go on."""
        if self.stuck:
            return
        self.problems += 1
        if self.known.excludes(problem):
            return
        regime = self.regimes[problem.regime]
        regime.problems += 1
        chances = MOST_IN_ONE
        try:
            for transition in lockstep.play(self.implementation, problem):
                self.steps += transition.kind == "step"
                regime.steps += transition.kind == "step"
                chances -= self._deviates(transition, regime)
                self.stuck |= transition.raised.startswith(NoAnswer.__name__)
                if chances <= 0:
                    return
        except lockstep.Refused as refusal:
            self._book("PPSF-X-002", str(refusal), problem, REFUSED)

    def _deviates(self, transition: Transition, regime: RegimeTally) -> int:
        """Judge a transition: 0 if it agrees, 1 if not, more if nothing can be said of what comes after it."""
        capabilities = self.implementation.capabilities
        verdict = lockstep.judge(transition, capabilities)
        if verdict.ok:
            self._count(verdict, regime)
            self.keep(transition, verdict)
            return 0
        followed = lockstep.judge(transition, capabilities, self.known.rules) if self.known.followed else verdict
        if followed.ok:
            self._count(followed, regime)
            self._attribute(transition, verdict)
            return 0
        self._keep(Deviation(transition, followed))
        return 1 if FINAL.isdisjoint(wrong_outputs(followed)) else MOST_IN_ONE

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
        signature = wrong_outputs(verdict)
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
        outputs = wrong_outputs(deviation.verdict)
        kind = (deviation.verdict.clauses, outputs)
        alike = sum(other == outputs for _, other in self._kinds)
        if kind not in self._kinds and alike < MOST_ALIKE and len(self._deviations) < MOST_DIAGNOSED:
            self._deviations.append(deviation)
            self._kinds.add(kind)

    def diagnose(self) -> None:
        """Book the deviations met so far to the clauses that explain them."""
        agreeing = {clause: tally.checks for clause, tally in self.clauses.items()}
        capabilities = self.implementation.capabilities
        for cause in causes(self._deviations, capabilities, self.known.rules, agreeing):
            self.clauses[cause.clause].explains += len(cause.deviations)
            for deviation in cause.deviations:
                manner = f"; as if: {cause.what}" if cause.what else ""
                witness, problem = deviation.verdict.witness, deviation.transition.problem
                self._book(cause.clause, witness.detail + manner, problem, witness.output)
        self._deviations.clear()
        self._kinds.clear()

    def _book(self, clause: str, message: str, problem: Problem | None = None, output: str = "") -> None:
        tally = self.clauses[clause]
        tally.failures.append(message)
        if tally.problem is None and problem is not None:
            tally.problem, tally.output = problem, output

    @property
    def suspects(self) -> tuple[str, ...]:
        """The clauses that fail: those that explain most deviations first, then those that a check found."""
        failing = [clause for clause, tally in self.clauses.items() if tally.failures]
        return tuple(sorted(failing, key=lambda clause: -self.clauses[clause].explains))

    # --- checks ------------------------------------------------------------------------------------------------

    def check(self, progress: Progress = lambda *_: None) -> None:
        """Run every check of what lockstep cannot see."""
        for done, (clause, check) in enumerate(CHECKS.items(), 1):
            if self.stuck:
                return
            self.check_clause(clause, check)
            progress("checks", done, len(CHECKS))

    def check_clause(self, clause: str, check: Check) -> None:
        """Run one check; a deviation is covered when an erratum of the release cites the clause.

        An exception is put to the implementation if it came out of it, and to the judge if not.
        """
        errata = self.known.citing(clause)
        tally, watched = self.clauses[clause], Watched(self.implementation)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                for finding in check(watched):
                    tally.checks += 1
                    if not finding.ok:
                        self._book_finding(clause, finding.message, errata)
            except Lacking:
                self.lacking.add(clause)
            except Exception as error:
                self.stuck |= isinstance(error, NoAnswer)
                if watched.raised(error):
                    self._book_finding(clause, f"raises {type(error).__name__}: {error}", errata)
                else:
                    tally.broken = described(error)

    def replayed(self, erratum: Erratum, shows: bool, otherwise: str = "retire it") -> None:
        """Note whether an erratum still shows, and if not what is to be done with it."""
        for clause in erratum.clauses:
            if shows:
                self.clauses[clause].errata.add(erratum.id)
            else:
                self._book(clause, f"{erratum.id} does not show any more: {otherwise}")

    def _book_finding(self, clause: str, message: str, errata: tuple[str, ...]) -> None:
        if errata:
            self.clauses[clause].errata.update(errata)
        else:
            self._book(clause, message)

    @property
    def undecided_fraction(self) -> float:
        """Share of compared numbers about which the bounds say nothing."""
        compared = sum(tally.compared for tally in self.outputs.values())
        return sum(tally.undecided for tally in self.outputs.values()) / compared if compared else 0.0
