"""Results as a picture: time of a step relative to fused AdamW, by workload and dtype."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot as plt

_INK, _OWN, _OTHERS = "#1f2933", "#0b6e4f", "#9aa5b1"


def draw(document: dict[str, Any], path: Path, yardstick: str) -> None:
    """Write one panel per workload and dtype to `path`; its suffix says in which format."""
    cells = document["results"]
    columns = len({cell["dtype"] for cell in cells})
    rows = -(-len(cells) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(6.4 * columns, 2.7 * rows), squeeze=False, sharey=True, layout="constrained"
    )
    for cell, axis in zip(cells, axes.flat, strict=False):
        _panel(axis, cell, yardstick)
    for axis in axes.flat[len(cells) :]:
        axis.set_axis_off()
    where = (
        f"{document['cpu']}, {document['threads']} threads, torch {document['versions']['torch']}, {document['date']}"
    )
    figure.suptitle(f"Time of one step over that of {yardstick} (bar: median; line: 20th to 80th percentile)\n{where}")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _panel(axis: Any, cell: dict[str, Any], yardstick: str) -> None:
    names = list(cell["rows"])[::-1]
    ratios = [cell["rows"][name]["ratio"][yardstick] for name in names]
    medians = [ratio["median"] for ratio in ratios]
    spread = [[r["median"] - r["p20"] for r in ratios], [r["p80"] - r["median"] for r in ratios]]
    colours = [_OWN if name.startswith("ppsf_fast") else _OTHERS for name in names]
    axis.barh(range(len(names)), medians, xerr=spread, color=colours, error_kw={"ecolor": _INK, "elinewidth": 1})
    for place, (name, ratio) in enumerate(zip(names, ratios, strict=True)):
        label = f"{ratio['median']:.2f}x   {cell['rows'][name]['ms']['median']:,.1f} ms"
        axis.text(ratio["p80"] * 1.1, place, label, va="center", fontsize=8, color=_INK)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_xscale("log")
    axis.set_xlim(right=max(ratio["p80"] for ratio in ratios) * 8)
    axis.axvline(1.0, color=_INK, linewidth=0.8, linestyle=":")
    axis.set_title("\n".join(textwrap.wrap(f"{cell['title']}, {cell['dtype']}", 60)), fontsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
