"""The page on the judge: the stored measurement of what each criterion notices."""

from __future__ import annotations

import json
from typing import Any

from computed import Table
from evidence import ROOT

RESULT = ROOT / "conformance" / "results" / "allclose.json"


def _stored() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return stored


def _step(found: int | None, alarm: int | None) -> str:
    """A step, or why there is none that says anything."""
    if found is None:
        return "not noticed"
    return "not before the false alarm" if alarm is not None and found >= alarm else str(found)


def _healthy(name: str, row: dict[str, Any]) -> str:
    return "never" if row[name] is None else f"**false alarm** at step {row[name]}"


def noticed() -> Table:
    """First step in which each criterion notices a fault; for the right implementation, whether it cries wolf."""
    names = ("bound", "lockstep", "side by side")
    rows = dict(_stored()["rows"])
    right = rows.pop("none")
    table = [("none", *(_healthy(name, right) for name in names))]
    table += [(fault, *(_step(row[name], right[name]) for name in names)) for fault, row in rows.items()]
    return Table(
        ("planted fault", "derived bound", "`assert_close`, step by step", "`assert_close`, side by side"), tuple(table)
    )


def settings() -> Table:
    """What the measurement was made with."""
    kept = _stored()
    made = kept["settings"]
    return Table(
        ("problems", "steps of each", "`rtol`", "`atol`", "closest approach to the bound", "torch"),
        (
            (
                str(made["problems"]),
                str(made["steps"]),
                str(made["rtol"]),
                str(made["atol"]),
                f"{kept['rows']['none']['closest']:.3f} of it",
                made["torch"],
            ),
        ),
    )
