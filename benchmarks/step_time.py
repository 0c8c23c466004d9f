"""Time of one optimizer step, interleaved over implementations: python benchmarks/step_time.py [--rounds N]."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from prodigyopt import Prodigy
from prodigyplus.prodigy_plus_schedulefree import ProdigyPlusScheduleFree as Published
from schedulefree import AdamWScheduleFree

from ppsf_conformance.report.environment import cpu_name
from ppsf_fast import ProdigyPlusScheduleFree

RESULTS = Path(__file__).parent / "results"
Factory = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]

OPTIMIZERS: dict[str, Factory] = {
    "ppsf_fast": ProdigyPlusScheduleFree,
    "prodigy-plus-schedule-free": Published,
    "prodigyopt (slice_p=11)": lambda params: Prodigy(params, slice_p=11),
    "AdamWScheduleFree": AdamWScheduleFree,
    "torch AdamW (fused)": lambda params: torch.optim.AdamW(params, fused=True),
}
#: Shapes of the parameters of each workload.
WORKLOADS: dict[str, list[tuple[int, ...]]] = {
    "large: 8 matrices of 1024 x 1024": [(1024, 1024)] * 8,
    "lora: 200 tensors of rank 16": [(16, 512), (512, 16)] * 100,
}
DTYPES = (torch.float32, torch.bfloat16)
WARM_UP = 3


def prepared(factory: Factory, shapes: list[tuple[int, ...]], dtype: torch.dtype) -> torch.optim.Optimizer:
    """An optimizer whose parameters have gradients and state."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(dtype)
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = factory(params)
    if hasattr(optimizer, "train"):
        optimizer.train()
    for _ in range(WARM_UP):
        optimizer.step()
    return optimizer


def tensors(value: Any) -> Iterable[torch.Tensor]:
    """All tensors in the state of a parameter."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors(item)


def state_bytes(optimizer: torch.optim.Optimizer) -> float:
    """Bytes of state per parameter element."""
    total: int = sum(t.numel() * t.element_size() for state in optimizer.state.values() for t in tensors(state))
    count: int = sum(param.numel() for group in optimizer.param_groups for param in group["params"])
    return total / count


def timed(optimizer: torch.optim.Optimizer) -> float:
    """Milliseconds of one step."""
    start = time.perf_counter()
    optimizer.step()
    return 1e3 * (time.perf_counter() - start)


def measure(shapes: list[tuple[int, ...]], dtype: torch.dtype, rounds: int) -> dict[str, dict[str, float]]:
    """Statistics per implementation, all of them timed in every round."""
    optimizers = {name: prepared(factory, shapes, dtype) for name, factory in OPTIMIZERS.items()}
    times: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(rounds):
        for name, optimizer in optimizers.items():
            times[name].append(timed(optimizer))
    rows = {}
    for name, found in times.items():
        p20, p80 = (statistics.quantiles(found, n=10)[i] for i in (1, 7))
        rows[name] = {
            "median_ms": round(statistics.median(found), 3),
            "p20_ms": round(p20, 3),
            "p80_ms": round(p80, 3),
            "state_bytes_per_parameter": round(state_bytes(optimizers[name]), 3),
        }
    return rows


def main() -> None:
    """Measure, print and store."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=30)
    rounds = arguments.parse_args().rounds
    results = []
    for workload, shapes in WORKLOADS.items():
        for dtype in DTYPES:
            rows = measure(shapes, dtype, rounds)
            results.append({"workload": workload, "dtype": str(dtype).removeprefix("torch."), "rows": rows})
            print(f"\n{workload}, {dtype}")
            for name, row in rows.items():
                print(f"  {name:28} {row['median_ms']:9.2f} ms   {row['state_bytes_per_parameter']:6.2f} B/parameter")
    now = datetime.now(UTC)
    packages = ("torch", "ppsf", "prodigy-plus-schedule-free", "prodigyopt", "schedulefree")
    document = {
        "date": now.isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
        "rounds": rounds,
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"step_time-cpu-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
