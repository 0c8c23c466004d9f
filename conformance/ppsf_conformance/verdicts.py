"""From a survey to the verdict of each clause."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from ppsf_conformance import lockstep, problems
from ppsf_conformance.adapter import Capabilities, Implementation
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.lockstep import OWNERS
from ppsf_conformance.problems import Problem
from ppsf_conformance.report import model
from ppsf_conformance.shrinking import smallest
from ppsf_conformance.survey import EDGES, ClauseTally, Survey
from ppsf_ref.options import SPEC, load_revision

#: Clauses about what a group shows, which is not state.
SHOWN_BY = {"PPSF-G-010": frozenset({"effective_lr"})}


def index_text() -> str:
    """The index of the clauses, as committed."""
    return (SPEC / "index.json").read_text("utf-8")


def clause_titles(revision: str = "") -> dict[str, str]:
    """Title of every normative clause, or of those of one revision, in the order of the spec."""
    clauses = json.loads(index_text())["clauses"]
    held = (clause for clause in clauses if not revision or revision in clause["fields"]["revisions"])
    return {clause["id"]: clause["title"] for clause in held if clause["status"] == "normative"}


def clause_options() -> dict[str, frozenset[str]]:
    """The options on which each clause depends."""
    clauses = json.loads(index_text())["clauses"]
    return {clause["id"]: frozenset(clause["fields"]["options"]) - {"always"} for clause in clauses}


def lacking(capabilities: Capabilities) -> frozenset[str]:
    """The options of its revision that an implementation lacks; only bfloat16 can be rounded stochastically."""
    offered = capabilities.options | capabilities.serves
    if "bfloat16" not in capabilities.dtypes:
        offered -= {"stochastic_rounding"}
    return load_revision(capabilities.revision).options - offered


def spec_reference(revision: str) -> model.Spec:
    """Which text was judged against."""
    return model.Spec(revision, hashlib.sha256(index_text().encode()).hexdigest())


def implementation_report(survey: Survey) -> model.Implementation:
    """Everything a survey found."""
    capabilities = survey.implementation.capabilities
    titles = clause_titles(capabilities.revision)
    titles |= {
        name: title for name, title in clause_titles().items() if survey.clauses.get(name, ClauseTally()).failures
    }
    clauses = tuple(_clause(survey, identifier, title) for identifier, title in titles.items())
    arithmetic = capabilities.arithmetic
    return model.Implementation(
        name=survey.implementation.name,
        version=survey.implementation.version,
        class_=survey.implementation.target,
        arithmetic={
            "array": arithmetic.array.name,
            "scalar": arithmetic.scalar.name,
            "accumulate": arithmetic.accumulate.name,
            "order": arithmetic.order,
            "atan2_ulps": arithmetic.atan2_ulps,
        },
        summary=model.Summary(
            problems=survey.problems,
            steps=survey.steps,
            undecided_fraction=survey.undecided_fraction,
            passed=all(clause.verdict in {"pass", "erratum", "unsupported"} for clause in clauses),
        ),
        clauses=clauses,
        outputs=tuple(_output(survey, name) for name in lockstep.ORDER if name in survey.outputs),
        regimes=tuple(
            model.RegimeStats(name, tally.problems, tally.steps, tally.max_ratio)
            for name in problems.REGIMES
            if (tally := survey.regimes.get(name))
        ),
    )


def _clause(survey: Survey, identifier: str, title: str) -> model.ClauseVerdict:
    tally = survey.clauses.get(identifier, ClauseTally())
    errata = tuple(sorted(tally.errata))
    verdict: model.Verdict = "pass"
    if tally.failures:
        verdict = "fail"
    elif errata:
        verdict = "erratum"
    elif not tally.checks:
        capabilities = survey.implementation.capabilities
        absent = clause_options()[identifier] & lacking(capabilities)
        absent |= SHOWN_BY.get(identifier, frozenset()) - capabilities.shows
        verdict = "unsupported" if absent or identifier in survey.lacking else "not-run"
    return model.ClauseVerdict(
        id=identifier,
        title=title,
        verdict=verdict,
        errata=errata,
        checks=tally.checks,
        max_ratio=tally.max_ratio or None,
        message=_message(tally.failures),
        minimal=None if tally.problem is None else _smallest(survey, tally.problem).as_data(),
    )


def _message(failures: list[str]) -> str:
    if not failures:
        return ""
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return failures[0] + more


def _output(survey: Survey, name: str) -> model.OutputStats:
    tally = survey.outputs[name]
    measured = tally.counts.sum() > 0
    return model.OutputStats(
        name=name,
        clause=OWNERS[name],
        compared=tally.compared,
        exact=tally.exact,
        max_ratio=tally.max_ratio,
        histogram=model.Histogram(EDGES, tuple(map(int, tally.counts))) if measured else model.Histogram(),
    )


def _smallest(survey: Survey, problem: Problem) -> Problem:
    always = survey.implementation.capabilities.always  # shrinking drops options, and these cannot be dropped

    def whole(candidate: Problem) -> Problem:
        return replace(candidate, options={**candidate.options, **always})

    return whole(smallest(problem, lambda candidate: deviates(survey.implementation, survey.known, whole(candidate))))


def deviates(implementation: Implementation, known: KnownDeviations, problem: Problem) -> bool:
    """Whether an implementation leaves the law, and its known errata, somewhere in a problem."""
    if known.excludes(problem):
        return False
    capabilities = implementation.capabilities
    try:
        for transition in lockstep.play(implementation, problem):
            if not lockstep.judge(transition, capabilities, known.rules).ok:
                return not lockstep.judge(transition, capabilities).ok
    except lockstep.Refused:
        return True
    return False
