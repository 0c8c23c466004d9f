"""Our optimizer holds every clause, and the checks that say so are not empty."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ppsf_conformance.run import OWN
from ppsf_conformance.survey import Survey
from ppsf_conformance.verdicts import clause_titles, implementation_report

CLAUSES = (
    "PPSF-C-001", "PPSF-C-010", "PPSF-D-001", "PPSF-D-002", "PPSF-D-003", "PPSF-D-004", "PPSF-D-005", "PPSF-D-006",
    "PPSF-D-007", "PPSF-D-008", "PPSF-D-009", "PPSF-D-020", "PPSF-D-021", "PPSF-D-022", "PPSF-D-023", "PPSF-D-024",
    "PPSF-D-025", "PPSF-D-026", "PPSF-D-027", "PPSF-D-028", "PPSF-D-029", "PPSF-D-030", "PPSF-D-031", "PPSF-D-032",
    "PPSF-D-033", "PPSF-G-001", "PPSF-G-002", "PPSF-G-003", "PPSF-G-004", "PPSF-G-005", "PPSF-G-006", "PPSF-G-010",
    "PPSF-L-001", "PPSF-L-002", "PPSF-L-003", "PPSF-L-004", "PPSF-L-005", "PPSF-L-006", "PPSF-L-007", "PPSF-L-008",
    "PPSF-L-009", "PPSF-L-010", "PPSF-L-011", "PPSF-L-012", "PPSF-L-013", "PPSF-M-001", "PPSF-M-002", "PPSF-M-003",
    "PPSF-M-004", "PPSF-M-005", "PPSF-M-006", "PPSF-M-007", "PPSF-M-008", "PPSF-M-009", "PPSF-M-010", "PPSF-M-011",
    "PPSF-M-012", "PPSF-M-013", "PPSF-M-014", "PPSF-M-015", "PPSF-M-016", "PPSF-M-017", "PPSF-M-018", "PPSF-M-020",
    "PPSF-M-021", "PPSF-M-022", "PPSF-M-023", "PPSF-M-030", "PPSF-M-031", "PPSF-M-032", "PPSF-M-040", "PPSF-M-041",
    "PPSF-M-042", "PPSF-N-001", "PPSF-O-001", "PPSF-O-002", "PPSF-O-003", "PPSF-O-004", "PPSF-O-005", "PPSF-O-006",
    "PPSF-O-010", "PPSF-O-011", "PPSF-R-001", "PPSF-R-002", "PPSF-R-003", "PPSF-R-004", "PPSF-R-005", "PPSF-R-010",
    "PPSF-U-001", "PPSF-U-002", "PPSF-U-003", "PPSF-U-010", "PPSF-U-011", "PPSF-U-012", "PPSF-U-013", "PPSF-V-001",
    "PPSF-V-002", "PPSF-V-003", "PPSF-V-004", "PPSF-V-005", "PPSF-V-010", "PPSF-V-011", "PPSF-V-012", "PPSF-V-013",
    "PPSF-W-001", "PPSF-W-002", "PPSF-W-010", "PPSF-W-011", "PPSF-X-001", "PPSF-X-002", "PPSF-X-003", "PPSF-X-004",
    "PPSF-X-005", "PPSF-X-006", "PPSF-X-008", "PPSF-X-009", "PPSF-X-020", "PPSF-Z-001", "PPSF-Z-002", "PPSF-Z-003",
    "PPSF-Z-004", "PPSF-Z-005", "PPSF-Z-006", "PPSF-Z-010", "PPSF-Z-011", "PPSF-Z-012",
)  # fmt: skip

pytestmark = pytest.mark.xdist_group("surveys")

#: A check whose largest error stays below this share of its bound says nothing.
VACUOUS = 0.01
#: What every revision computes, and what some do.
MEASURED = {
    "1.9": {
        "y",
        "z",
        "x",
        "y from x",
        "s",
        "v",
        "v_row",
        "v_col",
        "rms_sq",
        "d",
        "d_numerator",
        "d_denom",
        "weight_sum",
    },
    "2.0": {
        "y",
        "z",
        "m",
        "x",
        "y from x",
        "s",
        "v",
        "v_row",
        "v_col",
        "d",
        "d_numerator",
        "d_denom",
        "pull",
        "l1",
        "l2",
    },
    "update3": {"y", "z", "x", "y from x", "s", "v", "v_row", "v_col", "d", "d_numerator", "d_denom", "lr_max"},
    "prodigy": {"y", "m", "s", "v", "d", "d_max", "d_numerator", "d_denom"},
    "schedulefree": {"y", "z", "x", "y from x", "v", "weight_sum", "lr_max"},
}
Surveys = Callable[[str], Survey]


@pytest.mark.parametrize("clause", CLAUSES)
def test_clause_holds(surveys: Surveys, clause: str) -> None:
    """In every revision in which it is law."""
    held = [revision for revision in OWN if clause in clause_titles(revision)]
    assert held
    for revision in held:
        tally = surveys(revision).clauses[clause]
        assert not tally.failures, f"{revision}: {tally.failures[0]}"
        assert tally.checks > 0, revision


def test_every_clause_is_listed() -> None:
    assert set(CLAUSES) == set(clause_titles())


@pytest.mark.parametrize("revision", OWN)
def test_the_report_says_so(surveys: Surveys, revision: str) -> None:
    report = implementation_report(surveys(revision))
    assert report.summary.passed
    assert {clause.verdict for clause in report.clauses} == {"pass"}


@pytest.mark.parametrize("revision", OWN)
def test_no_check_is_vacuous(surveys: Surveys, revision: str) -> None:
    measured = {name: tally.max_ratio for name, tally in surveys(revision).outputs.items() if not tally.exact}
    assert set(measured) >= MEASURED[revision]
    assert all(VACUOUS < ratio <= 1 for ratio in measured.values()), measured


@pytest.mark.parametrize("revision", OWN)
def test_hardly_anything_is_left_undecided(surveys: Surveys, revision: str) -> None:
    assert surveys(revision).undecided_fraction < VACUOUS
