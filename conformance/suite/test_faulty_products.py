"""Faults put into a copy of our optimizer are found, and the clause they break is named."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from ppsf_conformance.checks import CHECKS
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.problems import Problem
from ppsf_conformance.run import OWN, implementation_for
from ppsf_conformance.survey import Survey
from ppsf_conformance.torch_adapter import TorchImplementation

from .patches import PATCHES, Patch, patched

#: Problems tried at most, in rounds.
ROUNDS, EACH = 8, 50
#: Faults whose diagnosis is checked too; it takes a few seconds each.
DIAGNOSED = ("PPSF-D-005", "PPSF-V-005", "PPSF-G-004", "PPSF-R-004")


@functools.cache
def drawn(seed: int) -> list[Problem]:
    """The problems of a round, drawn once for all faults; neighbours are alike, so they are shuffled."""
    capabilities = implementation_for(OWN["1.9"]).capabilities
    found: list[Problem] = []
    draw_problems(capabilities.dtypes, capabilities.options, EACH, seed, found.append)
    return [found[index] for index in np.random.default_rng(seed).permutation(len(found))]


def survey_of(patch: Patch, product: TorchImplementation, folder: Path) -> Survey:
    faulty = patched(patch, folder)
    return Survey(TorchImplementation(faulty.ProdigyPlusScheduleFree, product.names), KnownDeviations(()))


@pytest.mark.parametrize("patch", PATCHES, ids=[f"{patch.clause}: {patch.what}" for patch in PATCHES])
def test_fault_is_found(patch: Patch, product: TorchImplementation, tmp_path: Path) -> None:
    survey = survey_of(patch, product, tmp_path)
    if patch.clause in CHECKS:
        survey.check_clause(patch.clause, CHECKS[patch.clause])
    for problem in (problem for seed in range(ROUNDS) for problem in drawn(seed)):
        if survey.deviating or survey.clauses[patch.clause].failures:
            return
        survey.judge_problem(problem)
    assert survey.deviating


@pytest.mark.parametrize("clause", DIAGNOSED)
def test_fault_is_diagnosed(clause: str, product: TorchImplementation, tmp_path: Path) -> None:
    patch = next(patch for patch in PATCHES if patch.clause == clause)
    survey = survey_of(patch, product, tmp_path)
    survey.run(100, seed=0)
    wrong = {found: tally.failures[0] for found, tally in survey.clauses.items() if tally.failures}
    assert clause in wrong, wrong
