"""The one survey that the tests of the suite share, and one test per clause of the class's revision."""

from __future__ import annotations

import sys

import pytest

from ppsf_conformance import run
from ppsf_conformance.expecting import expected
from ppsf_conformance.published import Published
from ppsf_conformance.report import Implementation
from ppsf_conformance.verdicts import clause_titles, implementation_report

FOUND = pytest.StashKey[Published]()


def implementation(config: pytest.Config) -> Published:
    """The class under judgement, looked up once.

    Raises:
        UsageError: none is given, or it cannot be judged.
    """
    if FOUND not in config.stash:
        target = config.getoption("--ppsf-target")
        if not target:
            raise pytest.UsageError("which class is to be judged? Say it with --ppsf-target module:Class")
        sys.path.insert(0, str(config.invocation_params.dir))
        try:
            config.stash[FOUND] = run.implementation_for(
                target, config.getoption("--ppsf-map"), config.getoption("--ppsf-revision")
            )
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[FOUND]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per clause of the revision."""
    if "clause" in metafunc.fixturenames:
        revision = implementation(metafunc.config).capabilities.revision
        metafunc.parametrize("clause", list(clause_titles(revision)))


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> Implementation:
    """Everything that was found about the class."""
    config = request.config
    file = config.getoption("--ppsf-xfail")
    survey = run.survey_of(
        implementation(config),
        run.PROFILES[config.getoption("--ppsf-profile")],
        config.getoption("--ppsf-seed"),
        lambda *_: None,
        expected(file) if file else (),
    )
    return implementation_report(survey)
