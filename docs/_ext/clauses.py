"""The ``clause`` directive: a rule of the specification with its code, tests, mutants and errata in one box.

A mention of a clause or an erratum (``PPSF-D-003``, ``ERR-0007``) anywhere in the text becomes a link to it,
and a clause that no page shows is a warning.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.typing import ExtensionMetadata

from evidence import ROOT, Place, collect
from ppsf_conformance.report.view import VERDICTS
from ppsf_conformance.stored import all_stored, ours, published
from tools.trace import history
from tools.trace.clauses import CITED, read_folder
from tools.trace.tree import HISTORY

#: The options of the directive, in the order in which they are shown, with what they are called on the page.
FIELDS = {
    "options": "Options",
    "reads": "Reads",
    "writes": "Writes",
    "guards": "Jump guards",
    "relation": "Upstream",
    "errata": "Errata",
    "source": "Source",
    "revisions": "Revisions",
    "status": "Status",
}
#: What says nothing in particular is left out of the box.
UNREMARKABLE = {("guards", "none"), ("errata", "none"), ("status", "normative")}

MENTION = re.compile(f"({CITED.pattern})")
#: In these, a mention stays as it is.
FIXED = (nodes.literal, nodes.literal_block, nodes.raw, nodes.reference, nodes.title, addnodes.pending_xref)
#: From so many clauses on a page has a list of them.
MANY = 5
#: A name and what is said of it.
Row = tuple[str, list[nodes.Node]]

logger = logging.getLogger(__name__)


def anchor(identifier: str) -> str:
    """Name of the label of a clause or erratum."""
    return identifier.lower()


def link(identifier: str, docname: str) -> nodes.Node:
    """A reference to a clause or erratum, shown without the prefix that all clauses share."""
    text = identifier.removeprefix("PPSF-")
    target = {"refdomain": "std", "reftype": "ref", "reftarget": anchor(identifier), "refexplicit": True}
    return addnodes.pending_xref(
        "", nodes.inline("", text, classes=["clause-link"]), refdoc=docname, refwarn=True, **target
    )


def linked(text: str, docname: str) -> Iterator[nodes.Node]:
    """``text`` with a link for each id in it."""
    for part in MENTION.split(text):
        if MENTION.fullmatch(part):
            yield link(part, docname)
        elif part:
            yield nodes.Text(part)


@functools.cache
def derivations() -> dict[str, list[str]]:
    """Per clause id the pages of ``docs/derivations`` that mention it."""
    pages: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "docs" / "derivations").glob("*.md")):
        for identifier in sorted(set(CITED.findall(path.read_text(encoding="utf-8")))):
            pages[identifier].append(f"derivations/{path.stem}")
    return dict(pages)


@functools.cache
def verdicts() -> dict[str, str]:
    """Per clause id what the stored verdicts say, implementations with the same verdict together."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in all_stored((*ours(), *published())):
        for identifier, entry in one.clauses.items():
            if entry.verdict in {"pass", "fail", "erratum"}:
                style = VERDICTS[entry.verdict]
                found[identifier][f"{style.symbol} {style.word}"].append(f"{one.name} {one.version}")
    return {
        identifier: "; ".join(f"{verdict}: {', '.join(dict.fromkeys(names))}" for verdict, names in by_verdict.items())
        for identifier, by_verdict in found.items()
    }


@functools.cache
def texts() -> dict[str, str]:
    """Per clause id the days on which its text changed, the last first, with the hash of each."""
    return {
        identifier: "; ".join(f"{day} ({sha8})" for day, sha8 in reversed([*days.items()]))
        for identifier, days in history.read(ROOT / HISTORY).items()
    }


def page_link(page: str, docname: str) -> nodes.Node:
    """A reference to a whole page, shown with its title."""
    target = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{page}", "refexplicit": False}
    return addnodes.pending_xref("", nodes.inline("", page), refdoc=docname, refwarn=True, **target)


def headed_section(identifier: str, title: str, kind: str) -> nodes.section:
    """An empty section that carries the label of ``identifier``."""
    section = nodes.section("", names=[anchor(identifier)], classes=[kind])
    number = nodes.inline("", identifier.removeprefix("PPSF-"), classes=["number"])
    section += nodes.title("", "", number, nodes.Text(f" {title}"))
    return section


def field_list(rows: list[Row]) -> nodes.field_list:
    """A compact table of names and values."""
    fields = nodes.field_list(classes=["facts"])
    for name, value in rows:
        body = nodes.field_body("", nodes.paragraph("", "", *value))
        fields += nodes.field("", nodes.field_name("", name), body)
    return fields


