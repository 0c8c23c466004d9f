"""What the suite judges: surveys and recordings are made once and shared."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from ppsf_conformance import run
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.killing import Corpus
from ppsf_conformance.survey import Survey
from ppsf_conformance.torch_adapter import TorchImplementation

PRODUCT, PUBLISHED = run.AUDITED
#: Problems per revision, where not the usual number.
SURVEYED = {"1.9": run.PROFILES["standard"]}


@pytest.fixture(scope="session")
def product() -> TorchImplementation:
    """Our optimizer, reached as any other."""
    return run.implementation_for(PRODUCT)


@pytest.fixture(scope="session")
def surveys() -> Callable[[str], Survey]:
    """Our optimizer of a revision, surveyed without any erratum to excuse it."""

    @functools.cache
    def survey(revision: str) -> Survey:
        found = Survey(run.implementation_for(run.OWN[revision], revision=revision), KnownDeviations(()))
        found.run(SURVEYED.get(revision, 250), seed=0)
        found.check()
        return found

    return survey


@pytest.fixture(scope="session")
def own() -> list[TorchImplementation]:
    """Our optimizers, one per revision."""
    return run.own()


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """Transitions of our optimizers of all revisions, against which mutants are held."""
    return run.recorded(examples=200, seed=1)


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
