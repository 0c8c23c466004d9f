"""A page for each erratum, and the tables that lead to them.

The pages are made from ``spec/errata`` before a build: ``docs/errata/ERR-0007.md`` holds the one directive that fills
it. They stand in no table of contents, as 160 entries would bury it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from docutils import nodes
from packaging.version import Version
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from clauses import Row, field_list, headed_section, link, page_link
from evidence import ROOT
from pages import Cells, DataDirective, ended, shown, table
from ppsf_conformance.errata import Erratum, all_errata
from ppsf_conformance.snippets import paragraph, shown_on, snippet

FOLDER = "errata"
STUB = "---\norphan: true\n---\n\n```{{erratum}} {id}\n```\n"
PROSE = {"Observed": "observed", "Specified": "spec_says", "Effect": "effect", "Shown by": "shows"}
SEVERITIES = {
    "S1": "wrong training or a crash in an advertised or default configuration",
    "S2": "wrong result in a plausible configuration",
    "S3": "edge case, document or robustness",
}


class ErratumPage(DataDirective):
    """Everything about one erratum; the argument is its id."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the page."""
        erratum = next(one for one in all_errata() if one.id == self.arguments[0])
        path = ROOT / "spec" / "errata" / f"{erratum.id}.toml"
        facts = self.load(path)
        page = headed_section(erratum.id, erratum.title, "erratum-page")
        self.state.document.note_explicit_target(page)
        for name, key in PROSE.items():
            page += self.prose(f"**{name}.** {ended(facts[key])}")
        page += nodes.container("", observations(facts["pinned"]["observe"]), classes=["scroll"])
        page += field_list([*self.rows(self._facts(facts)), ("Defects of", self._packages(erratum)), _data(erratum)])
        page += self._programs(erratum)
        page += self._report(erratum)
        return [page]

    @staticmethod
    def _facts(facts: dict[str, Any]) -> dict[str, str]:
        return {
            "Clauses": ", ".join(facts["clauses"]) or f"none yet: {facts['awaits']} is not served",
            "Affects": "; ".join(f"{entry['name']} {told(entry)}" for entry in facts["implementations"]),
            "Severity": f"{facts['severity']}, {SEVERITIES[facts['severity']]}",
            "Kind": f"{facts['kind'].replace('-', ' ')}; {facts['disposition'].replace('-', ' ')}",
            "Applies": facts["applies"],
            "Found": facts["found"],
        }

    def _packages(self, erratum: Erratum) -> list[nodes.Node]:
        links = (page_link(f"verdicts/{name}", self.env.docname) for name in packages_of(erratum))
        return [node for one in links for node in (nodes.Text("; "), one)][1:]

    @staticmethod
    def _programs(erratum: Erratum) -> nodes.section:
        section = nodes.section("", nodes.title("", "As a program"), ids=["program"])
        section += nodes.paragraph(
            "",
            "It needs the release and nothing else. What it prints is in its comments: what the release gives, and "
            "what was expected.",
        )
        for package in packages_of(erratum):
            program = snippet(erratum, newest(erratum, package))
            section += nodes.literal_block(program, program, language="python")
        return section

    @staticmethod
    def _report(erratum: Erratum) -> nodes.section:
        section = nodes.section("", nodes.title("", "For a bug report"), ids=["report"])
        section += nodes.literal_block("", paragraph(erratum), language="text", classes=["paste"])
        return section


