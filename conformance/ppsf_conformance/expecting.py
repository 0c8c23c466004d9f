"""``--xfail``: deviations that are expected, each by its erratum.

A file lists errata, with a reason for each::

    [[expected]]
    erratum = "ERR-0007"
    reason = "our checkpoints hold bfloat16 samples until the next major version"

Nothing else can be expected: what no erratum describes is a failure, and so is an entry that does not show any more.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ppsf_conformance.errata import Erratum, all_errata

_KEYS = {"erratum", "reason"}
_SHAPE = 'entries are [[expected]] with erratum = "ERR-0007" and reason = "..."'


def expected(file: Path) -> tuple[Erratum, ...]:
    """The errata of a file.

    Raises:
        ValueError: it cannot be read, holds something else, or names an erratum that is no deviation from the law.
    """
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"cannot read the expected errata {file}: {error}") from error
    known = {erratum.id: erratum for erratum in all_errata()}
    if faults := list(_faults(table, known)):
        raise ValueError(f"{file}: only errata can be expected, {_SHAPE}:\n" + "\n".join(faults))
    return tuple(known[entry["erratum"]] for entry in table["expected"])


def _faults(table: Mapping[str, Any], known: Mapping[str, Erratum]) -> Iterator[str]:
    if strange := set(table) - {"expected"}:
        yield f"{', '.join(sorted(strange))}: not known here"
    entries = table.get("expected", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        yield "expected: not a list of tables"
        return
    for number, entry in enumerate(entries, 1):
        yield from (f"entry {number}: {fault}" for fault in _faults_of(entry, known))
    named = Counter(entry.get("erratum") for entry in entries)
    yield from (f"{name} is there {times} times" for name, times in named.items() if times > 1 and name)


def _faults_of(entry: Mapping[str, Any], known: Mapping[str, Erratum]) -> Iterator[str]:
    if set(entry) != _KEYS:
        yield f"has {', '.join(sorted(entry)) or 'nothing'}, not {', '.join(sorted(_KEYS))}"
        return
    erratum, reason = known.get(entry["erratum"]), entry["reason"]
    if erratum is None:
        yield f"there is no erratum {entry['erratum']!r}"
    elif erratum.disposition != "spec-deviates" or erratum.awaits:
        yield f"{erratum.id} describes no deviation from the law as it stands"
    if not isinstance(reason, str) or not reason.strip():
        yield "the reason is empty"
