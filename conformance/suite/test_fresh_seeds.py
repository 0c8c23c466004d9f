"""No false alarm, on problems nobody has seen before: every run of this test draws its own."""

from __future__ import annotations

import secrets

from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.survey import Survey
from ppsf_conformance.torch_adapter import TorchImplementation

PROBLEMS = 150


def test_no_alarm_on_fresh_problems(product: TorchImplementation) -> None:
    seed = secrets.randbits(32)
    survey = Survey(product, KnownDeviations(()))
    survey.run(PROBLEMS, seed)
    alarms = {clause: tally.failures[0] for clause, tally in survey.clauses.items() if tally.failures}
    assert not alarms, f"seed {seed}: {alarms}"
    assert survey.problems == PROBLEMS
