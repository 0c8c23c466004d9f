"""One optimizer step on a GPU, checked first and then timed: python -m benchmarks.gpu_step [--rounds N].

Checks: the kernels hold the law (problems of every revision, drawn by the judge, run on the GPU); no step makes the
host wait; a step captured in a graph does what a step does. Then, for each workload and dtype, beside torch's fused
AdamW, upstream and a measured copy, all in every round: time, time of the host, launches, waits, bytes of state and of
temporaries; and for each kernel the bytes that the tables predict against the time that the profiler finds. Stored
under results/.

`--dry-run` goes through all of it on a CPU, with a few small tensors and interpreted kernels: nothing that it stores is
a measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.contenders import UPSTREAM, Factory, contenders
from benchmarks.machines import Gpu, Machine, Rehearsal
from benchmarks.measure import spread, state_bytes
from benchmarks.storing import RESULTS, store
from benchmarks.workloads import Workload, model
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.lockstep import judge, play
from ppsf_conformance.name_map import import_class, map_for
from ppsf_conformance.peers import Absent
from ppsf_conformance.problems import Problem
from ppsf_conformance.run import OWN
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_fast import ProdigyPlusScheduleFree, plan
from ppsf_fast.backends import CHOICE
from ppsf_fast.backends.triton import launch
from ppsf_fast.backends.triton.maths import INTERPRETED
from ppsf_fast.backends.triton.traffic import scratch, tables, traffic

REHEARSED = Path("build") / "gpu_step"
OURS, FUSED = "ppsf_fast", "torch AdamW, fused"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: Bytes that a step at defaults moves at least, in widths of a weight: g three times, y and z read and written.
FLOOR = 7


def workloads() -> list[Workload]:
    """What is stepped."""
    return [
        Workload("large", "100 M in matrices of 4096 x 4096", [(4096, 4096)] * 6),
        Workload("huge", "1 B in matrices of 8192 x 4096", [(8192, 4096)] * 30),
        Workload("lora", "LoRA: 1,000 tensors of rank 16", [(16, 640), (640, 16)] * 500),
        model("gpt2", 1),
        model("sd15_unet", 1),
    ]


def rehearsed(workload: Workload) -> Workload:
    """A few small tensors of it, none of them with a short axis made longer."""
    part = workload.part(4)
    return Workload(part.key, part.title, [tuple(min(size, 40) for size in shape) for shape in part.shapes])


def compared() -> tuple[dict[str, Factory], list[str]]:
    """The optimizers, and why one is missing."""
    try:
        known = contenders()
    except Absent as error:
        own: dict[str, Factory] = {OURS: ProdigyPlusScheduleFree, FUSED: lambda ps: torch.optim.AdamW(ps, fused=True)}
        return own, [str(error)]
    return {name: known[name] for name in (OURS, FUSED, UPSTREAM)}, []


# --------------------------------------------------------------------------------------------------------------- checks


def settled(target: str) -> type[torch.optim.Optimizer]:
    """A class with exact numbers in its groups after each step: the judge reads them there."""
    cls: Any = import_class(target)

    def step(self: Any, closure: Callable[[], Any] | None = None) -> Any:
        loss = cls.step(self, closure)
        self.metrics()
        return loss

    return type(cls.__name__, (cls,), {"step": step})


def check_law(machine: Machine, problems: int) -> dict[str, int]:
    """Judge problems of each revision; returns how many transitions held. Raises SystemExit if one does not."""
    held: Counter[str] = Counter()
    for revision, target in OWN.items():
        cls = settled(target)
        implementation = TorchImplementation(cls, map_for(cls).under(revision))
        capabilities = implementation.capabilities

        def visit(problem: Problem, revision: str = revision, judged: TorchImplementation = implementation) -> None:
            for transition in play(judged, problem):
                verdict = judge(transition, judged.capabilities)
                if not verdict.ok:
                    raise SystemExit(f"{revision}: {verdict.witness.detail}\n{problem}")
                held[revision] += 1

        with torch.device(machine.device):
            draw_problems(
                capabilities.dtypes, capabilities.options, problems, 0, visit, revision, capabilities.always
            )  # fmt: skip
    return dict(held)


def check_no_wait(machine: Machine, optimizer: torch.optim.Optimizer) -> None:
    """Raise if a step waits for the device."""
    with machine.never_waiting():
        for _ in range(machine.repeats):
            optimizer.step()


def check_capture(machine: Machine) -> str:
    """Whether steps that a graph replays are those of the optimizer, bit for bit: "held", or what went wrong."""

    def made() -> tuple[ProdigyPlusScheduleFree, list[Tensor]]:
        params = parameters(machine, [(40, 33), (7,)], torch.float32)
        return ProdigyPlusScheduleFree(params, d0=1e-3), params

    (plain, expected), (graphed, found) = made(), made()
    try:
        replay = machine.captured(graphed.step)
        for _ in range(2):
            replay()
        counted = graphed.metrics()[0]["k"]
    except RuntimeError as error:
        return f"failed: {error}"
    for _ in range(5):
        plain.step()
    same = all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    if counted != plain.metrics()[0]["k"]:
        return f"failed: counted {counted} after 5 steps"
    return "held" if same else "failed: the weights differ"


# ----------------------------------------------------------------------------------------------------------------- time


def parameters(machine: Machine, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> list[Tensor]:
    """Parameters with gradients, always the same."""
    torch.manual_seed(0)
    made = {"device": machine.device, "dtype": dtype}
    params: list[Tensor] = [torch.nn.Parameter(torch.randn(shape, **made)) for shape in shapes]  # type: ignore[call-overload]
    for param in params:
        param.grad = torch.randn_like(param)
    return params


def copy_bandwidth(machine: Machine, rounds: int) -> float:
    """Bytes per second that a large copy reads and writes."""
    source = torch.empty(machine.copied, device=machine.device)
    target = torch.empty_like(source)
    times = [machine.milliseconds(lambda: target.copy_(source))[0] for _ in range(rounds)]
    return 2 * source.numel() * source.element_size() / (statistics.median(times) / 1e3)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts the launches inside."""
    found: Counter[str] = Counter()
    with launch.observed(lambda name, programs: found.update([name])):
        yield found


