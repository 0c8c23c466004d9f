"""One test per clause."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest

from ppsf_conformance.report import ClauseVerdict, Implementation, codec


def test_clause(judged: Implementation, clause: str) -> None:
    """A clause passes if everything that was compared lay within its bounds."""
    found = next(one for one in judged.clauses if one.id == clause)
    if found.verdict != "pass":
        _report(found)


def test_nothing_else(judged: Implementation) -> None:
    """No clause of another revision describes what the class does otherwise."""
    own = {clause.id for clause in judged.clauses}
    assert set(judged.suspects) <= own


def _report(found: ClauseVerdict) -> NoReturn:
    """Fail, or skip with the reason."""
    if found.verdict == "unsupported":
        pytest.skip(f"{found.title}: the class does not offer what this clause is about")
    if found.verdict == "erratum":
        pytest.xfail(f"{found.title}: departs as {', '.join(found.errata)} says")
    if found.verdict == "not-run":
        reason = found.message or "nothing reached it: look harder with --ppsf-profile"
        pytest.fail(f"{found.title}: {reason}", pytrace=False)
    smallest = f"\nsmallest input: {json.dumps(codec.encode(found.minimal))}" if found.minimal else ""
    pytest.fail(f"{found.title}: {found.message}{smallest}", pytrace=False)
