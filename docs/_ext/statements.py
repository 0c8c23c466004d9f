"""The ``sentences`` directive: a table of what a document states and of the clauses that answer it."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from clauses import link, linked
from evidence import ROOT
from pages import table
from tools.trace.sentences import Document, Row, read_folder

HEAD = ["", "where", "says", "answered by"]
WIDTHS = (11, 19, 38, 32)


class Sentences(SphinxDirective):
    """The document of ``spec/sentences`` with this revision."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build what is said of the document, and its table."""
        (document,) = (one for one in read_folder(ROOT) if one.data["revision"] == self.arguments[0])
        self.env.note_dependency(str(ROOT / document.path))
        rows = table(HEAD, map(self._cells, document.rows))
        rows["classes"] += ["statements", "colwidths-given"]
        for column, width in zip(rows.findall(nodes.colspec), WIDTHS, strict=True):
            column["colwidth"] = width
        return [nodes.paragraph("", summary(document)), rows]

    def _cells(self, row: Row) -> list[list[nodes.Node]]:
        identifier = nodes.inline("", row.id, ids=[row.id.lower()], classes=["number"])
        return [[identifier], [nodes.Text(place(row))], self._inline(row.data["says"]), self._answer(row)]

    def _answer(self, row: Row) -> list[nodes.Node]:
        parts = [[link(identifier, self.env.docname)] for identifier in row.clauses]
        parts += [[self._page(row.data["page"])]] if "page" in row.data else []
        parts += [[nodes.emphasis("", f"to be specified: {row.pending}")]] if row.pending else []
        joined = [node for part in parts for node in (nodes.Text(", "), *part)][1:]
        if not (text := row.data.get("answer")):
            return joined
        return [*joined, nodes.Text(". " if joined else ""), *self._inline(text)]

    def _inline(self, text: str) -> list[nodes.Node]:
        """Markdown within a line; ids become links."""
        found: list[nodes.Node] = []
        for node in self.parse_inline(text)[0]:
            found += linked(node.astext(), self.env.docname) if isinstance(node, nodes.Text) else [node]
        return found

    def _page(self, name: str) -> nodes.Node:
        target: dict[str, Any] = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{name}", "refexplicit": False}
        return addnodes.pending_xref("", nodes.inline("", name), refdoc=self.env.docname, refwarn=True, **target)


def summary(document: Document) -> str:
    """What the document is, and how its sentences are accounted for."""
    rows = list(document.rows)
    date = f" ({document.data['date']})" if "date" in document.data else ""
    without = sum(document.left_out.values())
    reasons = ", ".join(f"{reason.replace('-', ' ')} {count}" for reason, count in document.left_out.items())
    pending = sum(bool(row.pending) for row in rows)
    waiting = f" Of the statements, {pending} wait for clauses that are still to be written." if pending else ""
    return (
        f"{document.data['document']}{date}; revision {document.data['revision']}. "
        f"It has {document.sentences} sentences: {document.sentences - without} make the {len(rows)} statements below, "
        f"{without} state nothing of the kind ({reasons}).{waiting}"
    )


def place(row: Row) -> str:
    """Heading, number and part, in a few words."""
    ordinals = row.ordinals
    number = f"{ordinals[0]}" if len(ordinals) == 1 else f"{ordinals[0]}–{ordinals[-1]}"
    part = row.data["at"].get("part")
    return f"{row.heading}, {number}" + (f", {part}" if part else "")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("sentences", Sentences)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
