"""Our optimizers with compile=True hold every clause too."""

from __future__ import annotations

from typing import Any

import pytest

import ppsf_fast
from ppsf_conformance import run
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.events import Profile, Scaled, Step, replay, search
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.survey import Survey
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_fast.backends.native.build import library

QUICK, NIGHTLY = 30, 400
pytestmark = pytest.mark.skipif(library() is None, reason="there is no C++ compiler on this machine")


def compiled(name: str) -> type[Any]:
    """A class of the product that always compiles."""
    parent: type[Any] = getattr(ppsf_fast, name)

    def construct(self: Any, params: Any, **options: Any) -> None:
        parent.__init__(self, params, compile=True, **options)

    return type(name, (parent,), {"__init__": construct, "__module__": __name__})


#: Where pickle finds them.
ProdigyPlusScheduleFree = compiled("ProdigyPlusScheduleFree")
Prodigy = compiled("Prodigy")
AdamWScheduleFree = compiled("AdamWScheduleFree")


def implementation(revision: str) -> TorchImplementation:
    own = run.implementation_for(run.OWN[revision], revision=revision)
    return TorchImplementation(globals()[own.cls.__name__], own.names)


def surveyed(revision: str, problems: int, seed: int) -> Survey:
    survey = Survey(implementation(revision), KnownDeviations(()))
    survey.run(problems, seed)
    return survey


def failures(survey: Survey) -> list[object]:
    return [tally.failures[0] for tally in survey.clauses.values() if tally.failures]


@pytest.mark.parametrize("revision", run.OWN)
def test_every_step_is_lawful(revision: str) -> None:
    assert not failures(surveyed(revision, QUICK, seed=11))


@pytest.mark.parametrize("revision", run.OWN)
def test_no_sequence_of_events_deviates(revision: str) -> None:
    """Also where something that it keeps from the step before does not hold any more."""
    deviation = search(implementation(revision), Profile(15, 20), seed=1)
    assert deviation is None, deviation


def test_a_scaler_may_unscale_between_steps() -> None:
    problem = Problem({}, (GroupSpec((ParamSpec((40, 33)), ParamSpec((5,), "bfloat16"))),), "pull")
    replay(implementation("1.9"), problem, [Step(0), Scaled(1), Step(2), Scaled(3, 4.0), Scaled(4), Scaled(5)])


@pytest.mark.nightly
@pytest.mark.parametrize("revision", run.OWN)
def test_every_step_of_many_is_lawful(revision: str) -> None:
    assert not failures(surveyed(revision, NIGHTLY, seed=12))
