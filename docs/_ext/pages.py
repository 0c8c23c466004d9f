"""Pages made from data: the table of clauses, the table of options, the revisions."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from clauses import Row, field_list, link, linked
from evidence import ROOT, collect
from tools.tables import TABLES
from tools.trace.clauses import Clause, read_folder

SPEC = ROOT / "spec"
RELATIONS = ("forbids", "disables", "implies")
SCOPES = {"group": "to the constructor or in a parameter group", "optimizer": "to the constructor only"}
SIGNS = {"exclusive_min": ">", "min": "≥", "exclusive_max": "<", "max": "≤"}
KINDS = {"bool": "True or False", "int": "integer", "float": "number", "float_or_none": "number"}
#: Areas in the order in which a step meets them, as the pages of the specification have it.
AREAS = "NOGDVUCMWZRLX"
#: A row of a table.
Cells = list[list[nodes.Node]]


def table(head: list[str], rows: Iterable[Cells]) -> nodes.table:
    """A table with inline content in each cell."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", _row([[nodes.Text(name)] for name in head]))
    group += nodes.tbody("", *(_row(cells) for cells in rows))
    return nodes.table("", group)


def _row(cells: Cells) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))


class DataDirective(SphinxDirective):
    """Base of the directives: reads files of the specification and depends on them."""

    def load(self, path: Path) -> dict[str, Any]:
        """Table of a TOML file; the page is built again when it changes."""
        self.env.note_dependency(str(path))
        return tomllib.loads(path.read_text(encoding="utf-8"))

    def rows(self, facts: dict[str, str]) -> list[Row]:
        """Names and values, in which ids are links."""
        return [(name, list(linked(text, self.env.docname))) for name, text in facts.items()]

    def prose(self, text: str) -> list[nodes.Node]:
        """Markdown as nodes."""
        return self.parse_text_to_nodes(text)


