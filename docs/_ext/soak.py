"""The directive ``{soak}``: what the stored result of `ppsf-conformance soak` says."""

from __future__ import annotations

import json
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from evidence import ROOT
from pages import table

RESULT = ROOT / "conformance" / "results" / "soak.json"


class Soak(SphinxDirective):
    """Totals, coverage by revision, guards, and what the total was made with."""

    def run(self) -> list[nodes.Node]:
        """Build a sentence and three tables."""
        self.env.note_dependency(str(RESULT))
        data = json.loads(RESULT.read_text("utf-8"))
        return [
            *self.parse_text_to_nodes(totals(data)),
            _table(("revision", "steps", "clauses evaluated", "values of options", "pairs of values"), revisions(data)),
            *self.parse_text_to_nodes(
                "Regimes, shapes and options, and in how many groups or parameters each occurred:"
            ),
            _table(("", "values"), drawn(data)),
            *self.parse_text_to_nodes("Guards, and how often they went which way:"),
            _table(("guard", "true", "false", "undecided"), guards(data)),
            *self.parse_text_to_nodes("Made with:"),
            _table(("commit", "steps", "days", "torch", "numpy", "Python", "processor"), parts(data)),
        ]


def totals(data: dict[str, Any]) -> str:
    """The figures in a paragraph."""
    drawn = data["drawn"]
    settled = len(data["settled_alarms"])
    worst = max(data["worst"], key=lambda name: data["worst"][name], default="")
    return (
        f"**{data['steps']:,} steps** ({data['transitions']:,} transitions with those of eval() and train()) of "
        f"{data['problems']:,} problems: **{data['alarms']} false alarms**"
        + (f", and {settled} that led to a mended mistake" if settled else "")
        + f". Of {data['values']:,} compared values {data['undecided'] / max(data['values'], 1):.3%} were undecided; "
        f"the closest approach to a bound was {data['worst'].get(worst, 0.0):.3f} of it (in `{worst}`). "
        f"Shapes: {len(drawn['shape'])}; regimes: {len(drawn['regime'])}; dtypes: {', '.join(sorted(drawn['dtype']))}."
    )


def revisions(data: dict[str, Any]) -> list[tuple[str, ...]]:
    """Coverage: a pair counts as met when both values were given to one group."""
    return [
        (
            name,
            f"{one['steps']:,}",
            str(one["clauses"]),
            f"{one['values'] - len(one['values_unmet'])} of {one['values']}",
            f"{one['pairs_met']:,} of {one['pairs']:,}",
        )
        for name, one in data["revisions"].items()
    ]


def drawn(data: dict[str, Any]) -> list[tuple[str, ...]]:
    """What problems were made of."""
    facts = {**data["drawn"], **data["options"]}
    return [
        (name, ", ".join(f"{value} ({count:,})" for value, count in counts.items())) for name, counts in facts.items()
    ]


def guards(data: dict[str, Any]) -> list[tuple[str, ...]]:
    """Outcomes that were certain, and those that were not."""
    outcomes = ("true", "false", "open")
    return [
        (name.replace("_", " "), *(f"{counts.get(outcome, 0):,}" for outcome in outcomes))
        for name, counts in data["guards"].items()
    ]


def parts(data: dict[str, Any]) -> list[tuple[str, ...]]:
    """Commits and versions, with the days between which each was at work."""
    return [
        (
            part["commit"][:10] + (" with changes" if part["modified"] else ""),
            f"{part['steps']:,}",
            " to ".join(dict.fromkeys((part["first"][:10], part["last"][:10]))),
            *(part["versions"][name] for name in ("torch", "numpy", "python")),
            part["machine"],
        )
        for part in data["made_with"]
    ]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> nodes.table:
    cells: list[list[list[nodes.Node]]] = [[[nodes.Text(text)] for text in row] for row in rows]
    return table(list(head), cells)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("soak", Soak)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
