"""What the suite judges: surveys and recordings are made once and shared."""

from __future__ import annotations

import pytest

from ppsf_conformance import run
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.killing import Recorded, record
from ppsf_conformance.survey import Survey
from ppsf_conformance.torch_adapter import TorchImplementation

PRODUCT, PUBLISHED = run.AUDITED


@pytest.fixture(scope="session")
def product() -> TorchImplementation:
    """Our optimizer, reached as any other."""
    return run.implementation_for(PRODUCT)


@pytest.fixture(scope="session")
def survey(product: TorchImplementation) -> Survey:
    """Our optimizer, surveyed without any erratum to excuse it."""
    found = Survey(product, KnownDeviations(()))
    found.run(run.PROFILES["standard"], seed=0)
    found.check()
    return found


@pytest.fixture(scope="session")
def corpus(product: TorchImplementation) -> list[Recorded]:
    """Transitions of our optimizer, against which mutants are held."""
    return record(product, examples=350, seed=1)


@pytest.fixture(scope="session")
def older() -> Survey:
    """The release before the one that `audit` judges, from its own folder, surveyed with its errata."""
    return run.survey_of(
        run.implementation_for(f"{PUBLISHED}@prodigy-plus-schedule-free==1.9.0"), 120, 0, lambda *_: None
    )


@pytest.fixture(scope="session")
def published() -> Survey:
    """The published package, surveyed with the errata of its release."""
    return run.survey_of(run.implementation_for(PUBLISHED), 300, 0, lambda *_: None)