class ClauseTable(DataDirective):
    """All clauses with the number of tests and mutants that hold each."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        clauses = read_folder(SPEC / "clauses", ROOT)
        for clause in clauses:
            self.env.note_dependency(str(ROOT / clause.path))
        ordered = sorted(clauses, key=lambda clause: (AREAS.index(clause.id[5]), clause.id))
        return [table(["clause", "", "tests", "mutants"], map(self._cells, ordered))]

    def _cells(self, clause: Clause) -> Cells:
        counts = [len(found.get(clause.id, [])) for found in (collect().tests, collect().mutants)]
        numbers: Cells = [[nodes.Text(str(count))] for count in counts]
        return [[link(clause.id, self.env.docname)], [nodes.Text(clause.title)], *numbers]


class OptionTable(DataDirective):
    """The options of ``spec/options.toml``."""

    def run(self) -> list[nodes.Node]:
        """Build one entry per option."""
        options = self.load(SPEC / "options.toml")["options"]
        return [self._entry(name, facts) for name, facts in options.items()]

    def _entry(self, name: str, facts: dict[str, Any]) -> nodes.section:
        section = nodes.section(
            "", nodes.title("", "", nodes.literal("", name)), ids=[f"option-{name}"], classes=["option"]
        )
        section += self.prose(sentence(facts["meaning"]))
        allowed = domain(facts["type"], facts["domain"])
        rows = {"Default": shown(facts["default"]), "Allowed": allowed, "Given": SCOPES[facts["scope"]]}
        rows |= {key.capitalize(): "; ".join(facts[key]) for key in RELATIONS if facts.get(key)}
        rows |= {"Clauses": ", ".join(facts["clauses"])}
        rows |= {"Status": "planned; refused for now"} if facts["status"] == "planned" else {}
        section += field_list(self.rows(rows))
        return section


class RevisionTable(DataDirective):
    """The revisions of ``spec/revisions.toml``: origins, formulas, options."""

    def run(self) -> list[nodes.Node]:
        """Build a table of origins, one of variants, and one of options."""
        data = self.load(SPEC / "revisions.toml")
        options = self.load(SPEC / "options.toml")["options"]
        revisions = data["revisions"]
        return [
            *self.prose("## Where they come from"),
            table(["revision", "document", "released as"], (self._origin(*pair) for pair in revisions.items())),
            *self.prose("## Which formulas they use"),
            table(["", *revisions], (self._variant(field, data, revisions) for field in data["variants"])),
            *self.prose("## Which options they have, and with which default"),
            table(["", *revisions], (self._option(name, facts, revisions) for name, facts in options.items())),
        ]

    @staticmethod
    def _origin(name: str, revision: dict[str, Any]) -> Cells:
        origin = revision["provenance"]
        package = f"{origin['package']} {', '.join(origin['package_versions'])}".strip()
        document = f"{origin['document']} ({origin['document_date']})"
        return [[nodes.literal("", name)], [nodes.Text(document)], [nodes.Text(package)]]

    def _variant(self, field: str, data: dict[str, Any], revisions: dict[str, Any]) -> Cells:
        cells: Cells = [[nodes.literal("", field)]]
        for revision in revisions.values():
            behind = ", ".join(data["variants"][field][revision[field]])
            named = [nodes.Text(revision[field].replace("_", " ")), nodes.Text(" ")]
            cells.append([*named, *linked(behind, self.env.docname)])
        return cells

    def _option(self, name: str, facts: dict[str, Any], revisions: dict[str, Any]) -> Cells:
        target = nodes.reference("", "", nodes.literal("", name), refuri=f"options.html#option-{name}")
        cells: Cells = [[target]]
        for revision in revisions.values():
            default = shown(revision["defaults"].get(name, facts["default"]))
            cells.append([nodes.Text(default if name in revision["options"] else "–")])
        return cells


class ClauseParts(DataDirective):
    """All that makes up one clause, as it stands in the files: an example for who adds another."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build a caption and a block of code for each."""
        clause = next(one for one in read_folder(SPEC / "clauses", ROOT) if one.id == self.arguments[0])
        lines = (ROOT / clause.path).read_text("utf-8").splitlines()
        end = next(i for i in range(clause.line, len(lines)) if lines[i] == ":::")
        found = collect()
        shown = [("The rule", clause.path, "\n".join(lines[clause.line - 1 : end + 1]), "text")]
        shown += [("The reference", one.path, one.source, "python") for one in found.functions[clause.id]]
        shown += [
            ("The product", one.path, textwrap.dedent(one.source), "python") for one in found.product[clause.id][:1]
        ]
        shown += [("A mutant", one.path, one.source, "python") for one in found.mutants[clause.id][:2]]
        return [node for part in shown for node in self._block(*part)]

    def _block(self, what: str, path: str, source: str, language: str) -> list[nodes.Node]:
        self.env.note_dependency(str(ROOT / path))
        caption = nodes.paragraph("", "", nodes.Text(f"{what}, in "), nodes.literal("", path), nodes.Text(":"))
        return [caption, nodes.literal_block(source, source, language=language)]


class ProjectTable(DataDirective):
    """A table that the README has as well; the argument is its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build it."""
        for path in ("Makefile", "spec/index.json", "spec/options.toml", "spec/revisions.toml"):
            self.env.note_dependency(str(ROOT / path))
        return self.prose(TABLES[self.arguments[0]](ROOT))


def ended(text: str) -> str:
    """``text`` with a full stop."""
    text = text.strip()
    return text + ("" if text.endswith((".", "!", "?")) else ".")


def sentence(text: str) -> str:
    """``text`` with a capital letter and a full stop."""
    text = ended(text)
    return text[:1].upper() + text[1:]


def domain(kind: str, limits: dict[str, Any]) -> str:
    """The values that an option accepts, in a few words."""
    if "only" in limits:
        return f"only {shown(limits['only'])}"
    if "items" in limits:
        return "; ".join(domain("number", item) for item in limits["items"])
    bounds = [f"{sign} {shown(limits[key])}" for key, sign in SIGNS.items() if key in limits]
    text = " ".join([KINDS.get(kind, kind), *(", ".join(bounds).split())])
    return f"{text}, or None" if limits.get("nullable") else text


def shown(value: Any) -> str:
    """A value of a TOML file as Python would write it; strings without quotes."""
    if isinstance(value, list):
        return f"({', '.join(shown(item) for item in value)})"
    return str(value)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("clause-table", ClauseTable)
    app.add_directive("option-table", OptionTable)
    app.add_directive("revision-table", RevisionTable)
    app.add_directive("project-table", ProjectTable)
    app.add_directive("clause-parts", ClauseParts)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
