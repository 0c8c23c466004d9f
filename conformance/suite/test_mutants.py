"""Every wrong law is noticed: a mutant that survives is a missing test."""

from __future__ import annotations

import pytest

from ppsf_conformance.killing import Recorded, kill
from ppsf_conformance.mutant import Mutant
from ppsf_conformance.mutants import MUTANTS
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_conformance.verdicts import clause_titles


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.identifier for mutant in MUTANTS])
def test_mutant_is_killed(mutant: Mutant, corpus: list[Recorded], own: list[TorchImplementation]) -> None:
    (outcome,) = kill([mutant], corpus, own)
    assert outcome.killed


def test_every_clause_has_a_mutant() -> None:
    assert {mutant.clause for mutant in MUTANTS} == set(clause_titles())


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.identifier for mutant in MUTANTS}) == len(MUTANTS)
