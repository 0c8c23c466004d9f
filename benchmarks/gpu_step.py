"""One optimizer step on a GPU, checked first and then timed: python benchmarks/gpu_step.py [--rounds N].

Checks: the kernels hold the law (problems drawn by the judge, run on the GPU); no step makes the host wait. Then, for
each workload and dtype: time beside torch's fused AdamW and a measured copy, interleaved; launches; and for each kernel
the bytes that the tables predict against the time that the profiler finds. Stored under results/.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.lockstep import judge, play
from ppsf_conformance.name_map import map_for
from ppsf_conformance.problems import Problem
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_fast import ProdigyPlusScheduleFree, plan
from ppsf_fast.backends import CHOICE
from ppsf_fast.backends.triton import launch
from ppsf_fast.backends.triton.traffic import traffic

RESULTS = Path(__file__).parent / "results"
DEVICE = "cuda"
Shapes = list[tuple[int, ...]]
WORKLOADS: dict[str, Shapes] = {
    "lora: 1000 tensors of rank 16": [(16, 640), (640, 16)] * 500,
    "large: 100 M in matrices": [(4096, 4096)] * 6,
    "large: 1 B in matrices": [(8192, 4096)] * 30,
}
DTYPES = (torch.float32, torch.bfloat16)
OPTIMIZERS: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "ppsf_fast": ProdigyPlusScheduleFree,
    "torch AdamW (fused)": lambda params: torch.optim.AdamW(params, fused=True),
}
WARM_UP = 5


# --------------------------------------------------------------------------------------------------------------- checks


class Settled(ProdigyPlusScheduleFree):
    """With exact numbers in its groups after each step: the judge reads them there."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step, and wait for it."""
        loss = super().step(closure)
        self.metrics()
        return loss


def check_law(problems: int) -> dict[str, int]:
    """Judge problems of each revision on the GPU; returns how many transitions held. Raises if one does not."""
    held: Counter[str] = Counter()
    for revision in Settled.REVISIONS:
        implementation = TorchImplementation(Settled, map_for(Settled).under(revision))
        capabilities = implementation.capabilities

        def visit(problem: Problem, revision: str = revision, judged: TorchImplementation = implementation) -> None:
            for transition in play(judged, problem):
                verdict = judge(transition, judged.capabilities)
                if not verdict.ok:
                    raise SystemExit(f"{revision}: {verdict.witness.detail}\n{problem}")
                held[revision] += 1

        with torch.device(DEVICE):
            draw_problems(capabilities.dtypes, capabilities.options, problems, 0, visit, revision)
    return dict(held)


def check_no_wait(optimizer: torch.optim.Optimizer) -> None:
    """Raise if a step waits for the device."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ----------------------------------------------------------------------------------------------------------------- time


def parameters(shapes: Shapes, dtype: torch.dtype) -> list[Tensor]:
    """Parameters with gradients."""
    params: list[Tensor] = [torch.nn.Parameter(torch.randn(shape, device=DEVICE, dtype=dtype)) for shape in shapes]
    for param in params:
        param.grad = torch.randn_like(param)
    return params


def milliseconds(step: Callable[[], object]) -> float:
    """Of one call, on the device, by events."""
    event: Any = torch.cuda.Event
    start, stop = event(enable_timing=True), event(enable_timing=True)
    start.record()
    step()
    stop.record()
    stop.synchronize()
    return float(start.elapsed_time(stop))


def copy_bandwidth(rounds: int) -> float:
    """Bytes per second that a large copy reads and writes."""
    source = torch.empty(2**28, device=DEVICE)
    target = torch.empty_like(source)
    times = [milliseconds(lambda: target.copy_(source)) for _ in range(rounds)]
    return 2 * source.numel() * source.element_size() / (statistics.median(times) / 1e3)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts the launches inside."""
    found: Counter[str] = Counter()
    with launch.observed(lambda name, programs: found.update([name])):
        yield found


