"""Rules about code, tests and pages: does each clause have what it needs, and does each mark resolve?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tools.trace import scan
from tools.trace.findings import Finding, Findings
from tools.trace.scan import Mark
from tools.trace.tree import OPTIONS, Tree

#: Clauses that the product need not name, each with the reason.
REFERENCE_ONLY: Mapping[str, str] = {}

#: The classes of the product: file, name, and the revision whose defaults the signature shows. The first one has its
#: positional options in the order of the table.
PRODUCT = (
    ("ppsf_fast/optimizer.py", "ProdigyPlusScheduleFree", "1.9"),
    ("ppsf_fast/prodigy.py", "Prodigy", "prodigy"),
    ("ppsf_fast/schedulefree.py", "AdamWScheduleFree", "schedulefree"),
)
REFERENCE = "ppsf_ref/options.py"
#: Files whose every mention of a clause or an erratum must resolve; tests may name ids that do not exist.
CITING = (
    ("ppsf_ref", "*.py"),
    ("ppsf_fast", "*.py"),
    ("conformance/ppsf_conformance", "*.py"),
    ("conformance/ppsf_conformance", "*.toml"),
    ("spec/errata", "*.toml"),
    ("spec/sentences", "*.toml"),
    ("docs", "*.md"),
)
CITING_AT_ROOT = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")


def one_reference_function_each(tree: Tree) -> Findings:
    """Every normative clause has exactly one function in the reference."""
    count = Counter(mark.id for mark in scan.reference_functions(tree.sources))
    for clause in tree.normative:
        if count[clause.id] != 1:
            message = f"{clause.id} has {count[clause.id]} functions in ppsf_ref, expected 1"
            yield Finding(clause.path, clause.line, message)


def in_the_product(tree: Tree) -> Findings:
    """Every normative clause is named by a comment in the product, unless it is for the reference only."""
    named = {mark.id for mark in scan.product_comments(tree.sources)} | REFERENCE_ONLY.keys()
    for clause in tree.normative:
        if clause.id not in named:
            message = f"{clause.id} is named by no '# clause:' comment in ppsf_fast"
            yield Finding(clause.path, clause.line, message)


def has_a_test(tree: Tree) -> Findings:
    """Every normative clause is held by a marked test."""
    yield from _missing(tree, scan.test_marks(tree.sources), "no test is marked with it")


def has_a_mutant(tree: Tree) -> Findings:
    """Every normative clause has a registered mutant."""
    yield from _missing(tree, scan.mutants(tree.sources), "it has no registered mutant")


def _missing(tree: Tree, marks: Iterable[Mark], what: str) -> Findings:
    found = {mark.id for mark in marks}
    for clause in tree.normative:
        if clause.id not in found:
            yield Finding(clause.path, clause.line, f"{clause.id}: {what}")


def marks_resolve(tree: Tree) -> Findings:
    """Marks of reference, product, tests and mutants name clauses that exist."""
    sources = tree.sources
    for read in (scan.reference_functions, scan.product_comments, scan.test_marks, scan.mutants):
        for mark in read(sources):
            if mark.id not in tree.by_id:
                yield Finding(mark.path, mark.line, f"{mark.id} does not exist")


def citations_resolve(tree: Tree) -> Findings:
    """Clauses and errata that code, errata and pages mention exist."""
    known = {*tree.by_id, *tree.erratum_ids}
    marks = [mark for folder, pattern in CITING for mark in scan.citations(tree.sources, folder, pattern)]
    marks += [mark for name in CITING_AT_ROOT for mark in scan.citations(tree.sources, ".", name)]
    for mark in marks:
        if mark.id not in known:
            yield Finding(mark.path, mark.line, f"{mark.id} does not exist")


def pins_are_fresh(tree: Tree) -> Findings:
    """The hash beside an id is that of the clause as it stands."""
    for mark in pinned_marks(tree):
        clause = tree.by_id.get(mark.id)
        if clause is None or mark.sha8 == clause.sha8:
            continue
        message = (
            f"{mark.id} has changed since this was pinned ({mark.sha8}, now {clause.sha8}): read both again, "
            f"then run python -m tools.trace --pin {mark.id}"
            if mark.sha8
            else f"{mark.id} is not pinned: run python -m tools.trace --pin-missing"
        )
        yield Finding(mark.path, mark.line, message)


def pinned_marks(tree: Tree) -> list[Mark]:
    """The marks that carry a hash: in the reference and in the product."""
    return [*scan.reference_functions(tree.sources), *scan.product_comments(tree.sources)]


def options_are_those_of_the_code(tree: Tree) -> Findings:
    """Names, order and defaults in the option table are those of the product and of the reference."""
    table = {name: _python(option.get("default")) for name, option in tree.options.items()}
    first = PRODUCT[0][0]
    seen: set[str] = set()
    for path, name, revision in PRODUCT:
        if path in tree.sources.files("ppsf_fast", "*.py"):
            shown = scan.signature_defaults(tree.sources, path, name)
            own = tree.revisions.get(revision, {}).get("defaults", {})
            expected = {key: _python(own.get(key, table[key])) for key in shown if key in table}
            yield from _same(path, shown, expected)
            seen |= shown.keys()
    yield from (Finding(first, 1, f"option {name} is not in the code") for name in table if name not in seen)
    ordered = scan.positional(tree.sources, *PRODUCT[0][:2])
    if ordered != [name for name in table if name in ordered]:
        yield Finding(first, 1, f"the constructor takes its options in another order than {OPTIONS}")
    for scope, name in (("group", "Options"), ("optimizer", "Config")):
        kind = {"scope": scope, "status": "served"}
        served = {key: table[key] for key, option in tree.options.items() if option.items() >= kind.items()}
        yield from _same(REFERENCE, scan.field_defaults(tree.sources, REFERENCE, name), served)


def _python(default: object) -> object:
    return None if default == "None" else default


def _same(path: str, code: Mapping[str, object], table: Mapping[str, object]) -> Findings:
    for name in [*table, *(name for name in code if name not in table)]:
        if name not in code or name not in table:
            yield Finding(path, 1, f"option {name} is not in {'the code' if name not in code else OPTIONS}")
        elif (code[name], type(code[name])) != (table[name], type(table[name])):
            yield Finding(path, 1, f"default of {name} is {code[name]!r}, in {OPTIONS} {table[name]!r}")


RULES = (
    one_reference_function_each,
    in_the_product,
    has_a_test,
    has_a_mutant,
    marks_resolve,
    citations_resolve,
    pins_are_fresh,
    options_are_those_of_the_code,
)
