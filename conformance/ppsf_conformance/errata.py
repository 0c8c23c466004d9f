"""The errata of ``spec/errata``: what a release is known to do otherwise."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from ppsf_conformance import pinned
from ppsf_conformance.overrides import OVERRIDES, combined, excluded
from ppsf_conformance.problems import Problem
from ppsf_ref import clause_functions
from ppsf_ref.law import Rule
from ppsf_ref.options import SPEC


@dataclass(frozen=True)
class Erratum:
    """One entry.

    Attributes:
        override: name of the rule that follows the release, or empty.
        awaits: the revision or option without which the law says nothing of it yet, or empty.
        table: the whole file.
    """

    id: str
    title: str
    clauses: tuple[str, ...]
    override: str
    disposition: str
    table: Mapping[str, Any]
    awaits: str = ""

    def concerns(self, name: str, version: str, cls: str = "") -> bool:
        """Whether a release, or a class of it (``module:Class``), is among those that it was seen in."""
        return any(_concerns(entry, name, version, cls) for entry in self.table["implementations"])

    @property
    def expected(self) -> str:
        """What its maintainers would expect, in the words of the release; what the law says if nothing is written."""
        return str(self.table.get("expected", self.table["spec_says"]))


def all_errata() -> tuple[Erratum, ...]:
    """Every entry, in order of its id."""
    return tuple(_read(path.read_text("utf-8")) for path in sorted((SPEC / "errata").glob("ERR-*.toml")))


def _read(text: str) -> Erratum:
    t = tomllib.loads(text)
    t["pinned"]["observe"] = pinned.figures(text)
    return Erratum(t["id"], t["title"], tuple(t["clauses"]), t["override"], t["disposition"], t, t.get("awaits", ""))


def errata_of(name: str, version: str, cls: str = "") -> tuple[Erratum, ...]:
    """The entries in which a release, or a class of it (``module:Class``), deviates from the law as it stands."""
    return tuple(
        erratum
        for erratum in all_errata()
        if erratum.disposition == "spec-deviates" and not erratum.awaits and erratum.concerns(name, version, cls)
    )


def _concerns(entry: Mapping[str, str], name: str, version: str, cls: str) -> bool:
    if cls and entry.get("class", cls) != cls:
        return False
    try:
        return entry["name"] == name and Version(version) in SpecifierSet(entry["versions"])
    except InvalidVersion:
        return False


class KnownDeviations:
    """The errata of one release, as the judge uses them."""

    def __init__(self, errata: Iterable[Erratum]) -> None:
        self.errata = tuple(errata)
        self.names = {erratum.override: erratum for erratum in self.errata if erratum.override}
        self.followed = tuple(name for name in self.names if name in OVERRIDES)
        self.rules: Mapping[str, Rule] = combined(self.followed)

    def excludes(self, problem: Problem) -> bool:
        """Whether an erratum that no rule follows applies to a problem."""
        return excluded((erratum.id for erratum in self.errata), problem)

    def rules_without(self, name: str) -> Mapping[str, Rule]:
        """All overrides but one."""
        return combined(other for other in self.followed if other != name)

    def clauses_of(self, name: str) -> tuple[str, ...]:
        """The clauses an override replaces."""
        return tuple(clause for clause in OVERRIDES.get(name, {}) if clause in clause_functions())

    def citing(self, clause: str) -> tuple[str, ...]:
        """Ids of the errata that explain a deviation from a clause."""
        return tuple(
            erratum.id for erratum in self.errata if clause in {*erratum.clauses, *self.clauses_of(erratum.override)}
        )
