"""Every erratum shows itself on its pinned input, and our optimizer gives what the law says there."""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
from prodigyplus.prodigy_plus_schedulefree import ProdigyPlusScheduleFree as Upstream

import ppsf_fast
from ppsf_conformance import pinned

FOLDER = Path(__file__).parents[2] / "spec" / "errata"
ERRATA = [tomllib.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("ERR-*.toml"))]
every_erratum = pytest.mark.parametrize("erratum", ERRATA, ids=[e["id"] for e in ERRATA])


def replayed(erratum: dict[str, Any], cls: Any) -> pinned.Session:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has its say on odd inputs, which is not what is tested
        return pinned.replay(erratum["pinned"], cls)


@every_erratum
def test_upstream_gives_the_recorded_figures(erratum: dict[str, Any]) -> None:
    session = replayed(erratum, Upstream)
    for entry in erratum["pinned"]["observe"]:
        path = entry.get("upstream_path", entry["path"])
        got = pinned.observe(session, path)
        assert pinned.agrees(got, entry["upstream"]), f"{path}: got {got!r}, recorded {entry['upstream']!r}"


@every_erratum
def test_ppsf_fast_gives_what_the_law_says(erratum: dict[str, Any]) -> None:
    session = replayed(erratum, ppsf_fast.ProdigyPlusScheduleFree)
    for entry in erratum["pinned"]["observe"]:
        got = pinned.observe(session, entry["path"])
        assert pinned.agrees(got, entry["law"]), f"{entry['path']}: got {got!r}, by the law {entry['law']!r}"


@every_erratum
def test_figures_differ_exactly_where_the_law_deviates(erratum: dict[str, Any]) -> None:
    differ = any(not pinned.agrees(e["upstream"], e["law"]) for e in erratum["pinned"]["observe"])
    assert differ == (erratum["disposition"] == "spec-deviates")
