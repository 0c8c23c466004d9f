"""Rules about the specification itself: clauses, index, errata, pages, options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tools.trace import history, scan
from tools.trace.clauses import CITED, Clause
from tools.trace.findings import Finding, Findings
from tools.trace.tree import HISTORY, INDEX, OPTIONS, REVISIONS, Tree

#: Revisions that the law is to have; one that it has is in ``revisions.toml``.
KNOWN_REVISIONS = ("1.9", "2.0", "update3", "prodigy", "schedulefree")
#: Name maps of implementations.
ADAPTERS = "conformance/ppsf_conformance/adapters"


def clauses_are_valid(tree: Tree) -> Findings:
    """Ids are unique, fields follow the schema, and options and revisions that clauses name exist."""
    count = Counter(clause.id for clause in tree.clauses)
    for clause in tree.clauses:
        at = (clause.path, clause.line)
        if not clause.closed:
            yield Finding(*at, "the clause is not closed by a line :::")
        if count[clause.id] > 1:
            yield Finding(*at, f"{clause.id} is declared {count[clause.id]} times")
        if not clause.body.strip():
            yield Finding(*at, f"{clause.id} has no text")
        yield from tree.schema_findings("clause", clause.data(), *at)
        yield from _known(clause, "options", {"always", *tree.options})
        yield from _known(clause, "revisions", tree.revisions)


def _known(clause: Clause, field: str, names: Iterable[str]) -> Findings:
    for name in clause.listed(field):
        if name not in names:
            yield Finding(clause.path, clause.line, f"{clause.id}: there is no {name!r} to name in {field}")


def tags_are_ids(tree: Tree) -> Findings:
    """An equation is tagged with the id of its clause, and there is one tag at most."""
    for clause in tree.clauses:
        expected = clause.id.removeprefix("PPSF-")
        for tag in clause.tags:
            if tag != expected:
                message = f"{clause.id}: equation tag {tag}, expected {expected}"
                yield Finding(clause.path, clause.line, message)
        if len(clause.tags) > 1:
            yield Finding(clause.path, clause.line, f"{clause.id}: more than one tagged equation")


def area_is_that_of_the_file(tree: Tree) -> Findings:
    """A clause of area D stands in ``D-*.md``."""
    for clause in tree.clauses:
        area, _, _ = clause.path.rpartition("/")[2].partition("-")
        if scan.well_formed(clause.id) and clause.id.split("-")[1] != area:
            message = f"{clause.id} does not belong into the file of area {area}"
            yield Finding(clause.path, clause.line, message)


def index_is_fresh(tree: Tree) -> Findings:
    """``spec/index.json`` is what the clause files give."""
    path = tree.root / INDEX
    if not path.is_file() or path.read_text("utf-8") != tree.index_text():
        yield Finding(INDEX, 1, "is not what the clauses give: run python -m tools.trace --write")


def history_is_fresh(tree: Tree) -> Findings:
    """The last text that ``spec/history.json`` records of a clause is its present one."""
    for clause in history.stale(tree.history, tree.clauses):
        message = f"{clause.id}: {HISTORY} lacks this text: run python -m tools.trace --write"
        yield Finding(clause.path, clause.line, message)


def ids_stay(tree: Tree) -> Findings:
    """An id that was ever indexed stays, if need be as ``:status: withdrawn``."""
    for identifier in sorted(tree.indexed_ids() - tree.by_id.keys()):
        yield Finding(INDEX, 1, f"{identifier} has disappeared: keep its clause, with :status: withdrawn")


def errata_are_valid(tree: Tree) -> Findings:
    """Errata follow their schema, are named like their file, and cite clauses that exist."""
    for path, erratum in tree.errata.items():
        yield from tree.schema_findings("erratum", erratum, path)
        if not path.endswith(f"/{erratum.get('id')}.toml"):
            yield Finding(path, 1, f"the id is {erratum.get('id')}")
        for identifier in erratum.get("clauses", []):
            if identifier not in tree.by_id:
                yield Finding(path, 1, f"cites {identifier}, which does not exist")


def errata_await_what_is_not_served(tree: Tree) -> Findings:
    """An erratum without clauses waits for a revision or an option that is really not served yet."""
    served = {*tree.revisions, *(name for name, option in tree.options.items() if option.get("status") == "served")}
    for path, erratum in tree.errata.items():
        awaited = erratum.get("awaits")
        if awaited in served:
            yield Finding(path, 1, f"awaits {awaited}, which is served: cite its clauses and say what the law gives")
        elif awaited is not None and awaited not in {*KNOWN_REVISIONS, *tree.options, *_beside(tree)}:
            yield Finding(path, 1, f"awaits {awaited}, which is neither a revision nor an option")


def _beside(tree: Tree) -> set[str]:
    """Arguments of releases that are no options of the law, as their name maps list them."""
    return {name for path in tree.sources.files(ADAPTERS, "*.toml") for name in tree.toml(path).get("beside", {})}


def errata_agree_with_clauses(tree: Tree) -> Findings:
    """A clause lists exactly the errata that cite it."""
    for clause in tree.clauses:
        citing = {e["id"] for e in tree.errata.values() if clause.id in e.get("clauses", [])}
        listed = set(clause.listed("errata"))
        for identifier in sorted(citing - listed):
            yield Finding(clause.path, clause.line, f"{clause.id} does not list {identifier}, which cites it")
        for identifier in sorted(listed - citing):
            yield Finding(clause.path, clause.line, f"{clause.id} lists {identifier}, which does not cite it")


def deviations_have_errata(tree: Tree) -> Findings:
    """A clause deviates if and only if an erratum of its upstream says that the specification deviates there."""
    upstream = {revision["provenance"]["package"] for revision in tree.toml(REVISIONS)["revisions"].values()}
    deviations = [
        erratum
        for erratum in tree.errata.values()
        if erratum.get("disposition") == "spec-deviates"
        and upstream & {entry["name"] for entry in erratum["implementations"]}
    ]
    cited = {identifier for erratum in deviations for identifier in erratum.get("clauses", [])}
    for clause in tree.clauses:
        recorded = clause.id in cited
        if recorded != (clause.fields.get("relation") == "deviates"):
            need = "relation: deviates" if recorded else "an erratum with disposition spec-deviates, or none"
            yield Finding(clause.path, clause.line, f"{clause.id} needs {need}")


def clauses_cite_what_exists(tree: Tree) -> Findings:
    """Clauses and errata that the clause files mention exist."""
    known = {*tree.by_id, *tree.erratum_ids}
    for mark in scan.citations(tree.sources, "spec/clauses", "*.md"):
        if mark.id not in known:
            yield Finding(mark.path, mark.line, f"{mark.id} does not exist")


def clauses_are_rendered_once(tree: Tree) -> Findings:
    """Each clause file is included by exactly one page of ``docs/spec``."""
    included = Counter(target for _, _, target in scan.includes(tree.sources))
    for path in tree.sources.files("spec/clauses", "*.md"):
        if included[path] != 1:
            yield Finding(path, 1, f"is included {included[path]} times in docs/spec/*.md, expected once")


def data_is_valid(tree: Tree) -> Findings:
    """Options and revisions follow their schemas; they name clauses that exist; one revision is default."""
    yield from tree.schema_findings("options", tree.toml(OPTIONS), OPTIONS)
    yield from tree.schema_findings("revisions", tree.toml(REVISIONS), REVISIONS)
    for name, option in tree.options.items():
        for identifier in CITED.findall(str(option)):
            if identifier not in tree.by_id:
                yield Finding(OPTIONS, 1, f"{name} names {identifier}, which does not exist")
    if sum(bool(revision.get("default")) for revision in tree.revisions.values()) != 1:
        yield Finding(REVISIONS, 1, "exactly one revision must be the default")


def revisions_use_what_holds(tree: Tree) -> Findings:
    """Fields have values that are known, and clauses behind them, and behind the options, hold in the revision."""
    variants = tree.toml(REVISIONS).get("variants", {})
    for name, revision in tree.revisions.items():
        for field, values in variants.items():
            chosen = revision.get(field)
            if chosen not in values:
                yield Finding(REVISIONS, 1, f"{name}: {field} is {chosen!r}, allowed is one of {', '.join(values)}")
            for identifier in values.get(chosen, []):
                if identifier not in tree.by_id or name not in tree.by_id[identifier].listed("revisions"):
                    yield Finding(REVISIONS, 1, f"{name}: {identifier}, behind {field}, does not hold in it")
        for option in revision.get("options", []):
            clauses = [tree.by_id[i] for i in tree.options.get(option, {}).get("clauses", []) if i in tree.by_id]
            if not any(name in clause.listed("revisions") for clause in clauses):
                yield Finding(REVISIONS, 1, f"{name}: no clause of option {option} holds in it")


RULES = (
    clauses_are_valid,
    tags_are_ids,
    area_is_that_of_the_file,
    ids_stay,
    index_is_fresh,
    history_is_fresh,
    errata_are_valid,
    errata_await_what_is_not_served,
    errata_agree_with_clauses,
    deviations_have_errata,
    clauses_cite_what_exists,
    clauses_are_rendered_once,
    data_is_valid,
    revisions_use_what_holds,
)
