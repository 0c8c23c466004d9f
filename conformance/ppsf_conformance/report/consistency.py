"""What makes a report contradict itself although every field is allowed by the schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import ClauseVerdict, Implementation, OutputStats, Report, Training, TrainingRun


def contradictions(report: Report) -> Iterator[str]:
    """One sentence per contradiction; none for a sound report."""
    yield from _repeated("implementations", (implementation.name for implementation in report.implementations))
    for implementation in report.implementations:
        yield from (f"{implementation.name}: {text}" for text in _implementation(implementation))
    if report.training is not None:
        yield from (f"training: {text}" for text in _training(report.training))


def _implementation(implementation: Implementation) -> Iterator[str]:
    yield from _repeated("clauses", (clause.id for clause in implementation.clauses))
    yield from _repeated("outputs", (f"{output.name} of {output.clause}" for output in implementation.outputs))
    yield from _repeated("regimes", (regime.name for regime in implementation.regimes))
    failed = [clause.id for clause in implementation.clauses if clause.verdict == "fail"]
    if implementation.summary.passed and failed:
        yield f"summary.passed is true although {', '.join(failed)} failed"
    for clause in implementation.clauses:
        yield from _clause(clause)
    for output in implementation.outputs:
        yield from _output(output)


def _clause(clause: ClauseVerdict) -> Iterator[str]:
    if clause.verdict == "erratum" and not clause.errata:
        yield f"{clause.id}: the verdict is erratum, but errata names none"
    if clause.verdict == "pass" and clause.checks == 0:
        yield f"{clause.id}: the verdict is pass, but nothing was checked; use not-run"
    if clause.verdict == "pass" and clause.max_ratio is not None and clause.max_ratio > 1:
        yield f"{clause.id}: the verdict is pass, but max_ratio is {clause.max_ratio!r}, above 1"


def _output(output: OutputStats) -> Iterator[str]:
    edges, counts = output.histogram.edges, output.histogram.counts
    if len(edges) != (len(counts) + 1 if counts else 0):
        need = f"{len(counts)} counts need {len(counts) + 1} edges (0 if empty)"
        yield f"output {output.name}: {need}, not {len(edges)}"
    if any(right <= left for left, right in pairwise(edges)):
        yield f"output {output.name}: the histogram's edges do not rise"
    if sum(counts) > output.compared:
        yield f"output {output.name}: the histogram counts {sum(counts)} values of {output.compared} compared"


def _training(training: Training) -> Iterator[str]:
    yield from _repeated("runs", (f"{run.implementation} with seed {run.seed}" for run in training.runs))
    for run in training.runs:
        yield from (f"{run.implementation}, seed {run.seed}: {text}" for text in _run(run, training))


def _run(run: TrainingRun, training: Training) -> Iterator[str]:
    if run.seed not in training.seeds:
        yield f"the seed is not among {list(training.seeds)}"
    for name, values in (("loss", run.loss), ("accuracy", run.accuracy), ("d", run.d)):
        if len(values) != training.epochs:
            yield f"{name} has {len(values)} values for {training.epochs} epochs"


def _repeated(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{what}: {name} is there {times} times, must be once"
