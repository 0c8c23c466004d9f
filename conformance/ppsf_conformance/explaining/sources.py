"""What the explanations are made of: the specification's files, and the places in the code that name a clause.

The specification is read where it is: in a checkout from ``spec/``, in an installed wheel from inside ``ppsf_ref``. The
product is found but not imported. Tests are named where they are at hand, that is in a checkout.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ppsf_conformance.checks import CHECKS
from ppsf_conformance.mutants import MUTANTS
from ppsf_conformance.verdicts import clauses
from ppsf_ref import clause_functions
from ppsf_ref.options import SHIPPED, SPEC

PRODUCT = "ppsf_fast"
TESTS = ("tests/ref", "tests/fast", "tests/kit", "conformance/suite")
FIELD = re.compile(r":[a-z]+:\s")


@dataclass(frozen=True)
class Place:
    """Where something is: a file as a reader would name it, and a line."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def body_of(clause: str) -> str:
    """The text of a clause as it stands in the specification, its fields left out."""
    entry = clauses()[clause]
    lines = (SPEC / "clauses" / Path(entry["file"]).name).read_text("utf-8").splitlines()[entry["line"] :]
    end = next(i for i, line in enumerate(lines) if line.startswith(":::"))
    start = next(i for i, line in enumerate(lines) if not FIELD.match(line))
    return "\n".join(lines[start:end]).strip()


def reference_of(clause: str) -> tuple[Place, str] | None:
    """The reference function of a clause, and its source."""
    function = clause_functions().get(clause)
    if function is None:
        return None
    text, line = inspect.getsourcelines(function)
    parts = Path(inspect.getsourcefile(function) or "").parts
    return Place("/".join(parts[parts.index("ppsf_ref") :]), line), "".join(text).rstrip()


def product_of(clause: str) -> list[Place]:
    """Where the product says that it carries a clause."""
    found = importlib.util.find_spec(PRODUCT)
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
    mark = re.compile(rf"# clause: {clause}\b")
    return [
        Place(f"{PRODUCT}/{path.relative_to(folder).as_posix()}", number)
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if mark.search(line)
    ]


def tests_of(clause: str) -> list[Place] | None:
    """Where tests of the project name a clause; None where the project's tests are not at hand."""
    root = SPEC.parent
    if SPEC == SHIPPED or not (root / TESTS[-1]).is_dir():
        return None
    return [
        Place(path.relative_to(root).as_posix(), number)
        for folder in TESTS
        for path in sorted((root / folder).rglob("test_*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if f'"{clause}"' in line
    ]


def judged_by(clause: str) -> str:
    """How the kit judges a clause."""
    if clause in CHECKS:
        check = CHECKS[clause]
        return f"a check of its own ({check.__module__.removeprefix('ppsf_conformance.')}:{check.__name__.lstrip('_')})"
    return "lockstep: every step in which it is evaluated"


def mutants_of(clause: str) -> list[str]:
    """The faults of a clause that the kit has to notice."""
    return [mutant.what for mutant in MUTANTS if mutant.clause == clause]


@cache
def errata() -> Mapping[str, Mapping[str, Any]]:
    """Every erratum, by id."""
    tables = (tomllib.loads(path.read_text("utf-8")) for path in sorted((SPEC / "errata").glob("ERR-*.toml")))
    return {table["id"]: table for table in tables}


@cache
def options() -> Mapping[str, Mapping[str, Any]]:
    """Every option, by name."""
    table: Mapping[str, Mapping[str, Any]] = tomllib.loads((SPEC / "options.toml").read_text("utf-8"))["options"]
    return table


@cache
def revisions() -> Mapping[str, Mapping[str, Any]]:
    """Every revision, by name."""
    table: Mapping[str, Mapping[str, Any]] = tomllib.loads((SPEC / "revisions.toml").read_text("utf-8"))["revisions"]
    return table


def errata_of_option(name: str) -> Iterator[str]:
    """The errata that speak of an option by name."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    for identifier, table in errata().items():
        if any(word.search(str(table.get(key, ""))) for key in ("title", "observed", "spec_says", "applies", "awaits")):
            yield identifier
