"""The page on safety: what people ran into, what holds here, and the tests that name the row."""

from __future__ import annotations

import ast
import functools
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from computed import Table

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "docs" / "safety.toml"
#: Where tests are that name rows.
FOLDERS = ("tests/fast", "tests/safety", "tests/trainers")


@dataclass(frozen=True)
class Row:
    """One thing that people met, by its number, and what holds here; both are Markdown within a line."""

    number: int
    met: str
    holds: str
    clauses: tuple[str, ...]


@dataclass(frozen=True)
class Marked:
    """A test that names rows."""

    file: str
    name: str
    rows: tuple[int, ...]


@functools.cache
def rows() -> tuple[Row, ...]:
    """All rows, in the order of the file."""
    data: Mapping[str, Any] = tomllib.loads(DATA.read_text("utf-8"))
    return tuple(Row(one["number"], one["met"], one["holds"], tuple(one["clauses"])) for one in data["row"])


@functools.cache
def marked() -> tuple[Marked, ...]:
    """All tests that name a row, by themselves or by their file."""
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("test_*.py"))
    return tuple(one for path in files for one in _marked_in(path))


def _marked_in(path: Path) -> Iterator[Marked]:
    tree = ast.parse(path.read_text("utf-8"))
    of_file = [node.value for node in tree.body if isinstance(node, ast.Assign) and _names_marks(node)]
    everywhere = tuple(row for value in of_file for row in _numbers(value))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            own = tuple(row for decorator in node.decorator_list for row in _numbers(decorator))
            if found := tuple(sorted({*everywhere, *own})):
                yield Marked(path.relative_to(ROOT).as_posix(), node.name, found)


def _names_marks(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


def _numbers(tree: ast.AST) -> Iterator[int]:
    """What each `need(...)` in an expression names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "need":
            yield from (ast.literal_eval(argument) for argument in node.args)


def tests_of(number: int) -> tuple[Marked, ...]:
    """The tests that name a row."""
    return tuple(test for test in marked() if number in test.rows)


def table() -> Table:
    """The page's table."""
    return Table(("", "what people ran into", "what holds here", "clauses", "tests"), tuple(map(_cells, rows())))


def _cells(row: Row) -> tuple[str, ...]:
    files: dict[str, list[str]] = defaultdict(list)
    for test in tests_of(row.number):
        files[test.file.removeprefix("tests/")].append(test.name.removeprefix("test_").replace("_", " "))
    tests = "; ".join(f"`{file}`: {', '.join(names)}" for file, names in files.items())
    clauses = ", ".join(row.clauses) or "(none)"
    return (str(row.number), row.met, row.holds, clauses, tests)
