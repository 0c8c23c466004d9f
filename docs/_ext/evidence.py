"""What stands behind each clause: reference function, tests, mutants, as the trace check finds them."""

from __future__ import annotations

import ast
import functools
import textwrap
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.trace import scan
from tools.trace.scan import Mark, Sources

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, order=True)
class Place:
    """Where a clause is named: file relative to the root, first line, name and source of the definition."""

    path: str
    line: int
    name: str
    source: str = ""

    @property
    def where(self) -> str:
        """The file, and the definition in it."""
        return self.path if self.path.endswith(self.name) else f"{self.path}::{self.name}"


@dataclass(frozen=True)
class Evidence:
    """Per clause id its places."""

    functions: dict[str, list[Place]]
    tests: dict[str, list[Place]]
    mutants: dict[str, list[Place]]
    product: dict[str, list[Place]]


@functools.cache
def collect() -> Evidence:
    """Read the sources once."""
    sources = Sources(ROOT)
    product = (mark for mark in scan.product_comments(sources) if mark.path.endswith(".py"))  # definitions are shown
    return Evidence(
        functions=_by_clause(sources, scan.reference_functions(sources)),
        tests=_by_clause(sources, scan.test_marks(sources)),
        mutants=_by_clause(sources, scan.mutants(sources)),
        product=_by_clause(sources, product),
    )


def _by_clause(sources: Sources, marks: Iterable[Mark]) -> dict[str, list[Place]]:
    places: dict[str, set[Place]] = defaultdict(set)
    for mark in marks:
        places[mark.id].add(_mutant(sources, mark) or _definition(sources, mark))
    return {identifier: sorted(found) for identifier, found in places.items()}


def _mutant(sources: Sources, mark: Mark) -> Place | None:
    """The fault that the call of ``Mutant`` at the marked line names first."""
    for node in ast.walk(sources.tree(mark.path)):
        if isinstance(node, ast.Call) and node.lineno == mark.line and ast.unparse(node.func) == "Mutant":
            source = textwrap.dedent("\n".join(sources.lines(mark.path)[node.lineno - 1 : node.end_lineno]))
            return Place(mark.path, mark.line, str(ast.literal_eval(node.args[0])), source)
    return None


def _definition(sources: Sources, mark: Mark) -> Place:
    """The innermost function or class around the marked line, decorators included; else the file."""
    found = Place(mark.path, mark.line, Path(mark.path).name)
    for node in ast.walk(sources.tree(mark.path)):  # outer definitions come first
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            last = node.end_lineno or node.lineno
            if first <= mark.line <= last:
                source = "\n".join(sources.lines(mark.path)[first - 1 : last])
                found = Place(mark.path, first, node.name, source)
    return found
