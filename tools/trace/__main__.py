"""``python -m tools.trace``: check that specification, code, tests and pages belong together."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tools.trace import history, pins, rules_code, rules_sentences, rules_spec
from tools.trace.findings import Finding
from tools.trace.tree import HISTORY, INDEX, Tree

ROOT = Path(__file__).resolve().parents[2]
RULES = (*rules_spec.RULES, *rules_code.RULES, *rules_sentences.RULES)


def check(tree: Tree, complete: bool = False) -> list[Finding]:
    """The findings of all rules, each once, in order of place; `complete` asks for those about open ends too."""
    rules = (*RULES, *rules_sentences.WHEN_COMPLETE) if complete else RULES
    return sorted({finding for rule in rules for finding in rule(tree)})


def write_index(tree: Tree) -> list[Finding]:
    """Regenerate the index and go on with the history, unless ids would be lost; return what is in the way."""
    lost = list(rules_spec.ids_stay(tree))
    if not lost:
        (tree.root / INDEX).write_text(tree.index_text(), "utf-8")
        today = datetime.now(UTC).date().isoformat()
        grown = history.extended(tree.history, tree.clauses, today)
        (tree.root / HISTORY).write_text(history.text(grown), "utf-8")
    return lost


def _pin(tree: Tree, ids: Sequence[str]) -> int:
    unknown = [identifier for identifier in ids if identifier not in tree.by_id]
    if unknown:
        return _report(Finding(INDEX, 1, f"{identifier} does not exist") for identifier in unknown)
    print(*(pins.renew(tree, ids) if ids else pins.fill(tree)), sep="\n")
    return 0


def _report(findings: Iterable[Finding]) -> int:
    found = list(findings)
    for finding in found:
        print(finding)
    return 1 if found else 0


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.trace", description=__doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help=f"regenerate {INDEX}, and add to {HISTORY}")
    action.add_argument("--pin", nargs="+", metavar="ID", help="renew the hashes beside these ids")
    action.add_argument("--pin-missing", action="store_true", help="add hashes where there are none yet")
    action.add_argument("--complete", action="store_true", help="check also that no sentence waits for its clause")
    given = parser.parse_args(arguments)
    tree = Tree(root)
    if given.write:
        return _report(write_index(tree))
    if given.pin or given.pin_missing:
        return _pin(tree, given.pin or ())
    findings = check(tree, given.complete)
    if not findings:
        print(f"{_counts(tree)}: all belongs together")
    return _report(findings)


def _counts(tree: Tree) -> str:
    rows = [row for document in tree.sentences for row in document.rows]
    pending = sum(bool(row.pending) for row in rows)
    return (
        f"{len(tree.clauses)} clauses, {len(tree.errata)} errata, "
        f"{len(rows)} statements of {len(tree.sentences)} documents ({pending} pending)"
    )


if __name__ == "__main__":
    sys.exit(main())
