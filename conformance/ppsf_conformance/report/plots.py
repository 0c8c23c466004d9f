"""Plots as inline SVG.

Colours are CSS variables and text inherits the page's font, so that one drawing serves the light and the
dark theme. An implementation keeps its colour and its dash pattern in every plot; the dashes tell them apart
without colour.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from . import text, view
from .model import Histogram, OutputStats, TrainingRun

DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.6), (1.2, 1.2), (6, 1.5, 1.2, 1.5), (2.5, 1.2))
COLOURS = len(DASHES)
"""How many implementations get a colour of their own; the style sheet defines ``--impl-0`` and so on."""

# Stand-ins that matplotlib writes out as they are; afterwards each is replaced by a CSS variable.
_INK, _MUTED, _LINE, _ZONE = "#010100", "#010101", "#010102", "#010103"
_VARIABLES: Mapping[str, str] = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _LINE: "var(--line)",
    _ZONE: "var(--zone)",
    **{f"#0200{index:02x}": f"var(--impl-{index})" for index in range(COLOURS)},
}
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}
_SIZE = (3.5, 1.95)
_LOWEST_RATIO = -6.0
_FLOOR = 0.6  # counts start at 1; a little below, so that a single value shows


@dataclass(frozen=True)
class Curve:
    """One line of a training plot, one value per epoch: mean over the seeds, least and largest."""

    slot: int
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def curve(slot: int, runs: Sequence[TrainingRun], quantity: str) -> Curve:
    """The runs of one implementation as a curve; ``quantity`` is ``loss``, ``accuracy`` or ``d``."""
    epochs = list(zip(*(getattr(run, quantity) for run in runs), strict=True))
    return Curve(
        slot,
        tuple(math.fsum(values) / len(values) if _finite(values) else math.nan for values in epochs),
        tuple(min(values) if _finite(values) else math.nan for values in epochs),
        tuple(max(values) if _finite(values) else math.nan for values in epochs),
    )


@dataclass(frozen=True)
class Extent:
    """The axes that all histograms share, to compare at a glance: log10 of the ratios, top count."""

    left: float
    right: float
    top: float


def extent(outputs: Iterable[OutputStats]) -> Extent:
    """The axes on which all these histograms fit; the limit 1 and the vacuous zone always show."""
    histograms = [output.histogram for output in outputs]
    edges = [edge for histogram in histograms for edge in _occupied(histogram)]
    tallest = max([10, *(count for histogram in histograms for count in histogram.counts)])
    return Extent(max(min([-3.0, *edges]), _LOWEST_RATIO), max([0.5, *edges]), 1.6 * tallest)


def ratio_histogram(outputs: Mapping[int, OutputStats], within: Extent, label: str) -> str:
    """The distribution of error/bound of one output: values (log) by ratio (log), for each implementation.

    ``outputs`` maps the slot of an implementation to its figures. The limit 1 and the vacuous zone show.
    """
    drawn = {slot: output for slot, output in outputs.items() if any(output.histogram.counts)}
    left, right = within.left, within.right
    with mpl.rc_context(_rc(label)):
        figure, axes = _panel()
        axes.axvspan(left, math.log10(view.VACUOUS_BELOW), color=_ZONE, linewidth=0)
        axes.axvline(0, color=_INK, linewidth=1.0)
        for slot, output in drawn.items():
            _stairs(axes, output.histogram, slot)
            _mark_largest(axes, output.max_ratio, slot, right)
        axes.set_yscale("log")
        axes.set_ylim(_FLOOR, within.top)
        _decade_ticks(axes)
        axes.set_xlim(left, right)
        ticks = range(math.ceil(left), math.floor(right) + 1)
        axes.set_xticks(list(ticks), [text.power_of_ten(tick) for tick in ticks])
        axes.set_xlabel("error / bound")
        axes.set_ylabel("values")
        return _svg(figure, label)


def training_plot(curves: Sequence[Curve], label: str, ylabel: str, log: bool) -> str:
    """A quantity per epoch: a line for each implementation, the spread of its seeds shaded."""
    with mpl.rc_context(_rc(label)):
        figure, axes = _panel()
        for line in curves:
            epochs = list(range(1, len(line.mean) + 1))
            axes.fill_between(epochs, line.low, line.high, color=_colour(line.slot), alpha=0.16, linewidth=0)
            axes.plot(epochs, line.mean, color=_colour(line.slot), linestyle=_dash(line.slot), linewidth=1.5)
        if log and any(value > 0 for line in curves for value in line.mean):
            axes.set_yscale("log")
            _decade_ticks(axes)
        axes.grid(axis="y", color=_LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        last = max((len(line.mean) for line in curves), default=1)
        axes.set_xticks([epoch for epoch in range(1, last + 1) if epoch in (1, last) or epoch % _stride(last) == 0])
        axes.set_xlabel("epoch")
        axes.set_ylabel(ylabel)
        return _svg(figure, label)


def swatch(slot: int) -> str:
    """A short stroke in an implementation's colour and dash pattern, for legends."""
    dashes = " ".join(f"{1.5 * length:g}" for length in DASHES[slot % COLOURS])
    return (
        '<svg class="swatch" viewBox="0 0 26 8" aria-hidden="true"><line x1="1" y1="4" x2="25" y2="4" '
        f'stroke="var(--impl-{slot % COLOURS})" stroke-width="2.6" stroke-dasharray="{dashes}"/></svg>'
    )


