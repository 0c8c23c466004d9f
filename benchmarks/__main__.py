"""Optimizer steps side by side: measure, print, store, draw."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders import UPSTREAM, YARDSTICK, contenders
from benchmarks.draw import draw
from benchmarks.measure import compare
from benchmarks.storing import RESULTS, circumstances, store
from benchmarks.workloads import workloads

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: What `--quick` measures: enough to see that everything runs.
QUICK_TENSORS, QUICK_ROUNDS = 8, 2


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    known = [workload.key for workload in workloads()]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often each step is timed (20)")
    parser.add_argument("--workload", action="append", choices=known, help="only this one; may be repeated")
    parser.add_argument("--dtype", action="append", choices=list(DTYPES), help="only this one; may be repeated")
    parser.add_argument("--only", action="append", help="only optimizers whose name holds this; may be repeated")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument("--quick", action="store_true", help="a few tensors, two rounds: does it run?")
    return parser.parse_args(given)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All results, with where and with what they were taken."""
    factories = contenders()
    if options.only:
        wanted = (*options.only, YARDSTICK, UPSTREAM)
        factories = {name: make for name, make in factories.items() if any(part in name for part in wanted)}
    results = []
    for workload in workloads():
        if options.workload and workload.key not in options.workload:
            continue
        part = workload.part(QUICK_TENSORS) if options.quick else workload
        for dtype in options.dtype or DTYPES:
            rounds = QUICK_ROUNDS if options.quick else options.rounds
            rows = compare(part, DTYPES[dtype], factories, rounds, (YARDSTICK, UPSTREAM))
            facts = {"tensors": len(part.shapes), "parameters": part.numel}
            results.append({"workload": part.key, "title": part.title, "dtype": dtype, **facts, "rows": rows})
            show(results[-1])
    return {
        **circumstances(),
        "threads": torch.get_num_threads(),
        "quick": options.quick,
        "results": results,
    }


def show(result: dict[str, Any]) -> None:
    """Print one table."""
    print(f"\n{result['title']}: {result['parameters']:,} parameters in {result['tensors']} tensors, {result['dtype']}")
    print(f"  {'':34}{'ms':>10}{'/ fused':>9}{'/ 2.0.1':>9}{'GB/s':>8}{'ops':>8}{'state B':>9}{'temp B':>9}")
    for name, row in result["rows"].items():
        ratios = [row["ratio"][other]["median"] for other in (YARDSTICK, UPSTREAM)]
        sizes = f"{row['state_bytes_per_parameter']:9.2f}{row['temporary_bytes_per_parameter']:9.3f}"
        times = f"{row['ms']['median']:10.2f}{ratios[0]:9.2f}{ratios[1]:9.3f}"
        print(f"  {name:34}{times}{row['gb_per_s']:8.1f}{row['operations']:8}{sizes}", flush=True)


def main(given: list[str] | None = None) -> None:
    """Measure, print, store and draw."""
    options = arguments(given)
    document = measured(options)
    path = store(document, options.out, "step-cpu")
    draw(document, path.with_suffix(".svg"), YARDSTICK)
    print(f"\n{path}\n{path.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