def planned(optimizer: ProdigyPlusScheduleFree) -> plan.Plan:
    """The coming step."""
    groups, rules, ledger = optimizer.param_groups, optimizer._rules(), optimizer._ledger
    work = plan.gather(groups, rules, optimizer.state, ledger)
    plan.equip(work, groups, rules, optimizer.state, ledger)
    return work


def lines(
    bytes_of: Counter[str], found: dict[str, tuple[float, float]], bandwidth: float
) -> list[dict[str, str | int | float | None]]:
    """Each launch: bytes predicted, time at the bandwidth of a copy, time found."""
    return [
        {"launch": name, "bytes": count, "predicted_ms": 1e3 * count / bandwidth, "found_ms": _of_kernel(name, found)}
        for name, count in bytes_of.items()
    ]


def _of_kernel(name: str, found: dict[str, tuple[float, float]]) -> float | None:
    """Its milliseconds; some versions of Triton add to the name of a kernel what it is compiled for."""
    kernel = name.partition(" ")[0]
    times = [time for key, (time, _) in found.items() if key == kernel or key.startswith(f"{kernel}_0d")]
    return sum(times) if times else None


def of_one(machine: Machine, optimizer: torch.optim.Optimizer, numel: int) -> dict[str, Any]:
    """What is found of an optimizer beside its time."""
    kernels = machine.kernels(optimizer.step, 1)
    copies = {name for name in kernels if name.startswith("Mem")}
    return {
        "device_launches": sum(count for name, (_, count) in kernels.items() if name not in copies),
        "device_copies": sum(kernels[name][1] for name in copies),
        "waits": machine.waits(optimizer.step),
        "state_bytes_per_parameter": state_bytes(optimizer) / numel,
        "temporary_bytes_per_parameter": machine.peak(optimizer.step) / numel,
    }


def of_ours(machine: Machine, optimizer: ProdigyPlusScheduleFree, numel: int, bandwidth: float) -> dict[str, Any]:
    """What the tables predict, launch by launch, against what the profiler finds."""
    work = planned(optimizer)
    bytes_of = traffic(work)
    with counted() as launches:
        optimizer.step()
    return {
        "launches": dict(launches),
        "bytes_per_parameter": sum(bytes_of.values()) / numel,
        "scratch_bytes_per_parameter": scratch(work) / numel,
        "table_bytes_per_parameter": tables(work) / numel,
        "lines": lines(bytes_of, machine.kernels(optimizer.step, machine.repeats), bandwidth),
    }