def _panel() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    return figure, axes


def _stairs(axes: Axes, histogram: Histogram, slot: int) -> None:
    shown = [count or _FLOOR / 2 for count in histogram.counts]  # an empty bin runs below the axis
    axes.stairs(shown, histogram.edges, baseline=_FLOOR / 2, color=_colour(slot), linewidth=1.4, linestyle=_dash(slot))


def _mark_largest(axes: Axes, largest: float, slot: int, right: float) -> None:
    if largest > 0:
        place = min(math.log10(largest) if math.isfinite(largest) else right, right)
        marker = 6 + slot % 2  # carets that point down to the axis, then up to it
        axes.plot([place], [_FLOOR], marker=marker, markersize=4.5, color=_colour(slot), clip_on=False, zorder=5)


def _occupied(histogram: Histogram) -> list[float]:
    filled = [index for index, count in enumerate(histogram.counts) if count]
    return [histogram.edges[filled[0]], histogram.edges[filled[-1] + 1]] if filled else []


def _decade_ticks(axes: Axes) -> None:
    low, high = axes.get_ylim()
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first) / 4))
    decades = list(range(first, last + 1, step))
    if len(decades) >= 2:
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_yticks([10.0**decade for decade in decades], [text.power_of_ten(decade) for decade in decades])
        return
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: text.number(value, 1))


def _stride(last: int) -> int:
    return max(1, round(last / 5))


def _finite(values: Iterable[float]) -> bool:
    return all(math.isfinite(value) for value in values)


def _colour(slot: int) -> str:
    return f"#0200{slot % COLOURS:02x}"


def _dash(slot: int) -> str | tuple[int, tuple[float, ...]]:
    return (0, DASHES[slot % COLOURS]) if DASHES[slot % COLOURS] else "solid"


def _rc(label: str) -> Any:  # matplotlib types it as a list of all its settings
    return {**_STYLE, "svg.hashsalt": label}


def _svg(figure: Figure, label: str) -> str:
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=nothing)
    return _inline(buffer.getvalue(), label)


def _inline(document: str, label: str) -> str:
    """The drawing for inside a page: no prologue, size or unused ids, the page's own font and colours."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*; ", "", svg)
    svg = _without_empty_groups(svg)
    view_box = re.search(r'viewBox="[^"]*"', svg)
    assert view_box is not None, "matplotlib writes a viewBox"
    svg = re.sub(
        r"<svg[^>]*>",
        f'<svg class="plot" {view_box[0]} role="img" aria-label="{escape(label)}">',
        svg,
        count=1,
    )
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, variable)
    return re.sub(r"\n\s*", "\n", svg).strip()


def _without_empty_groups(svg: str) -> str:
    shorter = re.sub(r"<g>\s*</g>|<g/>|<defs>\s*</defs>", "", svg)
    return shorter if shorter == svg else _without_empty_groups(shorter)
