"""From a survey to the verdict of each clause."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from ppsf_conformance import lockstep, problems
from ppsf_conformance.adapter import Capabilities
from ppsf_conformance.checks import CHECKS
from ppsf_conformance.deviating import REFUSED, deviations, first_outputs
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


@cache
def clauses() -> Mapping[str, Mapping[str, Any]]:
    """The entry of every clause in the index, in the order of the spec."""
    return {clause["id"]: clause for clause in json.loads(index_text())["clauses"]}


@cache
def clause_titles(revision: str = "") -> Mapping[str, str]:
    """Title of every normative clause, or of those of one revision, in the order of the spec."""
    held = (clause for clause in clauses().values() if not revision or revision in clause["fields"]["revisions"])
    return {clause["id"]: clause["title"] for clause in held if clause["status"] == "normative"}


@cache
def clause_options() -> Mapping[str, frozenset[str]]:
    """The options on which each clause depends."""
    return {name: frozenset(clause["fields"]["options"]) - {"always"} for name, clause in clauses().items()}


def lacking(capabilities: Capabilities) -> frozenset[str]:
    """The options of its revision that an implementation lacks; only bfloat16 can be rounded stochastically."""
    offered = capabilities.options | capabilities.serves
    if "bfloat16" not in capabilities.dtypes:
        offered -= {"stochastic_rounding"}
    return load_revision(capabilities.revision).options - offered


def spec_reference(revision: str) -> model.Spec:
    """Which text was judged against."""
    return model.Spec(revision, hashlib.sha256(index_text().encode()).hexdigest())


def implementation_report(survey: Survey, shrink: bool = True) -> model.Implementation:
    """Everything a survey found, with the smallest problem for each clause that fails unless told otherwise."""
    capabilities = survey.implementation.capabilities
    failing = {name: clause_titles()[name] for name in survey.suspects if name in clause_titles()}
    titles = {**clause_titles(capabilities.revision), **failing}  # a fault may look like a clause of another revision
    judged = tuple(_judged(survey, identifier, title, shrink) for identifier, title in titles.items())
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
            passed=all(clause.verdict in {"pass", "erratum", "unsupported"} for clause in judged),
        ),
        clauses=judged,
        suspects=survey.suspects,
        outputs=tuple(_output(survey, name) for name in lockstep.ORDER if name in survey.outputs),
        regimes=tuple(
            model.RegimeStats(name, tally.problems, tally.steps, tally.max_ratio)
            for name in problems.ALL_REGIMES
            if (tally := survey.regimes.get(name))
        ),
    )


def _judged(survey: Survey, identifier: str, title: str, shrink: bool) -> model.ClauseVerdict:
    tally = survey.clauses.get(identifier, ClauseTally())
    errata = tuple(sorted(tally.errata))
    verdict: model.Verdict = "pass"
    if tally.failures:
        verdict = "fail"
    elif errata:
        verdict = "erratum"
    elif tally.broken:
        verdict = "not-run"
    elif not tally.checks:
        capabilities = survey.implementation.capabilities
        absent = clause_options()[identifier] & lacking(capabilities)
        absent |= SHOWN_BY.get(identifier, frozenset()) - capabilities.shows
        verdict = "unsupported" if absent or identifier in survey.lacking else "not-run"
    smallest = tally.problem if tally.problem is None or not shrink else _smallest(survey, tally.problem)
    return model.ClauseVerdict(
        id=identifier,
        title=title,
        verdict=verdict,
        errata=errata,
        checks=tally.checks,
        max_ratio=tally.max_ratio or None,
        message=_message(survey, tally, smallest) or (tally.broken if verdict == "not-run" else ""),
        minimal={"check": identifier} if smallest is None and _has_check(identifier, tally) else _data(smallest),
    )


def _has_check(clause: str, tally: ClauseTally) -> bool:
    return bool(tally.failures) and clause in CHECKS


def _data(problem: Problem | None) -> Mapping[str, Any] | None:
    return None if problem is None else problem.as_data()


#: How a message ends that may be about the name map.
NOT_KEPT = "is not kept, the law says kept"


def _message(survey: Survey, tally: ClauseTally, smallest: Problem | None) -> str:
    """What is wrong, told of the smallest problem."""
    if not tally.failures:
        return ""
    detail, as_if, fault = tally.failures[0].partition("; as if: ")
    detail = _detail(survey, smallest, tally.output) or detail
    more = f" (and {len(tally.failures) - 1} more)" if len(tally.failures) > 1 else ""
    return detail + as_if + fault + more + _unread(survey, detail)


def _unread(survey: Survey, detail: str) -> str:
    """Of an array that is not kept: whether a parameter has others of which nobody told the name."""
    told: Callable[[str], str] | None = getattr(survey.implementation, "unread", None)
    if told is None or not detail.endswith(NOT_KEPT):
        return ""
    return told(detail.removesuffix(NOT_KEPT).strip().rpartition(".")[2])


def _detail(survey: Survey, problem: Problem | None, output: str) -> str:
    if problem is None or output == REFUSED or survey.stuck:
        return ""
    witnesses = (found.verdict.witness for found in deviations(survey.implementation, survey.known, problem))
    return next((witness.detail for witness in witnesses if witness.output == output), "")


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
    """The smallest problem that deviates at first in an output that this one deviates in."""
    implementation, known = survey.implementation, survey.known
    output = next((t.output for t in survey.clauses.values() if t.problem is problem), "")
    always = implementation.capabilities.always  # shrinking drops options, and these cannot be dropped

    def whole(candidate: Problem) -> Problem:
        return replace(candidate, options={**candidate.options, **always})

    return whole(smallest(problem, lambda candidate: output in first_outputs(implementation, known, whole(candidate))))
