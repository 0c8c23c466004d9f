"""What a step of sharded parameters sends, and how long that takes: counted from the shapes, by a model of latency.

The parameters are cut along their first axis over all GPUs, as FSDP2 does it, and the options are the default ones: a
factored second moment, and updates whose root mean square is limited. docs/scale.md derives what is counted here, and
benchmarks/exchange.py holds it against processes that run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.workloads import Shape, Workload
from ppsf_fast.revisions import REVISIONS
from ppsf_fast.state import factored_axes

#: Bytes of a number on its way: sums are float64, counts float32.
SUM, COUNT = 8, 4


@dataclass(frozen=True)
class Exchange:
    """One all-reduce of a step.

    Attributes:
        what: is summed.
        numbers: how many.
        width: bytes of each.
    """

    what: str
    numbers: int
    width: int = SUM

    @property
    def bytes(self) -> int:
        """Of one buffer."""
        return self.width * self.numbers


def exchanges(shapes: Sequence[Shape], revision: str = "1.9") -> tuple[Exchange, ...]:
    """What a step with the default options sums over the processes, in its order; one group of parameters."""
    estimate, factors = 2 * len(shapes), sum(_sums_of_factors(shape, revision) for shape in shapes)
    return (
        Exchange("whether there is a gradient, and whether it is finite", 2 * len(shapes), COUNT),
        Exchange("inner products and norms for d; squares of gradients, for rows or columns", estimate + factors),
        Exchange("squares of updates, for the clipping", len(shapes)),
    )


@dataclass(frozen=True)
class Choice:
    """What options change.

    Attributes:
        options: that are not the default ones.
        exchanges: of a step with one matrix.
        why: in words.
    """

    options: dict[str, Any]
    exchanges: int
    why: str


#: A test counts them.
CHOICES = (
    Choice({}, 3, ""),
    Choice({"use_stableadamw": False}, 2, "nothing is clipped"),
    Choice({"eps": None}, 2, "Adam-atan2 needs no clipping"),
    Choice({"factored": False}, 3, "no sums over rows and columns: 5 numbers for a parameter in all"),
    Choice({"use_cautious": True}, 4, "how many weights agree is asked last: 1 number"),
    Choice({"use_orthograd": True}, 5, "inner products with the weights come first, then what is left: 4 numbers"),
    Choice({"use_muon_pp": True}, 3, "and 1 for each further matrix: it is gathered, and orthogonalised by all"),
)


def _sums_of_factors(shape: Shape, revision: str) -> int:
    """What a parameter that is cut along its first axis asks of the others for its second moment."""
    axes = factored_axes(shape, REVISIONS[revision])
    if axes is None:
        return 0
    _, column = axes
    # One of the factors is a sum over the axis that is cut. If the rows are cut, their mean is asked for too.
    return math.prod(shape[1:]) + (2 if column == 0 else 0)


# ---------------------------------------------------------------------------------------------------------- latency


@dataclass(frozen=True)
class Way:
    """One way of a library to sum: microseconds, and the share of the bandwidth that it reaches."""

    ring: bool
    start: float
    near: float
    far: float
    share: float
    most: float = math.inf


@dataclass(frozen=True)
class Machine:
    """GPUs in nodes, and what connects them.

    Attributes:
        per_node: GPUs in a node.
        link: bytes per second that an all-reduce reaches on its bus, within a node and between them.
        memory: bytes per second that a kernel reaches.
        flops: per second that training reaches.
        capacity: bytes of memory.
        ways: from which the fastest is taken.
    """

    name: str
    per_node: int
    link: float
    memory: float
    flops: float
    capacity: float
    ways: tuple[Way, ...]


#: Eight H100 in a node, joined by NVLink, each with a network card of 400 Gbit/s. The times of a hop are those by which
#: NCCL chooses between its algorithms (src/graph/tuning.cc), in microseconds; the rest is assumed: shares of
#: what is written on them.
H100 = Machine(
    name="H100",
    per_node=8,
    link=340e9,
    memory=0.8 * 3.35e12,
    flops=0.4 * 989e12,
    capacity=80e9,
    ways=(
        Way(ring=False, start=6.8, near=0.6, far=5.0, share=0.5, most=19e9),
        Way(ring=True, start=6.6, near=0.6, far=2.7, share=0.5, most=19e9),
        Way(ring=False, start=0.0, near=28.0, far=28.0, share=0.9),
        Way(ring=True, start=8.4, near=3.4, far=14.0, share=1.0),
    ),
)


def all_reduce(size: int, gpus: int, machine: Machine = H100) -> float:
    """Seconds that the sum of a buffer of some bytes takes."""
    if gpus == 1:
        return 0.0
    return min(_seconds(way, size, gpus, machine) for way in machine.ways)


def _seconds(way: Way, size: int, gpus: int, machine: Machine) -> float:
    """alpha + beta * size: the hops one after the other, and each byte twice through the slowest link."""
    nodes = -(-gpus // machine.per_node)
    near, far = _ring(gpus, nodes) if way.ring else _tree(min(gpus, machine.per_node), nodes)
    bandwidth = min(machine.link * way.share, way.most)
    return 1e-6 * (way.start + near * way.near + far * way.far) + 2 * (gpus - 1) / gpus * size / bandwidth


def _ring(gpus: int, nodes: int) -> tuple[int, int]:
    """Hops inside nodes and between them: twice around."""
    return 2 * (gpus - nodes), 2 * (nodes - 1)


def _tree(inside: int, nodes: int) -> tuple[int, int]:
    """The same: a chain in each node, a tree of nodes; up and down."""
    return 2 * (inside - 1), 2 * (nodes - 1).bit_length()


# ------------------------------------------------------------------------------------------------------------- steps


@dataclass(frozen=True)
class Model:
    """A model, and how much of it is trained on at once.

    Attributes:
        workload: its shapes.
        tokens: in a batch.
    """

    workload: Workload
    tokens: float


@dataclass(frozen=True)
class Cost:
    """Seconds of one step on each of some GPUs.

    Attributes:
        adamw: its optimizer step: memory traffic, nothing is sent.
        ours: the optimizer step without what is sent.
        sent: what is sent, one exchange after the other.
        training: forward and backward.
        fits: whether weights, gradients and the state of AdamW fit into the memory of these GPUs.
    """

    adamw: float
    ours: float
    sent: float
    training: float
    fits: bool

    @property
    def extra(self) -> float:
        """What it costs more than AdamW, as a share of a training step."""
        return (self.ours + self.sent - self.adamw) / (self.training + self.adamw)


#: Bytes that a step moves for each float32 weight: AdamW reads p, g, m, v and writes p, m, v. Ours reads g for the
#: rows and columns, again for the clipping, then reads p, g, z and writes p, z; and s and p0 of one weight in eleven.
ADAMW, OURS = 28.0, 4.0 + 4.0 + 20.0 + 12.0 / 11
#: Bytes of a weight, its gradient and the two moments.
_HELD = 16


def cost(model: Model, gpus: int, machine: Machine = H100) -> Cost:
    """The model's answer for one step."""
    here = model.workload.numel / gpus
    sent = sum(all_reduce(one.bytes, gpus, machine) for one in exchanges(model.workload.shapes))
    training = 6 * model.workload.numel * model.tokens / (gpus * machine.flops)
    fits = _HELD * here <= machine.capacity
    return Cost(here * ADAMW / machine.memory, here * OURS / machine.memory, sent, training, fits)


def sent_by_fsdp(numel: int) -> int:
    """Bytes that a process sends in a step anyway: weights gathered twice and gradients reduced once, in bfloat16."""
    return 3 * 2 * numel
