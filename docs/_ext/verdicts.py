"""The matrix of the stored verdicts: clauses by implementations."""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from clauses import link
from evidence import ROOT
from pages import Cells, DataDirective, table
from ppsf_conformance.matrix import Matrix, MatrixRow, matrices
from ppsf_conformance.report.view import VERDICTS
from ppsf_conformance.stored import ClauseEntry, Stored, all_stored, ours, published


class VerdictMatrix(DataDirective):
    """Clauses by implementations, a table per revision."""

    def run(self) -> list[nodes.Node]:
        """Build the tables, and the key to their symbols."""
        for path in (ROOT / "conformance" / "verdicts").glob("*.json"):
            self.env.note_dependency(str(path))
        key = "; ".join(f"{style.symbol} {style.word}: {style.meaning}" for style in VERDICTS.values())
        found: list[nodes.Node] = [nodes.paragraph("", key)]
        for matrix in matrices(all_stored((*ours(), *published()))):
            found += self._section(matrix)
        return found

    def _section(self, matrix: Matrix) -> list[nodes.Node]:
        section = nodes.section("", ids=[f"revision-{nodes.make_id(matrix.revision)}"])
        section += nodes.title("", f"Revision {matrix.revision}")
        section += self._counts(matrix)
        rows = table(["clause", *(heading(one) for one in matrix.columns)], map(self._cells, matrix.rows))
        rows["classes"] += ["verdicts"]
        section += nodes.container("", rows, classes=["scroll"])
        return [section]

    @staticmethod
    def _counts(matrix: Matrix) -> nodes.table:
        head = ["implementation", *(style.word for style in VERDICTS.values()), "steps judged", "followed"]
        texts = ((heading(one), *counts(one)) for one in matrix.columns)
        rows: list[Cells] = [[[nodes.Text(text)] for text in row] for row in texts]
        made = table(head, rows)
        made["classes"] += ["counts"]
        return made

    def _cells(self, row: MatrixRow) -> Cells:
        name: list[nodes.Node] = [link(row.id, self.env.docname), nodes.inline("", f" {row.title}", classes=["what"])]
        return [name, *(list(self._cell(cell)) for cell in row.cells)]

    def _cell(self, cell: ClauseEntry | None) -> Iterator[nodes.Node]:
        if cell is None:
            yield nodes.Text("–")
            return
        style = VERDICTS[cell.verdict]
        yield nodes.inline("", style.symbol, classes=["verdict", cell.verdict])
        for identifier in cell.errata:
            yield nodes.Text(" ")
            yield link(identifier, self.env.docname)


def heading(one: Stored) -> str:
    """Name and version of an implementation."""
    return f"{one.name} {one.version}"


def counts(one: Stored) -> Iterator[str]:
    """How many clauses got each verdict, the steps that were judged, and what came of following it."""
    given = [clause.verdict for clause in one.clauses.values()]
    yield from (str(given.count(verdict)) for verdict in VERDICTS)
    yield str(one.steps)
    if one.followed is None:
        yield "no errata to follow"
    else:
        deviating = f"{one.followed.deviations} of {one.followed.steps} steps deviate"
        yield f"{one.followed.combinations} combinations, {deviating}"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("verdict-matrix", VerdictMatrix)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