def timed(
    machine: Machine, steps: dict[str, Callable[[], object]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """All of them in every round: milliseconds of the device and of the host."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(machine.milliseconds(step))
    return times


def measure(
    machine: Machine, workload: Workload, dtype: torch.dtype, factories: dict[str, Factory], rounds: int,
    bandwidth: float,
) -> dict[str, Any]:  # fmt: skip
    """One row per optimizer."""
    made: dict[str, Any] = {
        name: make(parameters(machine, workload.shapes, dtype)) for name, make in factories.items()  # type: ignore[arg-type]
    }  # fmt: skip
    for optimizer in made.values():
        if hasattr(optimizer, "train"):
            optimizer.train()
        for _ in range(machine.repeats):
            optimizer.step()
    check_no_wait(machine, made[OURS])
    times = timed(machine, {name: optimizer.step for name, optimizer in made.items()}, rounds)
    floor = FLOOR * workload.numel * torch.empty((), dtype=dtype).element_size()
    rows: dict[str, Any] = {}
    for name, optimizer in made.items():
        device, host = zip(*times[name], strict=True)
        rows[name] = {
            "ms": spread(device),
            "host_ms": spread(host),
            "ratio": {
                other: spread([one[0] / two[0] for one, two in zip(times[name], times[other], strict=True)])
                for other in made
            },
            "share_of_copy_bandwidth": floor / (statistics.median(device) / 1e3) / bandwidth,
            **of_one(machine, optimizer, workload.numel),
        }
    rows[OURS] |= of_ours(machine, made[OURS], workload.numel, bandwidth)
    return {"tensors": len(workload.shapes), "parameters": workload.numel, "rows": rows}


# -------------------------------------------------------------------------------------------------------------- results


def document(machine: Machine, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Check and measure everything; prints on the way, and yields what there is after each workload."""
    factories, missing = compared()
    held = check_law(machine, given.problems)
    print(f"transitions that hold the law: {held}", flush=True)
    capture = check_capture(machine)
    print(f"a captured step: {capture}", flush=True)
    bandwidth = copy_bandwidth(machine, given.rounds)
    print(f"copy: {bandwidth / 1e12:.2f} TB/s", flush=True)
    results: list[dict[str, Any]] = []
    facts = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rehearsal": given.dry_run,
        "hardware": machine.name,
        "cuda": torch.version.cuda,
        "versions": {name: metadata.version(name) for name in ("torch", "triton", "ppsf")},
        "missing": missing,
        "held": held,
        "captured_step": capture,
        "copy_bytes_per_second": bandwidth,
        "rounds": given.rounds,
        "results": results,
    }
    chosen = [workload for workload in workloads() if not given.workload or workload.key in given.workload]
    for workload in map(rehearsed, chosen) if given.dry_run else chosen:
        for dtype in given.dtype or DTYPES:
            found = measure(machine, workload, DTYPES[dtype], factories, given.rounds, bandwidth)
            results.append({"workload": workload.key, "title": workload.title, "dtype": dtype, **found})
            print(f"\n{workload.title}, {dtype}\n{json.dumps(found, indent=1)}", flush=True)
            machine.clear()
            yield facts


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_step", description=__doc__)
    parser.add_argument("--rounds", type=int, default=None, help="how often each step is timed (50)")
    parser.add_argument("--problems", type=int, default=None, help="how many are judged of each revision (54)")
    keys = [workload.key for workload in workloads()]
    parser.add_argument("--workload", action="append", choices=keys, help="only this one; may be repeated")
    parser.add_argument("--dtype", action="append", choices=list(DTYPES), help="only this one; may be repeated")
    parser.add_argument("--dry-run", action="store_true", help="rehearse on a CPU: does it run?")
    parser.add_argument("--out", type=Path, default=None, help="folder of results")
    found = parser.parse_args(given)
    usual = (2, 1, REHEARSED) if found.dry_run else (50, 54, RESULTS)
    for name, value in zip(("rounds", "problems", "out"), usual, strict=True):
        if getattr(found, name) is None:
            setattr(found, name, value)
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Check, measure, print and store."""
    found = arguments(given)
    if found.dry_run != INTERPRETED:
        # Whether kernels are interpreted is decided when they are imported: another process has to do it.
        environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
        environment |= {"TRITON_INTERPRET": "1"} if found.dry_run else {}
        command = [sys.executable, "-m", "benchmarks.gpu_step", *(sys.argv[1:] if given is None else given)]
        return subprocess.run(command, env=environment, check=False).returncode
    if not found.dry_run and not torch.cuda.is_available():
        raise SystemExit("no GPU here: this measures one. --dry-run rehearses it; see tests/fast/triton, too.")
    with mock.patch.dict(os.environ, {CHOICE: "triton"}):
        for written in document(Rehearsal() if found.dry_run else Gpu(), found):
            path = store(written, found.out, "gpu_step")
    print(f"\n{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
