"""The clause files: parser, hash and index.

A clause is a MyST directive ``:::{clause} Title``, then ``:field: value`` lines, then its text, up to a
line ``:::``. Its hash covers what binds an implementer (title, text and the fields in `HASHED`) with runs
of white space taken as one space: re-wrapping a paragraph or citing another erratum leaves it alone, any
change of the rule does not.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLAUSE_ID = re.compile(r"PPSF-[NODVUCMZWGRLX]-\d{3}")
CITED = re.compile(r"\bPPSF-[A-Z]-\d{3}\b|\bERR-\d{4}\b")
TAG = re.compile(r"\\tag\{([^}]*)\}")
OPENING = re.compile(r":::\{clause\}\s*(.*)")
FIELD = re.compile(r":([a-z]+):\s*(.*)")

LISTS = ("revisions", "options", "guards", "errata", "reads", "writes")
HASHED = ("id", "status", "revisions", "options", "guards", "reads", "writes")
OPTIONAL_NONE = ("guards", "errata", "reads", "writes")


@dataclass(frozen=True)
class Clause:
    """One directive as it stands in its file: fields are raw text, `line` is that of the opening fence."""

    title: str
    fields: dict[str, str]
    body: str
    path: str
    line: int
    closed: bool

    @property
    def id(self) -> str:
        """The id, or an empty string where the field is missing."""
        return self.fields.get("id", "")

    @property
    def normative(self) -> bool:
        """Whether the clause binds, and so needs reference, test, mutant and product code."""
        return self.fields.get("status") == "normative"

    @property
    def tags(self) -> list[str]:
        """The equation tags in the text."""
        return TAG.findall(self.body)

    @property
    def sha8(self) -> str:
        """First 8 hex digits of the SHA-256 of the normalised text."""
        parts = [self.title, *(self.fields.get(name, "") for name in HASHED), self.body]
        text = "\n".join(" ".join(part.split()) for part in parts)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def listed(self, name: str) -> list[str]:
        """A comma-separated field as a list; ``none`` is empty where that is allowed."""
        text = self.fields.get(name, "")
        if text == "none" and name in OPTIONAL_NONE:
            return []
        return [part.strip() for part in text.split(",") if part.strip()]

    def data(self) -> dict[str, Any]:
        """The fields in the form that the schema describes."""
        lists = {name: self.listed(name) for name in LISTS if name in self.fields}
        return {"title": self.title, **self.fields, **lists}


def parse(text: str, path: str) -> Iterator[Clause]:
    """Yield the clauses of one file, in order."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if opening := OPENING.fullmatch(line.rstrip()):
            yield _clause(opening[1].strip(), lines[start + 1 :], path, start + 1)


def _clause(title: str, rest: list[str], path: str, line: int) -> Clause:
    end = next((i for i, text in enumerate(rest) if text.startswith(":::")), len(rest))
    inside = rest[:end]
    count = next((i for i, text in enumerate(inside) if not FIELD.fullmatch(text)), len(inside))
    matches = [match for text in inside[:count] if (match := FIELD.fullmatch(text.rstrip()))]
    fields = {match[1]: match[2] for match in matches}
    return Clause(title, fields, "\n".join(inside[count:]), path, line, rest[end:][:1] == [":::"])


def read_folder(folder: Path, root: Path) -> list[Clause]:
    """All clauses below `folder`, file by file in order of name."""
    return [
        clause
        for path in sorted(folder.glob("*.md"))
        for clause in parse(path.read_text("utf-8"), path.relative_to(root).as_posix())
    ]


def index_text(clauses: Iterable[Clause]) -> str:
    """The content of ``spec/index.json``."""
    entries = [_entry(clause) for clause in sorted(clauses, key=lambda clause: clause.id)]
    return json.dumps({"schema": "index-1", "clauses": entries}, indent=1, ensure_ascii=False) + "\n"


def _entry(clause: Clause) -> dict[str, Any]:
    fields = {name: clause.data().get(name) for name in (*LISTS, "relation", "source")}
    return {
        "id": clause.id,
        "title": clause.title,
        "area": clause.id.split("-")[1] if CLAUSE_ID.fullmatch(clause.id) else "",
        "status": clause.fields.get("status", ""),
        "sha8": clause.sha8,
        "file": clause.path,
        "line": clause.line,
        "tags": clause.tags,
        "fields": fields,
    }
