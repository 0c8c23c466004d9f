"""Our optimizer holds every clause, and the checks that say so are not empty."""

from __future__ import annotations

import pytest

from ppsf_conformance.survey import Survey
from ppsf_conformance.verdicts import clause_titles, implementation_report

CLAUSES = (
    "PPSF-C-001", "PPSF-D-001", "PPSF-D-002", "PPSF-D-003", "PPSF-D-004", "PPSF-D-005", "PPSF-D-006", "PPSF-D-007",
    "PPSF-D-008", "PPSF-D-009", "PPSF-G-001", "PPSF-G-002", "PPSF-G-003", "PPSF-G-004", "PPSF-G-005", "PPSF-G-006",
    "PPSF-L-001", "PPSF-L-002", "PPSF-L-003", "PPSF-L-004", "PPSF-L-005", "PPSF-L-006", "PPSF-L-007", "PPSF-M-001",
    "PPSF-M-002", "PPSF-M-003", "PPSF-M-004", "PPSF-M-005", "PPSF-M-006", "PPSF-M-007", "PPSF-M-008", "PPSF-M-009",
    "PPSF-M-010", "PPSF-M-011", "PPSF-M-012", "PPSF-M-013", "PPSF-M-014", "PPSF-M-015", "PPSF-M-016", "PPSF-M-017",
    "PPSF-M-018", "PPSF-N-001", "PPSF-O-001", "PPSF-O-002", "PPSF-O-003", "PPSF-O-004", "PPSF-O-005", "PPSF-O-006",
    "PPSF-R-001", "PPSF-R-002", "PPSF-R-003", "PPSF-R-004", "PPSF-R-005", "PPSF-U-001", "PPSF-U-002", "PPSF-U-003",
    "PPSF-V-001", "PPSF-V-002", "PPSF-V-003", "PPSF-V-004", "PPSF-V-005", "PPSF-W-001", "PPSF-W-002", "PPSF-X-001",
    "PPSF-X-002", "PPSF-X-003", "PPSF-X-004", "PPSF-X-005", "PPSF-X-006", "PPSF-X-007", "PPSF-X-008", "PPSF-Z-001",
    "PPSF-Z-002", "PPSF-Z-003", "PPSF-Z-004", "PPSF-Z-005", "PPSF-Z-006",
)  # fmt: skip

#: A check whose largest error stays below this share of its bound says nothing.
VACUOUS = 0.01


@pytest.mark.parametrize("clause", CLAUSES)
def test_clause_holds(survey: Survey, clause: str) -> None:
    tally = survey.clauses[clause]
    assert not tally.failures, tally.failures[0]
    assert tally.checks > 0


def test_every_clause_is_listed() -> None:
    assert set(CLAUSES) == set(clause_titles())


def test_the_report_says_so(survey: Survey) -> None:
    report = implementation_report(survey)
    assert report.summary.passed
    assert {clause.verdict for clause in report.clauses} == {"pass"}


def test_no_check_is_vacuous(survey: Survey) -> None:
    measured = {name: tally.max_ratio for name, tally in survey.outputs.items() if not tally.exact}
    assert set(measured) >= {
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
    }
    assert all(VACUOUS < ratio <= 1 for ratio in measured.values()), measured


def test_hardly_anything_is_left_undecided(survey: Survey) -> None:
    assert survey.undecided_fraction < VACUOUS
