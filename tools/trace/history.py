"""``spec/history.json``: per clause the days on which its text changed, with the hash of the text at each day's end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.trace.clauses import Clause

#: Per id: day (ISO) to hash, in order.
History = Mapping[str, Mapping[str, str]]


def read(path: Path) -> History:
    """The recorded history; none where there is no file."""
    found: History = json.loads(path.read_text("utf-8"))["clauses"] if path.is_file() else {}
    return found


def stale(history: History, clauses: Iterable[Clause]) -> list[Clause]:
    """The clauses whose text is not the last one recorded."""
    return [clause for clause in clauses if [*history.get(clause.id, {}).values()][-1:] != [clause.sha8]]


def extended(history: History, clauses: Iterable[Clause], day: str) -> History:
    """The history with the present texts. A second change on one day takes the place of the first."""
    new = {clause.id: {**history.get(clause.id, {}), day: clause.sha8} for clause in stale(history, clauses)}
    return {**history, **new}


def text(history: History) -> str:
    """The content of the file: a line for each clause."""
    lines = (f"  {json.dumps(name)}: {json.dumps(history[name])}" for name in sorted(history))
    return '{\n "schema": "history-1",\n "clauses": {\n' + ",\n".join(lines) + "\n }\n}\n"
