"""The guide for those who come from another package: what the tables of the specification say about it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from computed import Table
from evidence import ROOT

SPEC = ROOT / "spec"


def _read(path: str) -> dict[str, Any]:
    return tomllib.loads((SPEC / path).read_text(encoding="utf-8"))


def _errata(package: str, severities: str) -> Iterator[tuple[str, ...]]:
    for path in sorted((SPEC / "errata").glob("*.toml")):
        erratum = _read(f"errata/{path.name}")
        versions = [one["versions"].removeprefix("==") for one in erratum["implementations"] if one["name"] == package]
        if versions and erratum["severity"] in severities:
            effect = " ".join(erratum["effect"].split())
            yield erratum["id"], ", ".join(versions), effect


def _table(package: str, severities: str) -> Table:
    return Table(("erratum", "in", "what it did to training"), tuple(_errata(package, severities)))


def upstream() -> Table:
    """The gravest errata of prodigy-plus-schedule-free."""
    return _table("prodigy-plus-schedule-free", "S1")


def prodigyopt() -> Table:
    """Errata of prodigyopt."""
    return _table("prodigyopt", "S1S2S3")


def schedulefree() -> Table:
    """Errata of schedulefree."""
    return _table("schedulefree", "S1S2S3")


def classes() -> Table:
    """What replaces what; the releases are those that the revisions name."""
    homes = {
        "1.9": ("prodigyplus.ProdigyPlusScheduleFree", "ProdigyPlusScheduleFree(params)"),
        "2.0": ("prodigyplus.ProdigyPlusScheduleFree", 'ProdigyPlusScheduleFree(params, revision="2.0")'),
        "prodigy": ("prodigyopt.Prodigy", "Prodigy(params)"),
        "schedulefree": ("schedulefree.AdamWScheduleFree", "AdamWScheduleFree(params)"),
    }
    rows = []
    for name, revision in _read("revisions.toml")["revisions"].items():
        if name in homes:
            origin = revision["provenance"]
            releases = f"{origin['package']} {', '.join(origin['package_versions'])}"
            rows.append((f"`{homes[name][0]}`", releases, f"`{homes[name][1]}`"))
    return Table(("you have", "of", "`ppsf_fast`"), tuple(rows))