class Clause(SphinxDirective):
    """A clause of the specification."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Callable[[str], Any]] | None] = dict.fromkeys(
        ["id", *FIELDS], directives.unchanged_required
    )

    def run(self) -> list[nodes.Node]:
        """Build the box."""
        identifier = self.options["id"]
        section = headed_section(identifier, self.arguments[0], "clause")
        self.set_source_info(section)
        self.state.document.note_explicit_target(section)
        section += self.parse_content_to_nodes()
        section += self._reference(identifier, section)
        judged = {"Verdicts": verdicts().get(identifier, ""), "Text of": texts().get(identifier, "")}
        known: list[Row] = [(name, [nodes.Text(text)]) for name, text in judged.items() if text]
        section += field_list(self._held_by(identifier) + self._derived(identifier) + self._facts() + known)
        return [section]

    def _facts(self) -> list[Row]:
        shown = [(key, self.options[key]) for key in FIELDS if key in self.options]
        rows = [(FIELDS[key], text) for key, text in shown if (key, text) not in UNREMARKABLE]
        return [(name, list(linked(text, self.env.docname))) for name, text in rows]

    def _derived(self, identifier: str) -> list[Row]:
        pages = derivations().get(identifier, [])
        links: list[nodes.Node] = []
        for page in pages:
            links += [nodes.Text("; ")] if links else []
            links.append(page_link(page, self.env.docname))
        return [("Derivation", links)] if links else []

    def _reference(self, identifier: str, section: nodes.section) -> list[nodes.Node]:
        shown: list[nodes.Node] = []
        for place in self._places(collect().functions, identifier):
            caption = nodes.paragraph("", "Reference, ", nodes.literal("", f"{place.path}:{place.line}"))
            code = nodes.literal_block(place.source, place.source, language="python")
            shown.append(nodes.container("", caption, code, classes=["reference-code"]))
        if not shown and self.options["status"] == "normative":
            logger.warning("%s has no function in ppsf_ref", identifier, location=section)
        return shown

    def _held_by(self, identifier: str) -> list[Row]:
        found = collect()
        named = {
            "Product": [place.where for place in self._places(found.product, identifier)],
            "Tests": [place.where for place in self._places(found.tests, identifier)],
            "Mutants": [place.name for place in self._places(found.mutants, identifier)],
        }
        return [(kind, [nodes.Text("; ".join(names))]) for kind, names in named.items() if names]

    def _places(self, found: dict[str, list[Place]], identifier: str) -> list[Place]:
        places = found.get(identifier, [])
        for place in places:
            self.env.note_dependency(str(ROOT / place.path))
        return places


class NeedRole(SphinxRole):
    """``{need}`PPSF-D-003```: a link to a clause or erratum."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Build the link."""
        return [link(self.text, self.env.docname)], []


class LinkMentions(SphinxTransform):
    """Turn ids in running text into links."""

    default_priority = 500

    def apply(self, **kwargs: object) -> None:
        """Replace each text node that mentions an id."""
        for text in list(self.document.findall(nodes.Text)):
            if MENTION.search(text) and not self._is_fixed(text):
                text.parent.replace(text, list(linked(text.astext(), self.env.docname)))

    @staticmethod
    def _is_fixed(text: nodes.Text) -> bool:
        node: nodes.Node | None = text.parent
        while node is not None and not isinstance(node, FIXED):
            node = node.parent
        return node is not None


class ListClauses(SphinxTransform):
    """Put a list of its clauses at the head of each page that has many."""

    default_priority = 400

    def apply(self, **kwargs: object) -> None:
        """Insert it before the first clause."""
        boxes = [one for one in self.document.findall(nodes.section) if "clause" in one["classes"]]
        if len(boxes) < MANY:
            return
        items = (self._item(box) for box in boxes)
        first = boxes[0]
        first.parent.insert(first.parent.index(first), nodes.bullet_list("", *items, classes=["clauses-here"]))

    def _item(self, box: nodes.section) -> nodes.list_item:
        number, title = (part.astext().strip() for part in box[0].children)
        return nodes.list_item(
            "", nodes.paragraph("", "", link(f"PPSF-{number}", self.env.docname), nodes.Text(f" {title}"))
        )


def check_all_shown(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn about clauses that no page includes."""
    labels = env.domains.standard_domain.labels
    for clause in read_folder(ROOT / "spec" / "clauses", ROOT):
        if anchor(clause.id) not in labels:
            logger.warning("%s (%s) is shown on no page", clause.id, clause.path)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register directive, role, transform and check."""
    app.add_directive("clause", Clause)
    app.add_role("need", NeedRole())
    app.add_transform(ListClauses)
    app.add_transform(LinkMentions)
    app.connect("env-check-consistency", check_all_shown)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
