"""The report as data: frozen dataclasses with the fields of ``schema.json``, one for one.

Read and write with :meth:`Report.from_json` and :meth:`Report.to_json`; both validate against the schema and
check what a schema cannot say (see :mod:`.consistency`).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jsonschema

from . import codec, consistency, environment

SCHEMA_NAME: Literal["report-1"] = "report-1"
SCHEMA_PATH = Path(__file__).with_name("schema.json")

Verdict: TypeAlias = Literal["pass", "fail", "erratum", "unsupported", "not-run"]


class ReportError(ValueError):
    """A report that contradicts its schema or itself. The message lists every place."""


@dataclass(frozen=True)
class Spec:
    """Which text was judged against: its revision and the SHA-256 (hex) of its index."""

    revision: str
    index_sha256: str


@dataclass(frozen=True)
class Run:
    """When, how long, how and on what the kit ran.

    ``date`` is UTC; an absent package has version None; ``interrupted`` says that the run was stopped before its end.
    """

    date: str
    seconds: float
    seed: int
    profile: str
    python: str
    torch: str | None
    numpy: str | None
    platform: str
    cpu: str
    interrupted: bool = False


@dataclass(frozen=True)
class Summary:
    """Totals of one implementation. ``undecided_fraction``: share of guards that are too close to call."""

    problems: int
    steps: int
    undecided_fraction: float
    passed: bool


@dataclass(frozen=True)
class ClauseVerdict:
    """One clause, one implementation.

    ``max_ratio`` is the largest error/bound, infinite for an error where the bound is zero, None where
    nothing is measured. ``errata`` are the entries that explain the verdict. ``minimal`` is the smallest
    failing input, free in form.
    """

    id: str
    title: str
    verdict: Verdict
    errata: tuple[str, ...] = ()
    checks: int = 0
    max_ratio: float | None = None
    message: str = ""
    minimal: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Histogram:
    """Of log10(error/bound): n + 1 rising edges, n counts; both empty where there is none.

    Values without any error lie in no bin.
    """

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class OutputStats:
    """All compared values of one output. ``exact``: compared bit by bit, so that the bound is zero."""

    name: str
    clause: str
    compared: int
    exact: bool
    max_ratio: float
    histogram: Histogram = Histogram()


@dataclass(frozen=True)
class RegimeStats:
    """One regime of generated problems."""

    name: str
    problems: int
    steps: int
    max_ratio: float


@dataclass(frozen=True)
class Implementation:
    """One judged class, ``class_`` (JSON: ``class``) as ``module:Class``.

    ``arithmetic`` is what its error bounds assume, as the implementation declares it. ``suspects`` are the clauses that
    fail, the one that explains most first.
    """

    name: str
    version: str
    class_: str
    arithmetic: Mapping[str, str | float | bool]
    summary: Summary
    clauses: tuple[ClauseVerdict, ...] = ()
    outputs: tuple[OutputStats, ...] = ()
    regimes: tuple[RegimeStats, ...] = ()
    suspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingRun:
    """One training: one value per epoch in ``loss`` (mean), ``accuracy`` (eval mode, percent) and ``d``."""

    implementation: str
    seed: int
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    d: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Training:
    """The same training with every implementation and every seed."""

    dataset: Literal["digits"]
    epochs: int
    seeds: tuple[int, ...]
    runs: tuple[TrainingRun, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything the kit found in one run."""

    spec: Spec
    run: Run
    implementations: tuple[Implementation, ...]
    training: Training | None = None
    schema: Literal["report-1"] = SCHEMA_NAME

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values. Raises ReportError if it is not valid."""
        data: dict[str, Any] = codec.encode(self)
        validate(data)
        _raise_if(consistency.contradictions(self))
        return data

    def to_json(self) -> str:
        """The text of report.json. Raises ReportError if the report is not valid."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The report of plain JSON values. Raises ReportError if they are not valid."""
        validate(data)
        report = codec.decode(cls, data)
        _raise_if(consistency.contradictions(report))
        return report

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """The report of the text of a report.json. Raises ReportError if it is not one."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ReportError(f"this is not JSON: {error}; expected the text of a report.json") from error
        return cls.from_dict(data)


def run_info(seed: int, profile: str, seconds: float = 0.0) -> Run:
    """A Run of now, on this machine; ``dataclasses.replace`` sets ``seconds`` later."""
    return Run(
        date=environment.utc_now(),
        seconds=seconds,
        seed=seed,
        profile=profile,
        python=platform.python_version(),
        torch=environment.package_version("torch"),
        numpy=environment.package_version("numpy"),
        platform=platform.platform(),
        cpu=environment.cpu_name(),
    )


def validate(data: object) -> None:
    """Check plain JSON values against ``schema.json``. Raises ReportError that lists every violation."""
    errors = sorted(_validator().iter_errors(data), key=lambda error: [str(part) for part in error.absolute_path])
    _raise_if(f"{error.json_path}: {error.message}" for error in errors)


@cache
def _validator() -> Any:
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _raise_if(complaints: Iterable[str]) -> None:
    found = list(complaints)
    if found:
        listed = "\n".join(f"  {complaint}" for complaint in found)
        raise ReportError(f"not a valid {SCHEMA_NAME} report, {len(found)} complaint(s):\n{listed}")
