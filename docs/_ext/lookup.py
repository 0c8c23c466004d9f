"""The index by option, by revision, by error message: collected from the specification and from the sources."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from clauses import link, linked
from evidence import ROOT, collect
from messages import Message, messages
from pages import AREAS, Cells, DataDirective, table
from ppsf_conformance.explaining.sources import errata_of_option
from tools.trace.clauses import Clause, read_folder
from tools.trace.scan import Sources

SPEC = ROOT / "spec"
KIT = "conformance/ppsf_conformance"
#: What the command shows to its user, and the folders that only those meet who work on the kit.
SHOWN = frozenset(
    {"ValueError", "ReportError", "UsageError", "ArgumentTypeError", "ImportError", "ModuleNotFoundError"}
)
INTERNAL = (f"{KIT}/vectors/", f"{KIT}/killing.py")
PLACEHOLDER = re.compile(r"(\{[^{}]*\})")


@dataclass(frozen=True)
class Said:
    """A message with everything that raises it."""

    message: Message
    kinds: tuple[str, ...]
    clauses: tuple[str, ...]
    places: tuple[str, ...]


def product_messages() -> list[Said]:
    """What ``ppsf_fast`` says."""
    return together(messages(Sources(ROOT), "ppsf_fast"))


def kit_messages() -> list[Said]:
    """What the command ``ppsf-conformance`` says."""
    found = messages(Sources(ROOT), KIT)
    return together([one for one in found if one.kind in SHOWN and not one.path.startswith(INTERNAL)])


def together(found: Sequence[Message]) -> list[Said]:
    """Messages with the same text, as one."""
    by_text: dict[str, list[Message]] = {}
    for one in found:
        by_text.setdefault(one.text, []).append(one)
    return [
        Said(
            same[0],
            tuple(dict.fromkeys(one.kind for one in same)),
            tuple(dict.fromkeys(one.clause for one in same if one.clause)),
            tuple(dict.fromkeys(f"{one.path}::{one.place}" for one in same)),
        )
        for same in by_text.values()
    ]


class Messages(DataDirective):
    """The messages of the product (``ppsf_fast``) or of the command."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        found = product_messages() if self.arguments[0] == "ppsf_fast" else kit_messages()
        for one in found:
            for place in one.places:
                self.env.note_dependency(str(ROOT / place.partition("::")[0]))
        made = table(["message", "what to do", "raised by"], map(self._row, found))
        made["classes"] += ["lookup", "filterable"]
        return [made]

    def _row(self, said: Said) -> Cells:
        origin: list[nodes.Node] = [nodes.literal("", kind) for kind in said.kinds]
        origin += [link(identifier, self.env.docname) for identifier in said.clauses]
        origin += [nodes.inline("", place, classes=["place"]) for place in said.places]
        separated = [node for one in origin for node in (nodes.Text(" "), one)][1:]
        return [list(_with_placeholders(said.message.reason)), list(_with_placeholders(said.message.advice)), separated]


def _with_placeholders(text: str) -> Iterator[nodes.Node]:
    for part in PLACEHOLDER.split(text):
        if PLACEHOLDER.fullmatch(part):
            yield nodes.emphasis("", part[1:-1], classes=["placeholder"])
        elif part:
            yield nodes.Text(part)


class Options(DataDirective):
    """Each option with its clauses, the files of their tests, and the errata that name it."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        options = self.load(SPEC / "options.toml")["options"]
        rows = (self._row(name, facts) for name, facts in options.items())
        made = table(["option", "clauses", "tests", "errata"], rows)
        made["classes"] += ["lookup", "filterable"]
        return [made]

    def _row(self, name: str, facts: dict[str, Any]) -> Cells:
        option = nodes.reference("", "", nodes.literal("", name), refuri=f"options.html#option-{name}")
        clauses = list(dict.fromkeys([*facts["clauses"], *_depending(name)]))
        tests = dict.fromkeys(place.path for one in clauses for place in collect().tests.get(one, []))
        files = [nodes.Text(", ".join("/".join(path.split("/")[-2:]) for path in tests))] if tests else []
        return [[option], self._links(clauses), [*files], self._links(errata_of_option(name))]

    def _links(self, identifiers: Iterator[str] | Sequence[str]) -> list[nodes.Node]:
        return list(linked(", ".join(identifiers), self.env.docname))


def _depending(option: str) -> list[str]:
    """The clauses whose field ``options`` names an option."""
    return [clause.id for clause in read_folder(SPEC / "clauses", ROOT) if option in clause.listed("options")]


class Revisions(DataDirective):
    """Each revision with its clauses, area by area."""

    def run(self) -> list[nodes.Node]:
        """Build a section for each."""
        clauses = [one for one in read_folder(SPEC / "clauses", ROOT) if one.normative]
        text = (SPEC / "revisions.toml").read_text("utf-8")
        return [self._section(name, clauses) for name in tomllib.loads(text)["revisions"]]

    def _section(self, revision: str, clauses: Sequence[Clause]) -> nodes.section:
        own = [clause for clause in clauses if revision in clause.listed("revisions")]
        alone = [clause.id for clause in own if clause.listed("revisions") == [revision]]
        section = nodes.section("", ids=[nodes.make_id(f"revision-{revision}")])
        section += nodes.title("", f"Revision {revision}")
        intro = f"{len(own)} clauses. In no other revision: {', '.join(sorted(alone)) or 'none'}."
        section += nodes.paragraph("", "", *linked(intro, self.env.docname))
        for area in AREAS:
            ids = sorted(clause.id for clause in own if clause.id[5] == area)
            if ids:
                section += nodes.paragraph("", "", *linked(f"{area}: {', '.join(ids)}", self.env.docname))
        return section


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("lookup-messages", Messages)
    app.add_directive("lookup-options", Options)
    app.add_directive("lookup-revisions", Revisions)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
