"""No false alarm, on problems nobody has seen before: every run of this test draws its own."""

from __future__ import annotations

import secrets

import pytest

from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.run import OWN, implementation_for
from ppsf_conformance.survey import Survey

PROBLEMS = 60


@pytest.mark.parametrize("revision", OWN)
def test_no_alarm_on_fresh_problems(revision: str) -> None:
    seed = secrets.randbits(32)
    survey = Survey(implementation_for(OWN[revision], revision=revision), KnownDeviations(()))
    survey.run(PROBLEMS, seed)
    alarms = {clause: tally.failures[0] for clause, tally in survey.clauses.items() if tally.failures}
    assert not alarms, f"seed {seed}: {alarms}"
    assert survey.problems == PROBLEMS
