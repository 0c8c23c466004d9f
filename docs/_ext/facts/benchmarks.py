"""The page of benchmarks: the newest comparison of `make bench` in one table."""

from __future__ import annotations

import json
from typing import Any

from computed import Table
from measurements import RESULTS, is_comparison


def newest() -> dict[str, Any]:
    """The newest stored comparison."""
    documents = [json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")]
    found: dict[str, Any] = max(filter(is_comparison, documents), key=lambda one: str(one["date"]))
    return found


def summary() -> Table:
    """Time of a step of ppsf_fast relative to the yardsticks, by workload."""
    results = newest()["results"]
    own = [name for name in results[0]["rows"] if name.startswith("ppsf_fast")]
    others = list(results[0]["rows"][own[0]]["ratio"])
    head = ("workload", "", *(f"`{name}` / {other}" for other in others for name in own))
    rows = []
    for one in results:
        ratios = (one["rows"][name]["ratio"][other] for other in others for name in own)
        cells = (f"{ratio['median']:.2f} ({ratio['p20']:.2f} to {ratio['p80']:.2f})" for ratio in ratios)
        rows.append((one["title"], one["dtype"], *cells))
    return Table(head, tuple(rows))
