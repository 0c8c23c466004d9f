"""Pages made from the stored verdicts: the matrix, and per package the defects that were found."""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from packaging.version import Version
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from clauses import anchor, field_list, link
from evidence import ROOT
from pages import DataDirective, table
from ppsf_conformance.errata import Erratum, all_errata
from ppsf_conformance.matrix import Matrix, MatrixRow, matrices
from ppsf_conformance.report.view import VERDICTS
from ppsf_conformance.snippets import paragraph, shown_on, snippet
from ppsf_conformance.stored import ClauseEntry, Stored, all_stored


class VerdictMatrix(DataDirective):
    """Clauses by implementations, a table per revision."""

    def run(self) -> list[nodes.Node]:
        """Build the tables, and the key to their symbols."""
        for path in (ROOT / "conformance" / "verdicts").glob("*.json"):
            self.env.note_dependency(str(path))
        key = "; ".join(f"{style.symbol} {style.word}: {style.meaning}" for style in VERDICTS.values())
        found: list[nodes.Node] = [nodes.paragraph("", key)]
        for matrix in matrices(all_stored()):
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
        rows: list[list[list[nodes.Node]]] = [[[nodes.Text(text)] for text in row] for row in texts]
        made = table(head, rows)
        made["classes"] += ["counts"]
        return made

    def _cells(self, row: MatrixRow) -> list[list[nodes.Node]]:
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
        yield "not tried"
    else:
        deviating = f"{one.followed.deviations} of {one.followed.steps} steps deviate"
        yield f"{one.followed.combinations} combinations, {deviating}"


class Defects(DataDirective):
    """What was found in one package: the argument is its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build a section per erratum."""
        package = self.arguments[0]
        own = [erratum for erratum in all_errata() if package in {e["name"] for e in erratum.table["implementations"]}]
        own.sort(key=lambda erratum: (erratum.table["severity"], erratum.id))
        for erratum in own:
            self.env.note_dependency(str(ROOT / "spec" / "errata" / f"{erratum.id}.toml"))
        return [self._section(erratum, package) for erratum in own]

    def _section(self, erratum: Erratum, package: str) -> nodes.section:
        section = nodes.section("", names=[f"defect-{anchor(erratum.id)}"], classes=["defect"])
        section += nodes.title("", erratum.title)
        self.state.document.note_explicit_target(section)
        facts = {"Severity": erratum.table["severity"], "Affects": ", ".join(affected(erratum, package))}
        rows: list[tuple[str, list[nodes.Node]]] = [(name, [nodes.Text(text)]) for name, text in facts.items()]
        entry: list[nodes.Node] = [link(erratum.id, self.env.docname)]
        section += field_list([*rows, ("Erratum", entry)])
        section += nodes.literal_block("", paragraph(erratum), language="text", classes=["paste"])
        program = snippet(erratum, newest(erratum, package))
        section += nodes.literal_block(program, program, language="python")
        return section


def affected(erratum: Erratum, package: str) -> Iterator[str]:
    """Versions, with their classes where only some are affected."""
    for entry in erratum.table["implementations"]:
        if entry["name"] == package:
            version = entry["versions"].removeprefix("==")
            yield f"{version} ({entry['class'].partition(':')[2]})" if "class" in entry else version


def newest(erratum: Erratum, package: str) -> str:
    """The newest release of a package that shows an erratum, as a target."""
    targets = [target for target in shown_on(erratum) if target.partition("@")[2].partition("==")[0] == package]
    return max(targets, key=lambda target: Version(target.rpartition("==")[2]))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("verdict-matrix", VerdictMatrix)
    app.add_directive("defects", Defects)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
