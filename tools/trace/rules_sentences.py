"""Rules about sentences: is every sentence of a document accounted for, and does every statement have its answer?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tools.trace.clauses import CITED
from tools.trace.findings import Finding, Findings
from tools.trace.sentences import Document, Row
from tools.trace.tree import OPTIONS, Tree

#: What a page of the documentation may answer without a clause.
FOR_READERS = ("advice", "result")


def sentences_are_valid(tree: Tree) -> Findings:
    """Files follow the schema and are named like their revision; ids are unique and begin with the file's number."""
    for document in tree.sentences:
        yield from tree.schema_findings("sentences", document.data, document.path)
    count = Counter(row.id for row in _rows(tree))
    for document in _valid(tree):
        revision, number = document.data["revision"], document.data["number"]
        if not document.path.endswith(f"/{revision}.toml"):
            yield Finding(document.path, 1, f"the revision is {revision}, so the file should be {revision}.toml")
        for row in document.rows:
            if count[row.id] > 1:
                yield _at(row, f"is there {count[row.id]} times")
            if not row.id.startswith(f"S-{number}-"):
                yield _at(row, f"does not begin with S-{number}, the number of its document")


def sentences_are_counted(tree: Tree) -> Findings:
    """Every sentence of a document is either listed or left out, and none is both."""
    for document in _valid(tree):
        for section in document.data["sections"]:
            yield from _counted(document, section["heading"])
        headings = Counter(section["heading"] for section in document.data["sections"])
        for row in document.rows:
            if headings[row.heading] != 1:
                yield _at(row, f"{headings[row.heading]} sections have the heading {row.heading!r}, expected 1")


def _counted(document: Document, heading: str) -> Findings:
    section = next(s for s in document.data["sections"] if s["heading"] == heading)
    line = document.line(f'heading = "{heading}"')
    there = set(range(1, section["sentences"] + 1))
    listed = {ordinal for row in document.rows if row.heading == heading for ordinal in row.ordinals}
    omitted = {ordinal for ordinals in section.get("left_out", {}).values() for ordinal in ordinals}
    faults = {
        "neither listed nor left out": there - listed - omitted,
        "both listed and left out": listed & omitted,
        f"beyond the {section['sentences']} of the section": (listed | omitted) - there,
    }
    for fault, ordinals in faults.items():
        for ordinal in sorted(ordinals):
            yield Finding(document.path, line, f"{heading}: sentence {ordinal} is {fault}")


def sentences_are_answered(tree: Tree) -> Findings:
    """Each statement has a clause that holds in the revision of its document, a page for readers, or a pending key."""
    for document in _valid(tree):
        revision = document.data["revision"]
        for row in document.rows:
            yield from _page(tree, row)
            for_readers = row.data["kind"] in FOR_READERS and "page" in row.data
            if not (row.clauses or row.pending or for_readers):
                yield _at(row, "has no answer: give clauses, or what is pending (or, for advice, a page)")
            if revision in tree.revisions and not _in_force(tree, row, revision):
                yield _at(row, f"none of its clauses holds in revision {revision}")


def _page(tree: Tree, row: Row) -> Findings:
    page = row.data.get("page")
    if page and not (tree.root / "docs" / f"{page}.md").is_file():
        yield _at(row, f"docs/{page}.md does not exist")


def _in_force(tree: Tree, row: Row, revision: str) -> bool:
    known = [tree.by_id[identifier] for identifier in row.clauses if identifier in tree.by_id]
    return not known or any(revision in clause.listed("revisions") for clause in known)


def answers_cite_errata_of_their_clauses(tree: Tree) -> Findings:
    """An erratum that an answer names is one of the clauses beside it."""
    cited_by = {erratum.get("id"): erratum.get("clauses", []) for erratum in tree.errata.values()}
    for row in _rows(tree):
        for identifier in CITED.findall(row.data.get("answer", "")):
            if identifier in cited_by and not set(cited_by[identifier]) & set(row.clauses):
                yield _at(row, f"names {identifier}, which is about none of its clauses")


def defaults_are_those_of_the_options(tree: Tree) -> Findings:
    """A default that a document states is that of its revision, or of the option table where that says nothing."""
    for document in _valid(tree):
        if document.data["revision"] in tree.revisions:
            for row in document.rows:
                yield from _defaults(tree, row, tree.revisions[document.data["revision"]].get("defaults", {}))


def _defaults(tree: Tree, row: Row, own: Mapping[str, object]) -> Findings:
    for name, value in row.data.get("default", {}).items():
        option = own.get(name, tree.options.get(name, {}).get("default"))
        if (option, type(option)) != (value, type(value)):
            yield _at(row, f"default of {name} is {value!r}, in {OPTIONS} {option!r}")


def nothing_is_pending(tree: Tree) -> Findings:
    """No statement waits for a clause; checked on request only."""
    for row in _rows(tree):
        if row.pending:
            yield _at(row, f"is pending: {row.pending}")


def _valid(tree: Tree) -> Iterator[Document]:
    """Documents that follow the schema; the others are spoken of by one rule only."""
    for document in tree.sentences:
        if not list(tree.schema_findings("sentences", document.data, document.path)):
            yield document


def _rows(tree: Tree) -> Iterator[Row]:
    for document in _valid(tree):
        yield from document.rows


def _at(row: Row, message: str) -> Finding:
    return Finding(row.path, row.line, f"{row.id} {message}")


RULES = (
    sentences_are_valid,
    sentences_are_counted,
    sentences_are_answered,
    answers_cite_errata_of_their_clauses,
    defaults_are_those_of_the_options,
)
#: Rules that hold once everything is specified.
WHEN_COMPLETE = (nothing_is_pending,)
