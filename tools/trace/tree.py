"""Everything the rules look at, read once: clauses, errata, options, revisions, sentences, and the sources."""

from __future__ import annotations

import json
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema

from tools.trace import clauses as clause_files
from tools.trace import history
from tools.trace import sentences as sentence_files
from tools.trace.clauses import Clause
from tools.trace.findings import Finding, Findings
from tools.trace.scan import Sources
from tools.trace.sentences import Document

INDEX = "spec/index.json"
HISTORY = "spec/history.json"
OPTIONS = "spec/options.toml"
REVISIONS = "spec/revisions.toml"


class Tree:
    """A checkout, by its root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sources = Sources(root)

    @cached_property
    def clauses(self) -> list[Clause]:
        """All clauses in all clause files."""
        return clause_files.read_folder(self.root / "spec" / "clauses", self.root)

    @cached_property
    def by_id(self) -> dict[str, Clause]:
        """The first clause with each id."""
        return {clause.id: clause for clause in reversed(self.clauses)}

    @cached_property
    def normative(self) -> list[Clause]:
        """Clauses that bind."""
        return [clause for clause in self.clauses if clause.normative]

    @cached_property
    def errata(self) -> dict[str, dict[str, Any]]:
        """Path of each erratum with its content."""
        return {path: self.toml(path) for path in self.sources.files("spec/errata", "*.toml")}

    @cached_property
    def erratum_ids(self) -> frozenset[str]:
        """The ids of all errata."""
        return frozenset(erratum.get("id", "") for erratum in self.errata.values())

    @cached_property
    def sentences(self) -> list[Document]:
        """What the published documents state, a document each."""
        return sentence_files.read_folder(self.root)

    @cached_property
    def history(self) -> history.History:
        """When the text of each clause changed."""
        return history.read(self.root / HISTORY)

    @cached_property
    def options(self) -> dict[str, dict[str, Any]]:
        """The option table."""
        return dict(self.toml(OPTIONS).get("options", {}))

    @cached_property
    def revisions(self) -> dict[str, dict[str, Any]]:
        """The revisions."""
        return dict(self.toml(REVISIONS).get("revisions", {}))

    def toml(self, path: str) -> dict[str, Any]:
        """Content of a TOML file."""
        return tomllib.loads((self.root / path).read_text("utf-8"))

    def schema_findings(self, name: str, data: Any, path: str, line: int = 1) -> Findings:
        """Violations of ``spec/schema/<name>.schema.json``."""
        schema = json.loads((self.root / "spec" / "schema" / f"{name}.schema.json").read_text("utf-8"))
        for error in jsonschema.Draft202012Validator(schema).iter_errors(data):
            where = ".".join(str(part) for part in error.absolute_path)
            yield Finding(path, line, f"{where or name}: {error.message}")

    def index_text(self) -> str:
        """The index as it should be."""
        return clause_files.index_text(self.clauses)

    def indexed_ids(self) -> frozenset[str]:
        """The ids in the index as it is."""
        path = self.root / INDEX
        entries = json.loads(path.read_text("utf-8"))["clauses"] if path.is_file() else []
        return frozenset(entry["id"] for entry in entries)
