"""Every wrong law is noticed: a mutant that survives is a missing test."""

from __future__ import annotations

import inspect
from collections import Counter

import pytest

from ppsf_conformance.killing import Corpus, kill
from ppsf_conformance.mutant import EQUIVALENT, KINDS, Mutant, quick
from ppsf_conformance.mutants import MUTANTS
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_conformance.verdicts import clause_titles
from ppsf_ref import clause_functions

#: The first of each clause and kind; the others are tried by night, and by `make mutants`.
QUICK = frozenset(mutant.identifier for mutant in quick(MUTANTS))
CASES = [
    pytest.param(mutant, id=mutant.identifier, marks=[] if mutant.identifier in QUICK else pytest.mark.nightly)
    for mutant in MUTANTS
]
#: Of each kind there are at least this many, and so many in all.
LEAST, LEAST_IN_ALL = 5, 250


@pytest.mark.xdist_group("surveys")
@pytest.mark.parametrize("mutant", CASES)
def test_mutant_is_killed(mutant: Mutant, corpus: Corpus, own: list[TorchImplementation]) -> None:
    (outcome,) = kill([mutant], corpus, own)
    assert outcome.killed, f"survived {outcome.tried} transitions"


def test_every_clause_has_a_mutant() -> None:
    assert {mutant.clause for mutant in MUTANTS} == set(clause_titles())


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.identifier for mutant in MUTANTS}) == len(MUTANTS)


def test_there_are_mutants_of_every_kind() -> None:
    counts = Counter(mutant.kind for mutant in MUTANTS)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= LEAST, counts
    assert len(MUTANTS) >= LEAST_IN_ALL


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.identifier for mutant in MUTANTS])
def test_a_mutant_takes_what_its_clause_takes(mutant: Mutant) -> None:
    """Or it would be noticed by its own crash."""
    taken = inspect.signature(clause_functions()[mutant.clause]).parameters
    inspect.signature(mutant.rule).bind(*taken)


def test_what_changes_nothing_is_no_mutant() -> None:
    assert all(clause in clause_titles() and why for clause, _, why in EQUIVALENT)
    assert not {f"{clause}: {what}" for clause, what, _ in EQUIVALENT} & {mutant.identifier for mutant in MUTANTS}
