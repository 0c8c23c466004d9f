"""What every rendering shows: the order of the areas, the words of the verdicts, counts and judgements."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .model import ClauseVerdict, Implementation, Report, Verdict

Errata: TypeAlias = Mapping[str, Mapping[str, Any]]

VACUOUS_BELOW = 0.01
"""A largest ratio below this says that the bound was never put to the test."""

PROBLEMS = "problems"
"""The folder of the smallest failing inputs, in that of a report."""

AREAS: Mapping[str, str] = {
    "N": "Notation",
    "O": "Options",
    "G": "Groups and pools",
    "D": "Distance estimate",
    "V": "Second moment",
    "U": "Update direction",
    "C": "Clipping",
    "M": "Modifiers",
    "W": "Weight decay",
    "Z": "Schedule-free averaging",
    "R": "Rounding and precision",
    "L": "Lifecycle",
    "X": "Errors",
}


@dataclass(frozen=True)
class VerdictStyle:
    """How a verdict looks. The symbols tell the verdicts apart without colour; ``style`` is rich's."""

    word: str
    symbol: str
    ascii: str
    meaning: str
    style: str


VERDICTS: Mapping[Verdict, VerdictStyle] = {
    "pass": VerdictStyle("pass", "✓", "+", "every check agreed within its bound", "green"),
    "fail": VerdictStyle("fail", "✗", "X", "a check disagreed, and no erratum explains it", "bold red"),
    "erratum": VerdictStyle("erratum", "≠", "E", "disagrees exactly as a recorded erratum says", "yellow"),
    "unsupported": VerdictStyle("unsupported", "○", "o", "the implementation does not offer it", "dim"),
    "not-run": VerdictStyle("not run", "·", ".", "not checked in this run", "dim"),
}


@dataclass(frozen=True)
class Row:
    """One clause and its verdict per implementation, None where an implementation's list lacks it."""

    id: str
    title: str
    cells: tuple[ClauseVerdict | None, ...]

    @property
    def settled(self) -> bool:
        """Whether every implementation passes."""
        return all(cell is not None and cell.verdict == "pass" for cell in self.cells)


@dataclass(frozen=True)
class Area:
    """The clauses of one area, in order of their ids."""

    letter: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Judgement:
    """The outcome for one implementation: the verdict it is coloured as, a headline and one sentence."""

    tone: Verdict
    headline: str
    sentence: str


def areas(report: Report) -> tuple[Area, ...]:
    """The clauses of all implementations side by side, by area in the specification's order."""
    tables = [{clause.id: clause for clause in implementation.clauses} for implementation in report.implementations]
    titles = {id_: clause.title for table in reversed(tables) for id_, clause in table.items()}
    rows = [Row(id_, titles[id_], tuple(table.get(id_) for table in tables)) for id_ in sorted(titles)]
    letters = sorted({area_of(row.id) for row in rows}, key=_area_rank)
    return tuple(
        Area(letter, area_title(letter), tuple(row for row in rows if area_of(row.id) == letter)) for letter in letters
    )


def area_of(clause_id: str) -> str:
    """The letter of the area: ``D`` of ``PPSF-D-003``."""
    return clause_id.split("-")[1]


def area_title(letter: str) -> str:
    """``Distance estimate`` of ``D``."""
    return AREAS.get(letter, "Other")


def short_id(clause_id: str) -> str:
    """``D-003`` of ``PPSF-D-003``."""
    return clause_id.removeprefix("PPSF-")


def verdict_counts(implementation: Implementation) -> dict[Verdict, int]:
    """How many clauses got each verdict, in the order of VERDICTS, zeros included."""
    found = Counter(clause.verdict for clause in implementation.clauses)
    return {verdict: found[verdict] for verdict in VERDICTS}


def failures(implementation: Implementation) -> tuple[ClauseVerdict, ...]:
    """The clauses that failed, the one that explains most first."""
    failed = [clause for clause in implementation.clauses if clause.verdict == "fail"]
    ranks = {clause: rank for rank, clause in enumerate(implementation.suspects)}
    return tuple(sorted(failed, key=lambda clause: ranks.get(clause.id, len(ranks))))


def place_of(implementation: Implementation, clause: ClauseVerdict) -> str:
    """Where the smallest input on which a clause fails lies in the folder of a report."""
    return f"{PROBLEMS}/{re.sub(r'[^A-Za-z0-9.-]+', '-', implementation.name)}/{clause.id}.json"


def judgement(implementation: Implementation) -> Judgement:
    """The outcome in words. What was not judged is never counted as conforming."""
    counts = verdict_counts(implementation)
    total, gaps = sum(counts.values()), counts["unsupported"] + counts["not-run"]
    passed = f"{counts['pass']} of {total} clauses pass"
    open_ = f"; {gaps} not judged" if gaps else ""
    if counts["fail"]:
        return Judgement("fail", "Does not conform", f"{passed}; {counts['fail']} fail without explanation{open_}.")
    if not implementation.summary.passed:
        return Judgement("fail", "Not decided", f"{passed}, but the run as a whole did not pass{open_}.")
    if total == gaps:
        return Judgement("not-run", "Nothing judged", f"None of {total} clauses was judged.")
    if counts["erratum"]:
        known = f"{counts['erratum']} deviate exactly as recorded errata say"
        return Judgement("erratum", "Deviates as recorded", f"{passed}; {known}{open_}.")
    if gaps:
        return Judgement("pass", "Conforms where judged", f"{passed}{open_}.")
    return Judgement("pass", "Conforms", f"All {total} clauses pass.")


def is_vacuous(max_ratio: float | None) -> bool:
    """Whether a measured ratio is so small that the check proves little; 0 is exact agreement."""
    return max_ratio is not None and 0 < max_ratio < VACUOUS_BELOW


def cited_errata(report: Report) -> tuple[str, ...]:
    """The ids of all errata that some verdict cites, sorted."""
    verdicts = (clause for implementation in report.implementations for clause in implementation.clauses)
    return tuple(sorted({id_ for clause in verdicts for id_ in clause.errata}))


def citations(report: Report, erratum: str) -> dict[str, tuple[str, ...]]:
    """For each implementation that cites the erratum: the ids of the clauses where it does."""
    found = {
        implementation.name: tuple(clause.id for clause in implementation.clauses if erratum in clause.errata)
        for implementation in report.implementations
    }
    return {name: ids for name, ids in found.items() if ids}


def _area_rank(letter: str) -> tuple[int, str]:
    order = list(AREAS)
    return (order.index(letter) if letter in order else len(order), letter)
