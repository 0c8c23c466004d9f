"""What there is to know of a clause, an erratum or an option, as data and as text for a terminal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from ppsf_conformance.explaining import clause, erratum, option, sources
from ppsf_conformance.explaining.page import Page
from ppsf_conformance.verdicts import clauses

__all__ = ["Page", "data_of", "identified", "page_of"]


def identified(given: str) -> str:
    """The id or the option that is meant: ``d-003`` is PPSF-D-003, ``err-31`` is ERR-0031.

    Raises:
        ValueError: there is none; the message names the nearest ones.
    """
    known = [*clauses(), *sources.errata(), *sources.options()]
    if given in known:
        return given
    text = given.strip().upper().replace("_", "-")
    if match := re.fullmatch(r"(?:PPSF-?)?([A-Z])-?(\d{1,3})", text):
        text = f"PPSF-{match[1]}-{int(match[2]):03}"
    elif match := re.fullmatch(r"ERR-?(\d{1,4})", text):
        text = f"ERR-{int(match[1]):04}"
    if text in known:
        return text
    near = difflib.get_close_matches(text, known, 4, 0.7) or difflib.get_close_matches(given.lower(), known, 4, 0.5)
    advice = f"the nearest are {', '.join(near)}" if near else "give a clause (PPSF-D-003), an erratum or an option"
    raise ValueError(f"there is no clause, erratum or option {given!r}; {advice}")


def data_of(identifier: str) -> Mapping[str, Any]:
    """Everything, for programs."""
    found: Mapping[str, Any] = _module(identifier).data(identifier)
    return found


def page_of(identifier: str) -> Page:
    """The same, for people."""
    shown: Page = _module(identifier).page(identifier)
    return shown


def _module(identifier: str) -> Any:
    if identifier in clauses():
        return clause
    return erratum if identifier in sources.errata() else option
