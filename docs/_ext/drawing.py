"""Plots for the pages: inline SVG whose colours are CSS variables, so that one drawing serves light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Values = Sequence[float] | npt.NDArray[np.float64]
SERIES = 5
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (7, 2, 1.5, 2), (3, 1.5))
# Stand-ins that matplotlib writes as they are; afterwards each becomes a CSS variable.
_INK, _LINE = "#010100", "#010102"
_VARIABLES = {
    _INK: "var(--plot-ink)",
    _LINE: "var(--plot-line)",
    **{f"#0200{index:02x}": f"var(--series-{index})" for index in range(SERIES)},
}
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.linewidth": 0.7,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Curve:
    """A line with its name; a marker in the place of the line where the points stand alone."""

    name: str
    x: Values
    y: Values
    marker: str = ""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    curves: Sequence[Curve]
    xlabel: str
    ylabel: str
    xlog: bool = False
    ylog: bool = False
    ylim: tuple[float, float] | None = None
    levels: Sequence[tuple[float, str]] = field(default=())


@dataclass(frozen=True)
class Picture:
    """What a page shows: panels below each other, which a phone can show as well, and a sentence for who cannot see."""

    panels: Sequence[Panel]
    alt: str


def svg(picture: Picture) -> str:
    """The drawing, for inside a page."""
    # Ids follow from the text, not from chance: the same page is the same bytes.
    with mpl.rc_context(_style(picture)):
        figure = Figure(figsize=(4.3, 2.5 * len(picture.panels)), layout="constrained")
        figure.patch.set_visible(False)
        rows = figure.subplots(len(picture.panels), squeeze=False)
        for axes, panel in zip(rows[:, 0], picture.panels, strict=True):
            _draw(axes, panel)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _inline(buffer.getvalue(), picture.alt)


def _style(picture: Picture) -> Any:  # matplotlib types it as a list of all its settings
    return {**_STYLE, "svg.hashsalt": picture.alt}


def _draw(axes: Axes, panel: Panel) -> None:
    axes.patch.set_visible(False)
    for level, name in panel.levels:
        axes.axhline(level, color=_INK, linewidth=0.8, linestyle=(0, (1, 2)))
        beside = ("axes fraction", "data")
        axes.annotate(name, (1.01, level), xycoords=beside, fontsize=8, va="center", annotation_clip=False)
    for index, curve in enumerate(panel.curves):
        dashes = DASHES[index % SERIES]
        style = (0, dashes) if dashes and not curve.marker else "none" if curve.marker else "solid"
        axes.plot(
            curve.x,
            curve.y,
            color=f"#0200{index % SERIES:02x}",
            linestyle=style,
            linewidth=1.6,
            marker=curve.marker or None,
            markersize=3.5,
            label=curve.name,
        )
    if panel.xlog:
        axes.set_xscale("log")
    if panel.ylog:
        axes.set_yscale("log")
    if panel.ylim:
        axes.set_ylim(*panel.ylim)
    axes.grid(color=_LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(panel.ylabel)
    if len(panel.curves) > 1:
        axes.legend(loc="best")


def _inline(document: str, alt: str) -> str:
    drawing = document[document.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"font-family: [^;\"]*; ?", "", drawing)
    drawing = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 sans-serif", drawing)
    view = re.search(r'viewBox="[^"]*"', drawing)
    assert view is not None, "matplotlib writes a viewBox"
    head = f'<svg class="picture" {view[0]} role="img" aria-label="{escape(alt)}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    drawing = re.sub(r"<svg[^>]*>", head, drawing, count=1)
    for stand_in, variable in _VARIABLES.items():
        drawing = drawing.replace(stand_in, variable)
    return re.sub(r"\n\s*", "\n", drawing).strip()
