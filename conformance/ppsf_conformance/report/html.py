"""The report as one HTML file that needs nothing else: styles, drawings and the data itself are inside."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from . import codec, plots, text, view
from .model import ClauseVerdict, Implementation, OutputStats, RegimeStats, Report, Training, TrainingRun


@dataclass(frozen=True)
class OutputPanel:
    """One output: its figures by the slot of the implementation, and its drawing, "" where there is none."""

    name: str
    clauses: tuple[str, ...]
    by_slot: Mapping[int, OutputStats]
    svg: Markup


@dataclass(frozen=True)
class TrainingPanel:
    """One quantity of the training."""

    title: str
    note: str
    svg: Markup


@dataclass(frozen=True)
class TrainingRow:
    """The last epoch of one implementation: mean, least and largest over the seeds."""

    slot: int
    name: str
    accuracy: tuple[float, float, float]
    loss: tuple[float, float, float]
    d: tuple[float, float, float]
    seconds: float


@dataclass(frozen=True)
class Erratum:
    """An erratum as the page tells it. ``entry`` is empty where the specification's entry was not at hand."""

    id: str
    entry: Mapping[str, Any]
    cited_by: Mapping[str, tuple[str, ...]]


def render(report: Report, errata: view.Errata | None = None, published: Sequence[Any] = ()) -> str:
    """The page. Same report, same page, byte for byte.

    ``published`` are the matrices of stored verdicts (:mod:`ppsf_conformance.matrix`) to be shown beside.

    ``errata`` maps an id to its entry, as in ``spec/errata/*.toml``. Shown are its ``title`` and ``effect``
    and, where present, ``spec_says``, ``observed``, ``applies``, ``shows`` and ``implementations``. Raises
    ReportError if the report is not valid.
    """
    return (
        _environment()
        .get_template("template.html.j2")
        .render(
            report=report,
            published=published,
            data=report.to_dict(),
            areas=view.areas(report),
            counts=[view.verdict_counts(implementation) for implementation in report.implementations],
            judgements=[view.judgement(implementation) for implementation in report.implementations],
            failures=[view.failures(implementation) for implementation in report.implementations],
            verdicts=view.VERDICTS,
            outputs=_outputs(report.implementations),
            regimes=_regimes(report.implementations),
            training_panels=_training_panels(report) if report.training else (),
            training_rows=_training_rows(report, report.training) if report.training else (),
            errata=_errata(report, errata or {}),
            swatches=[Markup(plots.swatch(slot)) for slot in range(len(report.implementations))],
            place_of=view.place_of,
            swatch=lambda slot: Markup(plots.swatch(slot)),
        )
    )


def write(report: Report, path: Path, errata: view.Errata | None = None, published: Sequence[Any] = ()) -> None:
    """Write the page to ``path``, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report, errata, published), encoding="utf-8")


def _outputs(implementations: Sequence[Implementation]) -> tuple[OutputPanel, ...]:
    tables = [{output.name: output for output in implementation.outputs} for implementation in implementations]
    names = dict.fromkeys(name for table in tables for name in table)
    extent = plots.extent(output for table in tables for output in table.values())
    return tuple(
        _output(name, {slot: table[name] for slot, table in enumerate(tables) if name in table}, extent)
        for name in names
    )


def _output(name: str, by_slot: Mapping[int, OutputStats], extent: plots.Extent) -> OutputPanel:
    drawable = any(any(output.histogram.counts) for output in by_slot.values())
    label = f"Distribution of error over bound of {name}"
    svg = plots.ratio_histogram(by_slot, extent, label) if drawable else ""
    clauses = tuple(dict.fromkeys(output.clause for output in by_slot.values()))
    return OutputPanel(name, clauses, by_slot, Markup(svg))


def _regimes(implementations: Sequence[Implementation]) -> dict[str, list[RegimeStats | None]]:
    tables = [{regime.name: regime for regime in implementation.regimes} for implementation in implementations]
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: [table.get(name) for table in tables] for name in names}


def _slots(report: Report, training: Training) -> dict[str, int]:
    """Trained implementations that were not judged come after those that were."""
    names = [implementation.name for implementation in report.implementations]
    names += [run.implementation for run in training.runs]
    return {name: slot for slot, name in enumerate(dict.fromkeys(names))}


def _runs(report: Report, training: Training) -> dict[int, list[TrainingRun]]:
    found: dict[int, list[TrainingRun]] = {}
    for run in training.runs:
        found.setdefault(_slots(report, training)[run.implementation], []).append(run)
    return dict(sorted(found.items()))


def _training_panels(report: Report) -> tuple[TrainingPanel, ...]:
    assert report.training is not None
    runs = _runs(report, report.training)

    def panel(title: str, note: str, quantity: str, ylabel: str, log: bool) -> TrainingPanel:
        curves = [plots.curve(slot, of_slot, quantity) for slot, of_slot in runs.items()]
        drawing = plots.training_plot(curves, f"{title} per epoch", ylabel, log)
        return TrainingPanel(title, note, Markup(drawing))

    return (
        panel("Training loss", "mean of the epoch, log scale", "loss", "loss", log=True),
        panel("Test accuracy", "averaged weights (eval mode)", "accuracy", "percent", log=False),
        panel("Step estimate d", "end of the epoch, log scale", "d", "d", log=True),
    )


def _training_rows(report: Report, training: Training) -> tuple[TrainingRow, ...]:
    return tuple(
        TrainingRow(
            slot,
            runs[0].implementation,
            _spread([run.accuracy[-1] for run in runs]),
            _spread([run.loss[-1] for run in runs]),
            _spread([run.d[-1] for run in runs]),
            sum(run.seconds for run in runs) / len(runs),
        )
        for slot, runs in _runs(report, training).items()
    )


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return sum(values) / len(values), min(values), max(values)


def _errata(report: Report, entries: view.Errata) -> tuple[Erratum, ...]:
    return tuple(Erratum(id_, entries.get(id_, {}), view.citations(report, id_)) for id_ in view.cited_errata(report))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Callable[..., Any]] = {
        "count": text.count,
        "plural": text.plural,
        "number": text.number,
        "ratio": text.ratio,
        "percent": text.percent,
        "duration": text.duration,
        "short_id": view.short_id,
        "prose": _prose,
        "literal": _literal,
        "when": lambda date: date.replace("T", " ").replace("Z", " UTC"),
    }
    environment.filters.update(filters)
    environment.tests["vacuous"] = view.is_vacuous
    environment.tests["detailed"] = _is_detailed
    return environment


def _is_detailed(clause: ClauseVerdict) -> bool:
    return bool(clause.message) or clause.minimal is not None


def _prose(value: object) -> Markup:
    """Escaped text with `code` marked up."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(str(value).strip()))))


def _literal(value: object) -> str:
    """A value of a minimal example as JSON, a bare text without quotes."""
    return value if isinstance(value, str) else json.dumps(codec.encode(value), ensure_ascii=False)
