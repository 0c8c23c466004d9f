"""What the processes of a sharded step exchange, counted and timed on gloo, beside what benchmarks/scale.py predicts.

``python -m benchmarks.exchange`` fits the numbers of the model, a start and a time per byte, to sums of single buffers.
Then it times the exchanges of whole steps, and stores both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from benchmarks.scale import exchanges
from benchmarks.storing import RESULTS, circumstances, store
from benchmarks.workloads import Shape
from ppsf_conformance.ranks import run
from ppsf_fast import ProdigyPlusScheduleFree

#: Bytes of the buffers that the model is fitted to.
BUFFERS = (1 << 8, 1 << 15, 1 << 17, 1 << 19)
#: Shapes that are stepped: the matrices of a small transformer.
SHAPES: tuple[Shape, ...] = ((1024, 256), (256, 1024), (256, 256), (256,)) * 8


class Matrices(torch.nn.Module):
    """Parameters of some shapes, with a gradient each."""

    def __init__(self, shapes: tuple[Shape, ...]) -> None:
        super().__init__()
        self.all = torch.nn.ParameterList(torch.nn.Parameter(torch.randn(shape)) for shape in shapes)


def sharded(shapes: tuple[Shape, ...]) -> list[torch.nn.Parameter]:
    """Parameters cut over all processes, with a gradient each."""
    model = Matrices(shapes)
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    params = list(model.parameters())
    for param in params:
        param.grad = param.detach().clone()
    return params


def typical(times: Sequence[float]) -> float:
    """The time that one call in five stays below: other work on the machine only ever adds to a time."""
    return statistics.quantiles(times, n=5)[0]


def together(call: Callable[[], object]) -> float:
    """Seconds of a call that all processes begin at once: those of the slowest."""
    dist.barrier()
    start = time.perf_counter()
    call()
    spent = torch.tensor(time.perf_counter() - start, dtype=torch.float64)
    dist.all_reduce(spent, dist.ReduceOp.MAX)
    return float(spent)


def sums_of_buffers(shapes: tuple[Shape, ...], rounds: int) -> dict[int, float]:
    """Seconds of one all-reduce, by bytes; before each is a step of AdamW, since in a step processes have computed."""
    buffers = [torch.zeros(size // 8, dtype=torch.float64) for size in BUFFERS]
    times: dict[int, list[float]] = {buffer.nbytes: [] for buffer in buffers}
    adamw = torch.optim.AdamW(sharded(shapes))
    for _ in range(rounds):
        for buffer in buffers:
            adamw.step()
            times[buffer.nbytes].append(together(lambda buffer=buffer: dist.all_reduce(buffer)))  # type: ignore[misc]
    return {size: typical(found) for size, found in times.items()}


def counted(shapes: tuple[Shape, ...], **options: Any) -> list[int]:
    """The bytes of each all-reduce of one step, in their order."""
    optimizer, sizes = ProdigyPlusScheduleFree(sharded(shapes), **options), list[int]()
    optimizer.step()
    real = dist.all_reduce

    def count(values: Tensor, *args: Any, **kwargs: Any) -> Any:
        sizes.append(values.nbytes)
        return real(values, *args, **kwargs)

    with mock.patch.object(dist, "all_reduce", count):
        optimizer.step()
    return sizes


def exchanging(optimizer: torch.optim.Optimizer) -> list[float]:
    """Seconds of each all-reduce of a step, begun by all processes at once."""
    real, spent = dist.all_reduce, list[float]()

    def timed(values: Tensor, *args: Any, **kwargs: Any) -> None:
        with mock.patch.object(dist, "all_reduce", real):
            spent.append(together(lambda: real(values, *args, **kwargs)))

    with mock.patch.object(dist, "all_reduce", timed):
        optimizer.step()
    return spent


def steps(shapes: tuple[Shape, ...], rounds: int) -> dict[str, Any]:
    """Seconds of a step of AdamW, and of ours; and of each exchange of ours. They take turns."""
    ours, adamw = ProdigyPlusScheduleFree(sharded(shapes)), torch.optim.AdamW(sharded(shapes))
    times = [(together(adamw.step), together(ours.step), exchanging(ours)) for _ in range(rounds)]
    of_adamw, of_ours, exchanges_of_ours = zip(*times, strict=True)
    return {
        "adamw": typical(of_adamw),
        "ours": typical(of_ours),
        "exchanges": [typical(each) for each in zip(*exchanges_of_ours, strict=True)],
    }


def measured(rounds: int) -> dict[str, Any]:
    """What a process finds; all find the same."""
    return {"buffers": sums_of_buffers(SHAPES, rounds), "sizes": counted(SHAPES), "steps": steps(SHAPES, rounds)}


def fitted(buffers: dict[int, float]) -> dict[str, float]:
    """The start of an exchange, and its seconds per byte: a line of least squares."""
    line = statistics.linear_regression(list(buffers), list(buffers.values()))
    return {"start": line.intercept, "per_byte": line.slope}


def predicted(fit: dict[str, float], shapes: tuple[Shape, ...]) -> float:
    """The seconds that the model gives for what a step sends."""
    return sum(fit["start"] + fit["per_byte"] * one.bytes for one in exchanges(shapes))


def main(given: list[str] | None = None) -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exchange", description=__doc__)
    parser.add_argument("--world", type=int, nargs="+", default=[2, 3, 4, 8], help="numbers of processes")
    parser.add_argument("--rounds", type=int, default=40, help="how often each call is timed")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of results")
    options = parser.parse_args(given)
    rows = []
    for world in options.world:
        found = run(world, measured, options.rounds, patience=600)[0]
        found["fit"] = fitted(found["buffers"])
        sent = {
            "measured": sum(found["steps"]["exchanges"]),
            "predicted": predicted(found["fit"], SHAPES),
        }
        rows.append({"world": world, **found, "sent": sent})
        print(f"{world} processes: sent {1e3 * sent['measured']:.2f} ms, predicted {1e3 * sent['predicted']:.2f} ms")
    document = {
        **circumstances(),
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "shapes": SHAPES,
        "results": rows,
    }
    path = store(document, options.out, "exchange-gloo")
    print(path)


if __name__ == "__main__":
    main()
