"""The sentence files: what published documents state, and where the specification answers it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "spec/sentences"


@dataclass(frozen=True)
class Row:
    """One statement of a document; `data` is as in the file, `line` that of its id."""

    data: dict[str, Any]
    path: str
    line: int

    @property
    def id(self) -> str:
        """The id, such as S-001-07."""
        return str(self.data["id"])

    @property
    def clauses(self) -> list[str]:
        """The clauses that answer it."""
        return list(self.data.get("clauses", []))

    @property
    def pending(self) -> str:
        """Key of what has to be specified before it can be answered in full, or an empty string."""
        return str(self.data.get("pending", ""))

    @property
    def heading(self) -> str:
        """The heading below which it stands."""
        return str(self.data["at"]["heading"])

    @property
    def ordinals(self) -> range:
        """Numbers of the sentences below the heading that state it."""
        first = self.data["at"]["sentence"]
        return range(first, self.data["at"].get("through", first) + 1)


@dataclass(frozen=True)
class Document:
    """One file of `FOLDER`."""

    data: dict[str, Any]
    path: str
    lines: tuple[str, ...]

    @property
    def rows(self) -> Iterator[Row]:
        """Its statements, in order."""
        for data in self.data["rows"]:
            yield Row(data, self.path, self.line(f'id = "{data["id"]}"'))

    @property
    def sentences(self) -> int:
        """How many sentences the document has."""
        return sum(section["sentences"] for section in self.data["sections"])

    @property
    def left_out(self) -> dict[str, int]:
        """Per reason, how many sentences state no behaviour."""
        count: dict[str, int] = {}
        for section in self.data["sections"]:
            for reason, ordinals in section.get("left_out", {}).items():
                count[reason] = count.get(reason, 0) + len(ordinals)
        return count

    def line(self, text: str) -> int:
        """Number of the first line that is `text`; 1 if there is none."""
        return next((number for number, line in enumerate(self.lines, 1) if line == text), 1)


def read(path: Path, root: Path) -> Document:
    """Read one file."""
    text = path.read_text("utf-8")
    return Document(tomllib.loads(text), path.relative_to(root).as_posix(), tuple(text.splitlines()))


def read_folder(root: Path) -> list[Document]:
    """All documents below `root`, in the order of their numbers."""
    documents = [read(path, root) for path in (root / FOLDER).glob("*.toml")]
    return sorted(documents, key=lambda document: (str(document.data.get("number")), document.path))