class ErrataTable(DataDirective):
    """All errata, in order of their ids."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        errata = all_errata()
        self._depend(errata)
        made = table(["erratum", "severity", "seen in"], map(self._cells, errata))
        made["classes"] += ["errata", "filterable"]
        return [severities(), made]

    def _cells(self, erratum: Erratum) -> Cells:
        return [self._name(erratum), [nodes.Text(erratum.table["severity"])], [*self._releases(erratum)]]

    def _depend(self, errata: Iterable[Erratum]) -> None:
        for one in errata:
            self.env.note_dependency(str(ROOT / "spec" / "errata" / f"{one.id}.toml"))

    def _name(self, erratum: Erratum) -> list[nodes.Node]:
        return [link(erratum.id, self.env.docname), nodes.Text(f" {erratum.title}")]

    @staticmethod
    def _releases(erratum: Erratum) -> Iterator[nodes.Node]:
        entries = erratum.table["implementations"]
        for name in packages_of(erratum):
            versions = dict.fromkeys(version(entry) for entry in entries if entry["name"] == name)
            yield nodes.line("", f"{name} {', '.join(versions)}")


class Defects(ErrataTable):
    """What was found in one package, by version: the argument is its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table: the worst first."""
        package = self.arguments[0]
        own = [erratum for erratum in all_errata() if package in packages_of(erratum)]
        own.sort(key=lambda erratum: (erratum.table["severity"], erratum.id))
        self._depend(own)
        versions = sorted({version(entry) for one in own for entry in entries_of(one, package)}, key=Version)
        made = table(["", "", *versions], (self._row(one, package, versions) for one in own))
        made["classes"] += ["errata", "filterable"]
        counts = (f"{version}: {sum(version in seen(one, package) for one in own)}" for version in versions)
        return [nodes.paragraph("", f"Errata by version: {', '.join(counts)}."), severities(), made]

    def _row(self, erratum: Erratum, package: str, versions: Sequence[str]) -> Cells:
        found = seen(erratum, package)
        name = [*self._name(erratum), nodes.line("", ended(erratum.table["effect"]), classes=["effect"])]
        marks: Cells = [[nodes.Text(found.get(version, "–"))] for version in versions]
        return [[nodes.Text(erratum.table["severity"])], name, *marks]


def observations(observed: list[dict[str, Any]]) -> nodes.table:
    """What the release gives and what the law gives."""
    rows = ((entry["path"], shown(entry["upstream"]), _by_law(entry)) for entry in observed)
    cells: list[Cells] = [[[nodes.literal("", text)] for text in row] for row in rows]
    return table(["after the pinned input", "the release", "the law"], cells)


def _by_law(entry: dict[str, Any]) -> str:
    return shown(entry["law"]) if "law" in entry else "not said yet"


def _data(erratum: Erratum) -> Row:
    return "Data", [nodes.literal("", f"spec/errata/{erratum.id}.toml")]


def severities() -> nodes.paragraph:
    """The key to the letters."""
    return nodes.paragraph("", "; ".join(f"{letter}: {meaning}" for letter, meaning in SEVERITIES.items()) + ".")


def packages_of(erratum: Erratum) -> list[str]:
    """Names of the packages that an erratum is about."""
    return list(dict.fromkeys(entry["name"] for entry in erratum.table["implementations"]))


def entries_of(erratum: Erratum, package: str) -> list[dict[str, Any]]:
    """What an erratum says of a package."""
    return [entry for entry in erratum.table["implementations"] if entry["name"] == package]


def version(entry: dict[str, Any]) -> str:
    """The version of an entry."""
    return str(entry["versions"]).removeprefix("==")


def told(entry: dict[str, Any]) -> str:
    """Version, with the class where only some are affected."""
    cls = entry.get("class", "").partition(":")[2]
    return f"{version(entry)} ({cls})" if cls else version(entry)


def seen(erratum: Erratum, package: str) -> dict[str, str]:
    """By version of a package: the classes that are affected, or a mark for all."""
    found: dict[str, list[str]] = {}
    for entry in entries_of(erratum, package):
        found.setdefault(version(entry), []).append(entry.get("class", "").partition(":")[2] or "≠")
    return {name: ", ".join(classes) for name, classes in found.items()}


def newest(erratum: Erratum, package: str) -> str:
    """The newest release of a package that shows an erratum, as a target."""
    targets = [target for target in shown_on(erratum) if target.partition("@")[2].partition("==")[0] == package]
    return max(targets, key=lambda target: Version(target.rpartition("==")[2]))


def write_stubs(app: Sphinx) -> None:
    """One source file for each erratum, and none for others."""
    folder = app.srcdir / FOLDER
    folder.mkdir(exist_ok=True)
    wanted = {f"{erratum.id}.md": STUB.format(id=erratum.id) for erratum in all_errata()}
    for path in folder.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.connect("builder-inited", write_stubs)
    app.add_directive("erratum", ErratumPage)
    app.add_directive("errata-table", ErrataTable)
    app.add_directive("defects", Defects)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
