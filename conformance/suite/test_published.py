"""The published package deviates only where an erratum with a pinned input says so."""

from __future__ import annotations

import json

import pytest

from ppsf_conformance.lockstep import judge, play
from ppsf_conformance.overrides import EXCLUDED, OVERRIDES
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.survey import Survey
from ppsf_conformance.verdicts import implementation_report


def test_every_deviation_has_an_erratum(published: Survey) -> None:
    report = implementation_report(published)
    failed = {clause.id: clause.message for clause in report.clauses if clause.verdict not in {"pass", "erratum"}}
    assert not failed, json.dumps(failed, indent=1)
    assert report.summary.passed


def test_its_errata_are_needed(published: Survey) -> None:
    """Without them it does not pass: a judge that excuses everything would."""
    deviating = {erratum for tally in published.clauses.values() for erratum in tally.errata}
    assert deviating == {erratum.id for erratum in published.known.errata}


def test_every_override_and_exclusion_belongs_to_an_erratum(published: Survey) -> None:
    assert set(OVERRIDES) <= {erratum.override for erratum in published.known.errata}
    assert set(EXCLUDED) <= {erratum.id for erratum in published.known.errata}


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