def predicted(optimizer: ProdigyPlusScheduleFree) -> Counter[str]:
    """Bytes of a step, by launch."""
    groups, rules, ledger = optimizer.param_groups, optimizer._rules(), optimizer._ledger
    work = plan.gather(groups, rules, optimizer.state, ledger)
    plan.equip(work, groups, rules, optimizer.state, ledger)
    return traffic(work)


def by_kernel(optimizer: torch.optim.Optimizer, steps: int) -> dict[str, float]:
    """Milliseconds of each kernel in one step, by the profiler."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(steps):
            optimizer.step()
        torch.cuda.synchronize()
    return {event.key: event.device_time_total / 1e3 / steps for event in profile.key_averages()}


def lines(bytes_of: Counter[str], times: dict[str, float], bandwidth: float) -> list[dict[str, Any]]:
    """Each launch: bytes predicted, time at the bandwidth of a copy, time found."""
    rows = []
    for name, count in bytes_of.items():
        kernel = name.partition(" ")[0]
        found = next((time for key, time in times.items() if key == kernel), None)
        rows.append({"launch": name, "bytes": count, "predicted_ms": 1e3 * count / bandwidth, "found_ms": found})
    return rows


def measure(shapes: Shapes, dtype: torch.dtype, rounds: int, bandwidth: float) -> dict[str, Any]:
    """All optimizers in every round."""
    made = {name: make(parameters(shapes, dtype)) for name, make in OPTIMIZERS.items()}
    ours = made["ppsf_fast"]
    assert isinstance(ours, ProdigyPlusScheduleFree)
    for optimizer in made.values():
        for _ in range(WARM_UP):
            optimizer.step()
    check_no_wait(ours)
    with counted() as launches:
        ours.step()
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, optimizer in made.items():
            times[name].append(milliseconds(optimizer.step))
    bytes_of = predicted(ours)
    numel = sum(param.numel() for group in ours.param_groups for param in group["params"])
    median = {name: statistics.median(found) for name, found in times.items()}
    return {
        "median_ms": median,
        "p20_ms": {name: statistics.quantiles(found, n=10)[1] for name, found in times.items()},
        "p80_ms": {name: statistics.quantiles(found, n=10)[7] for name, found in times.items()},
        "ratio_to_fused_adamw": median["ppsf_fast"] / median["torch AdamW (fused)"],
        "launches": dict(launches),
        "bytes_per_parameter": sum(bytes_of.values()) / numel,
        "share_of_copy_bandwidth": sum(bytes_of.values()) / (median["ppsf_fast"] / 1e3) / bandwidth,
        "lines": lines(bytes_of, by_kernel(ours, 5), bandwidth),
    }


def main() -> None:
    """Check, measure, print and store."""
    os.environ[CHOICE] = "triton"
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=50)
    arguments.add_argument("--problems", type=int, default=54)
    given = arguments.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no GPU here: this measures one. Without it, see tests/fast/triton.")
    held = check_law(given.problems)
    print(f"transitions that hold the law: {held}")
    bandwidth = copy_bandwidth(given.rounds)
    print(f"copy: {bandwidth / 1e12:.2f} TB/s")
    results = []
    for workload, shapes in WORKLOADS.items():
        for dtype in DTYPES:
            found = measure(shapes, dtype, given.rounds, bandwidth)
            results.append({"workload": workload, "dtype": str(dtype).removeprefix("torch."), **found})
            print(f"\n{workload}, {dtype}\n{json.dumps(found, indent=1)}")
            torch.cuda.empty_cache()
    now = datetime.now(UTC)
    document = {
        "date": now.isoformat(timespec="seconds"),
        "gpu": torch.cuda.get_device_name(),
        "versions": {name: metadata.version(name) for name in ("torch", "triton", "ppsf")},
        "held": held,
        "copy_bytes_per_second": bandwidth,
        "rounds": given.rounds,
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"gpu_step-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
