"""The guide for choosing options."""

from __future__ import annotations

import tomllib

from computed import Table
from evidence import ROOT

RELATIONS = ("forbids", "disables", "implies")


def relations() -> Table:
    """What options do to each other, from the table of options."""
    text = (ROOT / "spec" / "options.toml").read_text(encoding="utf-8")
    rows = [
        (f"`{name}`", relation, "; ".join(facts[relation]).replace("_", r"\_"))
        for name, facts in tomllib.loads(text)["options"].items()
        for relation in RELATIONS
        if facts.get(relation)
    ]
    return Table(("option", "", ""), tuple(rows))
