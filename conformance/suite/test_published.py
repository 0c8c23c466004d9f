"""Published releases deviate only where an erratum with a pinned input says so."""

from __future__ import annotations

import json

import pytest

from ppsf_conformance.errata import all_errata
from ppsf_conformance.lockstep import judge, play
from ppsf_conformance.overrides import EXCLUDED, OVERRIDES
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.survey import Survey
from ppsf_conformance.verdicts import implementation_report

pytestmark = pytest.mark.xdist_group("published")


@pytest.mark.parametrize("release", ["published", "older"])
def test_every_deviation_has_an_erratum(release: str, request: pytest.FixtureRequest) -> None:
    report = implementation_report(request.getfixturevalue(release))
    fine = {"pass", "erratum", "unsupported"}
    failed = {clause.id: clause.message for clause in report.clauses if clause.verdict not in fine}
    assert not failed, json.dumps(failed, indent=1)
    assert report.summary.passed


@pytest.mark.parametrize("release", ["published", "older"])
def test_its_errata_are_needed(release: str, request: pytest.FixtureRequest) -> None:
    """Without them it does not pass: a judge that excuses everything would."""
    survey: Survey = request.getfixturevalue(release)
    deviating = {erratum for tally in survey.clauses.values() for erratum in tally.errata}
    assert deviating == {erratum.id for erratum in survey.known.errata}


def test_every_override_and_exclusion_belongs_to_an_erratum() -> None:
    errata = all_errata()
    assert set(OVERRIDES) <= {erratum.override for erratum in errata}
    assert set(EXCLUDED) <= {erratum.id for erratum in errata}


@pytest.mark.parametrize("regime", ["noise", "growth", "pull"])
def test_the_law_alone_does_not_follow_it(published: Survey, regime: str) -> None:
    problem = Problem({}, (GroupSpec((ParamSpec((40, 33)), ParamSpec((12,)))),), regime)
    capabilities = published.implementation.capabilities
    verdicts = [
        (judge(step, capabilities).ok, judge(step, capabilities, published.known.rules).ok)
        for step in play(published.implementation, problem)
    ]
    assert all(followed for _, followed in verdicts)
    assert not all(lawful for lawful, _ in verdicts)
