"""A right class passes every clause that it claims; ten wrong ones are diagnosed, each by its own clause."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from ppsf_conformance import run
from ppsf_conformance.checks import CHECKS
from ppsf_conformance.deviating import deviations, first_outputs
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.problem_files import Stored, problem_of, text_of
from ppsf_conformance.report import Implementation
from ppsf_conformance.scripts import script_of
from ppsf_conformance.survey import Survey
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_conformance.verdicts import implementation_report

from . import wrong
from .wrong import MISTAKES, Mistake

#: Problems for each class: enough for every clause that the right one claims, and for every mistake.
PROBLEMS, FEW = 40, 30
KNOWN = KnownDeviations(())


def class_named(name: str) -> TorchImplementation:
    return run.implementation_for(f"{wrong.__name__}:{name}", wrong.MAP)


Found = Callable[[str], Implementation]


@pytest.fixture(scope="module")
def found() -> Found:
    """What the judge says of one of the classes."""

    @functools.cache
    def judged(name: str) -> Implementation:
        survey = Survey(class_named(name), KNOWN)
        survey.run(FEW if name != "Lawful" else PROBLEMS, seed=0)
        survey.check()
        return implementation_report(survey)

    return judged


def test_there_are_ten_mistakes_with_names_and_clauses_of_their_own() -> None:
    assert len(MISTAKES) == len({mistake.name for mistake in MISTAKES}) == len({m.clause for m in MISTAKES}) == 10


def test_the_right_one_holds_every_clause_that_it_claims(found: Found) -> None:
    report = found("Lawful")
    assert report.summary.passed
    assert {clause.verdict for clause in report.clauses} == {"pass", "unsupported"}
    assert {mistake.clause for mistake in MISTAKES} <= {c.id for c in report.clauses if c.verdict == "pass"}
    assert all(0.01 < output.max_ratio <= 1 for output in report.outputs if not output.exact)


@pytest.mark.parametrize("mistake", MISTAKES, ids=[f"{mistake.name} {mistake.clause}" for mistake in MISTAKES])
def test_a_wrong_one_is_diagnosed_by_its_own_clause(found: Found, mistake: Mistake) -> None:
    report = found(mistake.name)
    assert report.suspects == (mistake.clause,)  # first, and nothing else beside it
    (clause,) = (clause for clause in report.clauses if clause.verdict == "fail")
    assert clause.message
    assert clause.minimal is not None


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name for mistake in MISTAKES])
def test_its_smallest_input_shows_it_and_the_right_one_agrees_there(found: Found, mistake: Mistake) -> None:
    (clause,) = (clause for clause in found(mistake.name).clauses if clause.verdict == "fail")
    assert clause.minimal is not None
    if "check" in clause.minimal:
        for name, fails in ((mistake.name, True), ("Lawful", False)):
            survey = Survey(class_named(name), KNOWN)
            survey.check_clause(mistake.clause, CHECKS[mistake.clause])
            assert bool(survey.clauses[mistake.clause].failures) == fails
        return
    problem = problem_of(clause.minimal)
    assert problem.steps <= 3
    assert sum(len(group.params) for group in problem.groups) == 1
    assert first_outputs(class_named(mistake.name), KNOWN, problem)
    assert not first_outputs(class_named("Lawful"), KNOWN, problem)


def test_a_deviation_becomes_a_script_without_the_kit(found: Found) -> None:
    """It exits with 1 for the wrong class, and with 0 for the right one."""
    (clause,) = (clause for clause in found("StaleSum").clauses if clause.verdict == "fail")
    assert clause.minimal is not None
    problem = problem_of(clause.minimal)
    implementation = class_named("StaleSum")
    script = script_of(implementation, next(deviations(implementation, KNOWN, problem)), "StaleSum")
    assert "ppsf" not in script.replace(wrong.__name__, "")
    assert codes(script, script.replace("StaleSum", "Lawful")) == [1, 0]
    assert text_of(Stored(problem)).count("\n") > 1


def codes(*scripts: str) -> list[object]:
    exits: list[object] = []
    for script in scripts:
        with pytest.raises(SystemExit) as stopped:
            exec(compile(script, "<script>", "exec"), {})
        exits.append(stopped.value.code)
    return exits
