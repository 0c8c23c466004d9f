"""What there is to know of a clause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppsf_conformance.explaining import sources, tex
from ppsf_conformance.explaining.page import MATH, Page
from ppsf_conformance.verdicts import clauses


def data(identifier: str) -> Mapping[str, Any]:
    """Everything, for programs."""
    entry, body = clauses()[identifier], sources.body_of(identifier)
    reference, tests = sources.reference_of(identifier), sources.tests_of(identifier)
    fields = entry["fields"]
    return {
        "entry": "clause",
        "id": identifier,
        "title": entry["title"],
        "status": entry["status"],
        "file": entry["file"],
        "line": entry["line"],
        "sha8": entry["sha8"],
        **fields,
        "text": body,
        "equations": [tex.lines(found) for found in MATH.findall(body)],
        "reference": reference and {"place": str(reference[0]), "source": reference[1]},
        "product": [str(place) for place in sources.product_of(identifier)],
        "judged_by": sources.judged_by(identifier) if entry["status"] == "normative" else None,
        "tests": None if tests is None else [str(place) for place in tests],
        "mutants": sources.mutants_of(identifier),
        "errata": [
            {key: sources.errata()[name].get(key, "") for key in ("id", "title", "effect")} for name in fields["errata"]
        ],
    }


def page(identifier: str) -> Page:
    """The same, for people."""
    known, shown = data(identifier), Page()
    shown.title(f"{identifier}  {known['title']}")
    shown.prose(known["text"])
    shown.heading("Scope")
    shown.fact("revisions", ", ".join(known["revisions"]))
    shown.fact("options", ", ".join(known["options"]))
    shown.fact("jump guards", ", ".join(known["guards"]))
    shown.fact("reads", ", ".join(known["reads"]))
    shown.fact("writes", ", ".join(known["writes"]))
    shown.fact("upstream", known["relation"] or "")
    shown.fact("source", known["source"] or "")
    shown.fact("text", f"{known['file']}:{known['line']}")
    if known["reference"]:
        shown.heading(f"Reference, {known['reference']['place']}")
        shown.code(known["reference"]["source"])
    shown.heading("Held by")
    shown.fact("product", "\n".join(known["product"]))
    shown.fact("judged by", known["judged_by"] or "nothing: it is informative")
    if known["tests"] is None:
        shown.fact("tests", "in the project's repository, which is not at hand")
    else:
        shown.fact("tests", "\n".join(known["tests"]))
    shown.fact("mutants", "\n".join(known["mutants"]))
    if known["errata"]:
        shown.heading("Errata")
        for erratum in known["errata"]:
            shown.fact(erratum["id"], f"{erratum['title']}. {' '.join(erratum['effect'].split())}")
    return shown
