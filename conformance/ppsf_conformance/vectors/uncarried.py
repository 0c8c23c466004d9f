"""Normative clauses without vectors, each with the reason; and faults that a vector cannot show."""

from __future__ import annotations

from collections.abc import Mapping

UNCARRIED: Mapping[str, str] = {
    "PPSF-L-005": "saving and loading: it is about files and objects of the host language, and nothing is computed",
    "PPSF-L-006": "the closure: it is about the order of calls, and nothing is computed",
}
#: The reason for all clauses of an area.
UNCARRIED_AREAS: Mapping[str, str] = {
    "X": "errors: which exception is raised, when, and with what message belongs to the host language",
}


def reason(clause: str) -> str:
    """Why a clause has no vectors; empty where it should have some."""
    return UNCARRIED.get(clause, "") or UNCARRIED_AREAS.get(clause.split("-")[1], "")


#: Mutants of carried clauses, by their identifier, that no vector of the clause can notice, each with the reason.
UNNOTICED: Mapping[str, str] = {}
