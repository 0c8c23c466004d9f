"""Stored verdicts side by side: per revision, which clause got which verdict on which implementation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ppsf_conformance.report.view import area_of, area_title
from ppsf_conformance.stored import ClauseEntry, Stored


@dataclass(frozen=True)
class MatrixRow:
    """One clause; None where an implementation's verdict does not know it."""

    id: str
    title: str
    cells: tuple[ClauseEntry | None, ...]

    @property
    def area(self) -> str:
        """The name of its area."""
        return area_title(area_of(self.id))


@dataclass(frozen=True)
class Matrix:
    """All implementations that are judged by one revision."""

    revision: str
    columns: tuple[Stored, ...]
    rows: tuple[MatrixRow, ...]


def matrices(stored: Sequence[Stored]) -> tuple[Matrix, ...]:
    """One matrix per revision, in the order in which the revisions first appear."""
    revisions = dict.fromkeys(one.revision for one in stored)
    return tuple(_matrix(revision, tuple(one for one in stored if one.revision == revision)) for revision in revisions)


def _matrix(revision: str, columns: tuple[Stored, ...]) -> Matrix:
    titles = {name: clause.title for one in columns for name, clause in one.clauses.items()}
    rows = (MatrixRow(name, title, tuple(one.clauses.get(name) for one in columns)) for name, title in titles.items())
    return Matrix(revision, columns, tuple(rows))
