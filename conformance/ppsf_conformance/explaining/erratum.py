"""What there is to know of an erratum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppsf_conformance.explaining import sources
from ppsf_conformance.explaining.page import Page
from ppsf_conformance.report import codec
from ppsf_conformance.verdicts import clauses

DISPOSITIONS = {
    "spec-deviates": "the specification departs from the release",
    "spec-follows": "the specification follows the release",
}
SEVERITIES = {
    "S1": "wrong training or a crash in an advertised or default configuration",
    "S2": "wrong result in a plausible configuration",
    "S3": "edge case, document or robustness",
}
#: What is said of an erratum, and under which key.
TOLD = {"observed": "observed", "specified": "spec_says", "applies to": "applies", "shown by": "shows"}


def data(identifier: str) -> Mapping[str, Any]:
    """Everything, for programs."""
    table = sources.errata()[identifier]
    found: Mapping[str, Any] = codec.encode({**table, "found": str(table.get("found", ""))})
    return {"entry": "erratum", **found}


def page(identifier: str) -> Page:
    """The same, for people."""
    table, shown = sources.errata()[identifier], Page()
    shown.title(f"{identifier}  {table['title']}")
    shown.prose(table["effect"])
    shown.heading("What is the matter")
    for label, key in TOLD.items():
        shown.fact(label, " ".join(str(table.get(key, "")).split()))
    shown.fact("releases", "\n".join(f"{one['name']} {one['versions']}" for one in table["implementations"]))
    shown.fact("severity", f"{table['severity']}, {SEVERITIES.get(table['severity'], '')}".rstrip(", "))
    shown.fact("disposition", DISPOSITIONS.get(table["disposition"], table["disposition"]))
    shown.fact("awaits", table.get("awaits", ""))
    shown.fact("followed by", f"the rule {table['override']!r} of the judge" if table.get("override") else "")
    shown.fact("found", str(table.get("found", "")))
    if table["clauses"]:
        shown.heading("Clauses")
        for clause in table["clauses"]:
            shown.fact(clause, clauses()[clause]["title"])
    shown.heading("Pinned input")
    pinned = table["pinned"]
    for number, group in enumerate(pinned.get("groups", ()), 1):
        shown.fact(f"group {number}", _inline(group))
    shown.fact("options", _inline(pinned["options"]) if pinned.get("options") else "")
    for number, action in enumerate(pinned.get("actions", ()), 1):
        shown.fact(f"action {number}", _inline(action))
    for seen in pinned["observe"]:
        there = f"upstream {seen['upstream']!r}" if "upstream" in seen else "upstream: as pinned"
        law = f"the law {seen['law']!r}" if "law" in seen else "the law has no such option"
        shown.fact(seen["path"], f"{there}, {law}")
    return shown


def _inline(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value!r}" for key, value in table.items())
