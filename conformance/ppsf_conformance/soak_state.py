"""What a soak keeps between its runs, and what it publishes in the end.

The state file holds everything, and is written after each batch; the result is small, and says what each part of the
total was made with.
"""

from __future__ import annotations

import functools
import json
import platform
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations, count
from pathlib import Path
from typing import Any

import jsonschema

from ppsf_conformance.adapter import Capabilities
from ppsf_conformance.report.environment import cpu_name, package_version, utc_now
from ppsf_conformance.sampling import settings
from ppsf_conformance.soaking import Alarm, Batch, Found, setting

SCHEMA = Path(__file__).with_name("soak.schema.json")
#: Packages whose versions are recorded.
PACKAGES = ("numpy", "ppsf", "torch")
#: Pairs of values that were not met are listed up to here.
MOST_LISTED = 12

Maker = Mapping[str, Any]


@functools.cache
def maker() -> Maker:
    """What batches are made with here and now: the commit, the versions, the processor."""
    versions = {name: package_version(name) or "not installed" for name in PACKAGES}
    here = Path(__file__).parent
    changes = _git(here, "status", "--porcelain", "--untracked-files=no", "--", ".", *_judged(here))
    return {
        "commit": _git(here, "rev-parse", "HEAD") or "unknown",
        "modified": bool(changes),
        "versions": {"python": platform.python_version(), **versions},
        "machine": cpu_name(),
    }


def _judged(here: Path) -> list[str]:
    """The other two packages, where the three lie side by side."""
    return [
        str(here.parents[1] / name) for name in ("ppsf_ref", "ppsf_fast", "spec") if (here.parents[1] / name).exists()
    ]


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


@dataclass
class Part:
    """The batches that one maker made."""

    maker: Maker
    first: str
    last: str
    batches: list[list[int]] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0

    def numbers(self) -> Iterator[int]:
        """Its batches, one by one."""
        return (number for first, last in self.batches for number in range(first, last + 1))


@dataclass
class State:
    """A soak so far."""

    seed: int
    parts: list[Part] = field(default_factory=list)
    found: dict[str, Found] = field(default_factory=dict)
    alarms: list[dict[str, Any]] = field(default_factory=list)

    # --- adding up ---------------------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        return sum(part.steps for part in self.parts)

    @property
    def open_alarms(self) -> list[dict[str, Any]]:
        """Alarms of batches that have not passed since."""
        return [alarm for alarm in self.alarms if not alarm["settled_by"]]

    def total(self) -> Found:
        """All revisions together."""
        total = Found()
        for found in self.found.values():
            total.add(found)
        return total

    def waiting(self) -> Iterator[int]:
        """Batches that were not done, those with an alarm first."""
        done = {number for part in self.parts for number in part.numbers()}
        again = [alarm["batch"] for alarm in self.open_alarms]
        yield from dict.fromkeys(again)
        yield from (number for number in count() if number not in done and number not in again)

    def take(self, batch: Batch) -> None:
        """Count a batch; one with an alarm counts for nothing but that."""
        if batch.alarm is not None:
            self._take_alarm(batch.number, batch.revision, batch.alarm)
            return
        part = self._part()
        part.batches = ranges([*part.numbers(), batch.number])
        part.last = utc_now()
        part.steps += batch.found.steps
        part.seconds = round(part.seconds + batch.found.seconds, 3)
        self.found.setdefault(batch.revision, Found()).add(batch.found)
        for alarm in self.alarms:
            if alarm["batch"] == batch.number and not alarm["settled_by"]:
                alarm["settled_by"] = maker()["commit"]

    def _take_alarm(self, number: int, revision: str, alarm: Alarm) -> None:
        known = {"batch": number, "revision": revision, "commit": maker()["commit"], "settled_by": "", **asdict(alarm)}
        known["open_guards"] = list(alarm.open_guards)
        self.alarms = [*(old for old in self.alarms if old["batch"] != number or old["settled_by"]), known]

    def _part(self) -> Part:
        for part in self.parts:
            if part.maker == maker():
                return part
        self.parts.append(Part(maker(), utc_now(), utc_now()))
        return self.parts[-1]

    # --- keeping -----------------------------------------------------------------------------------------------

    def write(self, path: Path) -> None:
        """Write the file anew, in one piece."""
        parts = [asdict(part) for part in self.parts]
        found = {name: _packed(one) for name, one in self.found.items()}
        write_json(path, {"seed": self.seed, "parts": parts, "found": found, "alarms": self.alarms})

    @classmethod
    def read(cls, path: Path, seed: int) -> State:
        """The state in a file, or a fresh one.

        Raises:
            ValueError: the file is of a soak with another seed.
        """
        if not path.exists():
            return cls(seed)
        data = json.loads(path.read_text("utf-8"))
        if data["seed"] != seed:
            raise ValueError(f"{path} is of seed {data['seed']}, not {seed}: choose that seed, or another file")
        parts = [Part(**part) for part in data["parts"]]
        return cls(seed, parts, {name: _unpacked(one) for name, one in data["found"].items()}, data["alarms"])


