"""What there is to know of an option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppsf_conformance.explaining import sources
from ppsf_conformance.explaining.page import Page
from ppsf_conformance.verdicts import clauses

SIGNS = {"exclusive_min": ">", "min": ">=", "exclusive_max": "<", "max": "<="}
SCOPES = {"group": "to the constructor or in a parameter group", "optimizer": "to the constructor only"}
RELATIONS = ("forbids", "disables", "implies")


def data(name: str) -> Mapping[str, Any]:
    """Everything, for programs."""
    found = sources.options()[name]
    return {
        "entry": "option",
        "name": name,
        **found,
        "defaults": {
            revision: table.get("defaults", {}).get(name, found["default"])
            for revision, table in sources.revisions().items()
            if name in table["options"]
        },
        "errata": list(sources.errata_of_option(name)),
    }


def page(name: str) -> Page:
    """The same, for people."""
    known, shown = data(name), Page()
    shown.title(name)
    shown.prose(known["meaning"])
    shown.heading("Values")
    shown.fact("type", known["type"])
    shown.fact("allowed", _domain(known["domain"]) if known.get("domain") else "")
    shown.fact("given", SCOPES.get(known["scope"], known["scope"]))
    shown.fact("default", "\n".join(f"{value!r} in revision {name}" for name, value in known["defaults"].items()))
    shown.fact("status", known["status"])
    for relation in RELATIONS:
        shown.fact(relation, "\n".join(known.get(relation, ())))
    shown.heading("Acts in")
    for clause in known["clauses"]:
        shown.fact(clause, clauses()[clause]["title"] if clause in clauses() else "")
    if known["errata"]:
        shown.heading("Errata that name it")
        for erratum in known["errata"]:
            shown.fact(erratum, sources.errata()[erratum]["title"])
    return shown


def _domain(domain: Mapping[str, Any]) -> str:
    parts = [f"{SIGNS[key]} {domain[key]!r}" for key in SIGNS if key in domain]
    parts += [f"element {i}: {_domain(item)}" for i, item in enumerate(domain.get("items", ()))]
    parts += ["or None"] if domain.get("nullable") else []
    parts += [f"only {domain['only']!r}"] if "only" in domain else []
    return ", ".join(parts)
