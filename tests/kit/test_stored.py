"""Stored verdicts: there is one of every class, ours pass, deviations are understood, and they are reached again."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppsf_conformance import following, peers, run, stored
from ppsf_conformance.errata import errata_of
from ppsf_conformance.matrix import matrices
from ppsf_conformance.report.model import ClauseVerdict
from ppsf_conformance.stored import Subject
from ppsf_conformance.verdicts import clause_options, clause_titles, implementation_report

ROOT = Path(__file__).resolve().parents[2]
TARGETS = peers.targets()
SUBJECTS = (*stored.ours(), *stored.published())
each_target = pytest.mark.parametrize("target", TARGETS)
each_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.file)
#: One class of each package; 1.9 is surveyed by the suite.
LOOKED_AT = tuple({target.partition("@")[2].partition("==")[0]: target for target in TARGETS}.values())
#: Problems of a first look; JAX compiles for every shape, so that a problem costs more there.
FEW = {"optax": 3}


def judged(subject: Subject, problems: int) -> Any:
    implementation = run.implementation_for(subject.target, revision=subject.revision)
    survey = run.survey_of(implementation, problems, stored.SEED, lambda *_: None)
    return implementation_report(survey)


@each_subject
def test_every_class_has_a_verdict_in_the_form_of_its_schema(subject: Subject) -> None:
    one = stored.read(subject)
    assert one.subject == subject
    assert one.to_json() == (stored.folder() / subject.file).read_text("utf-8")


def test_every_file_is_of_a_class_that_is_installed() -> None:
    assert {path.name for path in stored.folder().glob("*.json")} == {subject.file for subject in SUBJECTS}


def test_ours_are_our_classes_with_all_revisions() -> None:
    assert {(subject.revision, subject.target) for subject in stored.ours()} == set(run.OWN.items())


@pytest.mark.parametrize("subject", stored.ours(), ids=lambda subject: subject.revision)
def test_ours_pass_every_clause_of_their_revision(subject: Subject) -> None:
    """That they do so now is what the suite tests (test_product.py); here: what is stored is of these clauses."""
    one = stored.read(subject)
    assert {name: clause.title for name, clause in one.clauses.items()} == dict(clause_titles(subject.revision))
    assert {clause.verdict for clause in one.clauses.values()} == {"pass"}
    assert one.version == tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


@each_target
def test_every_deviation_is_understood(target: str) -> None:
    one = stored.read(Subject(target))
    assert one.followed is not None
    kept_out = {name for name, options in clause_options().items() if options & set(one.followed.not_drawn)}
    open_ = {
        name: clause.message
        for name, clause in one.clauses.items()
        if clause.verdict == "fail" or (clause.verdict == "not-run" and name not in kept_out)
    }
    assert not open_, json.dumps(open_, indent=1)


@each_target
def test_every_erratum_of_the_class_is_cited(target: str) -> None:
    one = stored.read(Subject(target))
    assert set(one.errata) == {erratum.id for erratum in errata_of(one.distribution, one.version, one.class_)}


@each_target
def test_with_its_errata_in_force_it_was_followed(target: str) -> None:
    followed = stored.read(Subject(target)).followed
    assert followed is not None
    assert (followed.combinations, followed.left_out, followed.deviations) == (stored.COMBINATIONS, 0, 0)


@pytest.mark.parametrize("target", LOOKED_AT)
def test_a_first_look_says_the_same(target: str) -> None:
    """Checks and pinned inputs say the same of every clause: its verdict, its title and the errata about it.

    Compared as far as few problems reach: a clause that no check and no erratum is about may not be met, and where it
    is it has to pass; an erratum that shows in a clause beside its own (where its override is) need not be met. Not
    compared: the other classes of each package, the number of problems and steps, what came of following, and versions;
    the nightly test below compares all but the versions, of all classes.
    """
    before = stored.read(Subject(target))
    found = judged(Subject(target), FEW.get(target.partition("@")[2].partition("==")[0], 20))
    assert list(stored.differences(before, found)) == []
    assert {clause.id: clause.title for clause in found.clauses} == {
        name: entry.title for name, entry in before.clauses.items()
    }
    own = {erratum.id: erratum.clauses for erratum in errata_of(before.distribution, before.version, before.class_)}
    for clause in found.clauses:
        entry = before.clauses[clause.id]
        replayed = {erratum for erratum in entry.errata if clause.id in own[erratum]}
        assert replayed <= set(clause.errata) <= set(entry.errata), clause.id
        if clause.verdict == "not-run":
            assert entry.verdict in {"pass", "not-run"}, clause.id
        elif clause.errata == entry.errata:
            assert clause.verdict == entry.verdict, clause.id


@pytest.mark.nightly
@each_subject
def test_the_verdict_is_reached_again(subject: Subject) -> None:
    implementation = run.implementation_for(subject.target, revision=subject.revision)
    found = judged(subject, run.PROFILES[stored.PROFILE])
    before = stored.read(subject)
    followed = following.follow(implementation, stored.COMBINATIONS, stored.SEED) if before.followed else None
    again = replace(stored.made(implementation, found, followed), versions=before.versions)
    assert again.to_json() == before.to_json()


def test_a_verdict_that_changes_is_reported() -> None:
    before = stored.read(Subject(TARGETS[0]))
    name, cited = next((name, clause) for name, clause in before.clauses.items() if clause.verdict == "erratum")
    passing = next(name for name, clause in before.clauses.items() if clause.verdict == "pass")
    clauses = (
        ClauseVerdict(passing, "a title", "fail", message="it does otherwise"),
        ClauseVerdict(name, cited.title, "erratum", (*cited.errata, "ERR-9999")),
        ClauseVerdict("PPSF-N-999", "a title", "pass"),
        ClauseVerdict(next(iter(before.clauses)), "a title", "not-run"),
    )
    report: Any = type("Report", (), {"clauses": clauses})
    lines = list(stored.differences(before, report))
    assert [line.split()[0] for line in lines] == [passing, name, "PPSF-N-999"]
    assert "stored pass: it does otherwise" in lines[0]
    assert "ERR-9999" in lines[1]


def test_there_is_a_matrix_of_each_revision() -> None:
    found = matrices(stored.all_stored(SUBJECTS))
    assert {column.subject for matrix in found for column in matrix.columns} == set(SUBJECTS)
    for matrix in found:
        assert {column.revision for column in matrix.columns} == {matrix.revision}
        assert {row.id for row in matrix.rows} == set().union(*(column.clauses for column in matrix.columns))
        for row in matrix.rows:
            assert row.cells == tuple(column.clauses.get(row.id) for column in matrix.columns)


def test_a_class_that_is_neither_ours_nor_of_a_release_has_no_file() -> None:
    with pytest.raises(ValueError, match="names no release"):
        stored.read(Subject("ppsf_fast:Prodigy"))
    with pytest.raises(ValueError, match="no stored verdict of"):
        stored.read(Subject("ppsf_fast:Prodigy", "1.9"))
