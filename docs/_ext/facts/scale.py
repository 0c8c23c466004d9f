"""What sharded training sends, at sizes that nobody here has: computed from lists of shapes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.scale import CHOICES, H100, SUM, Cost, Model, all_reduce, cost, exchanges, sent_by_fsdp
from benchmarks.workloads import model
from computed import Table
from drawing import Curve, Panel, Picture
from evidence import ROOT

#: Tokens of a batch: those that these models were trained with.
MODELS = (Model(model("llama2_7b", 1), 4 * 2**20), Model(model("llama31_405b", 1), 16 * 2**20))
GPUS = (8, 64, 1024, 16384)
#: Sizes of buffers, in bytes, of which the table of latencies tells the time.
BUFFERS = (8, 1 << 13, 1 << 20, 1 << 27)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _time(seconds: float) -> str:
    for unit in ("s", "ms", "µs"):
        if seconds >= 1:
            return f"{seconds:,.3g} {unit}" if seconds < 1000 else f"{seconds:,.0f} {unit}"
        seconds *= 1000
    return f"{seconds:.2g} ns"


def volume() -> Table:
    """What each exchange of a step carries, by model."""
    head = ("summed over all processes", *(one.workload.title for one in MODELS))
    of_models = [exchanges(one.workload.shapes) for one in MODELS]
    rows = [(parts[0].what, *(_bytes(part.bytes) for part in parts)) for parts in zip(*of_models, strict=True)]
    whole = [sum(part.bytes for part in parts) for parts in of_models]
    rows.append(("**together**", *(f"**{_bytes(size)}**" for size in whole)))
    anyway = [sent_by_fsdp(one.workload.numel) for one in MODELS]
    rows.append(("what FSDP2 moves in a step anyway", *(_bytes(size) for size in anyway)))
    rows.append(("share of that", *(f"{size / other:.4%}" for size, other in zip(whole, anyway, strict=True))))
    return Table(head, tuple(rows))


def choices() -> Table:
    """How many exchanges a step has, by option."""
    rows = []
    for one in CHOICES:
        said = ", ".join(f"`{name}={value}`" for name, value in one.options.items()) or "the default ones"
        rows.append((said, str(one.exchanges), one.why))
    return Table(("options", "exchanges", ""), tuple(rows))


def latency() -> Table:
    """The time of one exchange, by size and number of GPUs."""
    head = ("GPUs", *(_bytes(size) for size in BUFFERS))
    return Table(head, tuple((f"{gpus:,}", *(_time(all_reduce(size, gpus)) for size in BUFFERS)) for gpus in GPUS))


def overhead() -> Table:
    """A step of each model on each number of GPUs."""
    head = ("model", "GPUs", "AdamW's step", "our step", "what it sends", "forward and backward", "more than AdamW")
    return Table(head, tuple(_rows()))


def _rows() -> Iterator[tuple[str, ...]]:
    for one in MODELS:
        for gpus in GPUS:
            found = cost(one, gpus)
            yield (one.workload.title, f"{gpus:,}", *_cells(found))


def _cells(found: Cost) -> tuple[str, ...]:
    if not found.fits:
        return ("*does not fit into their memory*", "", "", "", "")
    times = (found.adamw, found.ours, found.sent, found.training)
    return (*map(_time, times), f"{found.extra:.3%}")


def growth() -> Picture:
    """How the overhead grows with the number of GPUs."""
    curves = []
    for one in MODELS:
        gpus = [number for number in (2**power for power in range(3, 15)) if cost(one, number).fits]
        curves.append(Curve(one.workload.title, gpus, [100 * cost(one, number).extra for number in gpus]))
    panel = Panel(curves, "GPUs", "% of a training step", xlog=True, ylog=True)
    return Picture([panel], "What the step costs more than AdamW's, as a share of a training step, against the GPUs.")


def machine() -> Table:
    """What the model takes to be true of the machine."""
    rows = [
        ("GPUs in a node", str(H100.per_node)),
        ("bandwidth of an all-reduce on its bus", f"{_bytes(H100.link)}/s"),
        ("bandwidth of memory", f"{_bytes(H100.memory)}/s"),
        ("arithmetic of training", f"{H100.flops / 1e12:.0f} TFLOP/s"),
        ("a sum on its way", f"{SUM} bytes"),
    ]
    for way in H100.ways:
        name = ("tree" if not way.ring else "ring") + (", short messages" if way.share == 0.5 else ", long messages")
        hops = f"{way.start:g} + {way.near:g} per hop in a node + {way.far:g} per hop between nodes, µs"
        reached = f"{_bytes(min(way.most, way.share * H100.link))}/s"
        rows.append((name, f"{hops}; at most {reached}"))
    return Table(("", H100.name), tuple(rows))


# ---------------------------------------------------------------------------------------------------------- measured


def _stored(name: str) -> dict[str, Any]:
    path = max((ROOT / "benchmarks" / "results").glob(f"{name}-*.json"))
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def together() -> Picture:
    """The losses of one process and of several, and how far apart they are."""
    found = _stored("together-gloo")
    steps = range(found["setting"]["every"], found["setting"]["steps"] + 1, found["setting"]["every"])
    seeds = [Curve(f"one process, seed {i}", steps, losses) for i, losses in enumerate(found["curves"]["1"])]
    sharded = [
        Curve(f"{world} processes, seed 0", steps, losses[0], marker)
        for marker, (world, losses) in zip("ox", list(found["curves"].items())[1:], strict=True)
    ]
    panel = Panel([*seeds, *sharded], "steps", "loss on what is held out")
    return Picture(
        [panel], "Curves of three seeds of one process; the points of sharded runs lie on that of their seed."
    )


def distances() -> Table:
    """How far sharded runs lie from that of one process, and seeds from each other."""
    found = _stored("together-gloo")
    worlds = found["distance"]
    head = ("steps", "seeds of one process", *(f"{world} processes and one, same seed" for world in worlds))
    rows = zip(found["spread"], *worlds.values(), strict=True)
    every = found["setting"]["every"]
    return Table(head, tuple((str(every * (i + 1)), *(f"{each:.1e}" for each in row)) for i, row in enumerate(rows)))


def measured() -> Table:
    """What was measured on gloo beside what the model says."""
    head = ("processes", "counted, bytes", "sent, measured", "sent, predicted", "AdamW's step", "our step")
    rows = []
    for row in _stored("exchange-gloo")["results"]:
        times = (row["sent"]["measured"], row["sent"]["predicted"], row["steps"]["adamw"], row["steps"]["ours"])
        rows.append((str(row["world"]), f"{sum(row['sizes']):,}", *map(_time, times)))
    return Table(head, tuple(rows))