def write_json(path: Path, data: Any) -> None:
    """A file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", "utf-8")
    beside.replace(path)


def ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Numbers as first and last of each run."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _packed(found: Found) -> dict[str, Any]:
    """Pairs as one hexadecimal number per value: a bit for each other one."""
    names = sorted({*found.pairs, *(other for others in found.pairs.values() for other in others)})
    bits = {name: 1 << place for place, name in enumerate(names)}
    rows = [f"{sum(bits[other] for other in found.pairs.get(name, ())):x}" for name in names]
    return {**vars(found), "pairs": {"names": names, "rows": rows}}


def _unpacked(data: Mapping[str, Any]) -> Found:
    names, rows = data["pairs"]["names"], data["pairs"]["rows"]
    pairs = {
        name: {other for place, other in enumerate(names) if int(row, 16) >> place & 1}
        for name, row in zip(names, rows, strict=True)
        if int(row, 16)
    }
    counts = {key: {name: Counter(one) for name, one in data[key].items()} for key in ("guards", "options", "drawn")}
    return Found(**{**data, **counts, "clauses": Counter(data["clauses"]), "pairs": pairs})


# ----------------------------------------------------------------------------------------------------------- publishing


def result(state: State, capabilities: Sequence[Capabilities]) -> dict[str, Any]:
    """The small file for the documentation, checked against its schema."""
    total = state.total()
    data = {
        "seed": state.seed,
        "steps": total.steps,
        "transitions": total.transitions,
        "problems": total.problems,
        "alarms": len(state.open_alarms),
        "settled_alarms": [
            {key: alarm[key] for key in ("batch", "revision", "commit", "settled_by", "detail")}
            for alarm in state.alarms
            if alarm["settled_by"]
        ],
        "values": total.elements,
        "undecided": total.undecided,
        "seconds": round(total.seconds, 1),
        "worst": {name: round(ratio, 4) for name, ratio in sorted(total.worst.items())},
        "guards": {name: _in_order(counts) for name, counts in sorted(total.guards.items())},
        "drawn": {name: _in_order(counts) for name, counts in sorted(total.drawn.items())},
        "options": {name: _in_order(counts) for name, counts in sorted(total.options.items())},
        "revisions": {made.revision: _coverage(state, made) for made in capabilities},
        "made_with": [_published(part) for part in state.parts],
    }
    jsonschema.validate(data, json.loads(SCHEMA.read_text("utf-8")))
    return data


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _published(part: Part) -> dict[str, Any]:
    """A part without the names of single batches."""
    data = {key: value for key, value in asdict(part).items() if key not in ("maker", "batches")}
    return {**data, **part.maker, "batches": sum(last - first + 1 for first, last in part.batches)}


def _coverage(state: State, made: Capabilities) -> dict[str, Any]:
    found = state.found.get(made.revision, Found())
    there = settings(made)
    values = [setting(*one) for one in there]
    met = {setting_of for name, counts in found.options.items() for setting_of in (f"{name}={v}" for v in counts)}
    possible = [sorted((setting(*one), setting(*other))) for one, other in combinations(there, 2) if one[0] != other[0]]
    unmet = [" with ".join(pair) for pair in possible if pair[1] not in found.pairs.get(pair[0], ())]
    return {
        "steps": found.steps,
        "clauses": len(found.clauses),
        "values": len(values),
        "values_unmet": [value for value in values if value not in met],
        "pairs": len(possible),
        "pairs_met": len(possible) - len(unmet),
        "pairs_unmet": unmet[:MOST_LISTED],
    }
