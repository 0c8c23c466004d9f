"""What the suite judges: surveys and recordings are made once and shared."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ppsf_conformance import killing, run
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.killing import Corpus, Recorded
from ppsf_conformance.lockstep import Transition, Verdict
from ppsf_conformance.survey import Survey
from ppsf_conformance.torch_adapter import TorchImplementation

PRODUCT, PUBLISHED = run.AUDITED
#: Problems per revision, where not the usual number.
SURVEYED = {"1.9": run.PROFILES["standard"]}
#: Transitions of at most so many weights are kept for the mutants.
RECORDED = 1500


@pytest.fixture(scope="session")
def product() -> TorchImplementation:
    """Our optimizer, reached as any other."""
    return run.implementation_for(PRODUCT)


@dataclass(frozen=True)
class Surveyed:
    """A survey, and the smaller ones of the transitions it judged."""

    survey: Survey
    recorded: list[Recorded]


@pytest.fixture(scope="session")
def surveyed() -> Callable[[str], Surveyed]:
    """Our optimizer of a revision, surveyed without any erratum to excuse it; mutants are held against what it did."""

    @functools.cache
    def survey(revision: str) -> Surveyed:
        made, recorded = run.implementation_for(run.OWN[revision], revision=revision), list[Recorded]()

        def keep(transition: Transition, verdict: Verdict) -> None:
            if killing.weight(transition) <= RECORDED:
                recorded.append(Recorded(transition, verdict.clauses, made.capabilities))

        found = Survey(made, KnownDeviations(()), keep)
        found.rare()
        found.run(SURVEYED.get(revision, 250), seed=0)
        found.check()
        return Surveyed(found, recorded)

    return survey


@pytest.fixture(scope="session")
def surveys(surveyed: Callable[[str], Surveyed]) -> Callable[[str], Survey]:
    """The surveys alone."""
    return lambda revision: surveyed(revision).survey


@pytest.fixture(scope="session")
def own() -> list[TorchImplementation]:
    """Our optimizers, one per revision."""
    return run.own()


@pytest.fixture(scope="session")
def corpus(surveyed: Callable[[str], Surveyed]) -> Corpus:
    """Transitions of our optimizers of all revisions, against which mutants are held."""
    return Corpus([one for revision in run.OWN for one in surveyed(revision).recorded])


@pytest.fixture(scope="session")
def older() -> Survey:
    """The release before the one that `audit` judges, from its own folder, surveyed with its errata."""
    return run.survey_of(
        run.implementation_for(f"{PUBLISHED}@prodigy-plus-schedule-free==1.9.0"), 90, 0, lambda *_: None
    )


@pytest.fixture(scope="session")
def published() -> Survey:
    """The published package, surveyed with the errata of its release."""
    return run.survey_of(run.implementation_for(PUBLISHED), 160, 0, lambda *_: None)
