"""The page of benchmarks: the newest comparisons, on a CPU and on a GPU, in one table each."""

from __future__ import annotations

import json
from typing import Any

from computed import Table
from measurements import RESULTS, is_comparison

#: What a comparison says of the hardware, by where it was made.
CPU, GPU = "cpu", "hardware"


def newest(made_on: str = CPU) -> dict[str, Any]:
    """The newest stored comparison of those made on a CPU or on a GPU."""
    documents = [json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")]
    compared = (one for one in documents if is_comparison(one) and made_on in one)
    found: dict[str, Any] = max(compared, key=lambda one: str(one["date"]))
    return found


def summary() -> Table:
    """Time of a step of ppsf_fast relative to the yardsticks, by workload, on a CPU."""
    return _relative(newest()["results"])


def gpu() -> Table:
    """The same on a GPU, with the share of a copy's bandwidth, launches and waits."""
    results = newest(GPU)["results"]
    made = _relative(results)
    more = [(row["ms"]["median"], row) for row in (one["rows"]["ppsf_fast"] for one in results)]
    cells = [
        (
            f"{ms:.3g}",
            f"{100 * row['share_of_copy_bandwidth']:.0f} %",
            f"{row['device_launches']:.0f}",
            str(row["waits"]),
        )
        for ms, row in more
    ]
    head = (*made.head, "ms", "of a copy", "launches", "waits")
    return Table(head, tuple((*row, *cell) for row, cell in zip(made.rows, cells, strict=True)))


def _relative(results: list[dict[str, Any]]) -> Table:
    own = [name for name in results[0]["rows"] if name.startswith("ppsf_fast")]
    others = [name for name in results[0]["rows"][own[0]]["ratio"] if name not in own]
    head = ("workload", "", *(f"`{name}` / {other}" for other in others for name in own))
    rows = []
    for one in results:
        ratios = (one["rows"][name]["ratio"][other] for other in others for name in own)
        cells = (f"{ratio['median']:.2f} ({ratio['p20']:.2f} to {ratio['p80']:.2f})" for ratio in ratios)
        rows.append((one["title"], one["dtype"], *cells))
    return Table(head, tuple(rows))
