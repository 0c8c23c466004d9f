"""Sums over processes: what the parameters of a pass have to sum meets in one buffer for each set of processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True, slots=True)
class Reduction:
    """Which processes complete a sum.

    Attributes:
        sums: groups over which it is summed, one after the other; None: the default group.
        copies: groups in which all take the sum of the first process afterwards. They sum the same numbers, but a
            library may add them in another order, and replicas have to agree bit for bit.
    """

    sums: tuple[ProcessGroup | None, ...] = ()
    copies: tuple[ProcessGroup, ...] = ()

    def __call__(self, values: Tensor) -> None:
        """Complete `values` in place; waits for the other processes, not for the device."""
        for group in self.sums:
            dist.all_reduce(values, group=group)
        for group in self.copies:
            dist.broadcast(values, dist.get_global_rank(group, 0), group=group)


@dataclass(frozen=True, slots=True)
class Partial:
    """What a process knows of a sum, of any shape, and who knows the rest."""

    values: Tensor
    over: Reduction


def completed(asked: Sequence[Sequence[Partial]]) -> list[list[Tensor]]:
    """The sums that parts ask for, each list in its order; new tensors where there is anybody to ask.

    One exchange for each reduction, dtype and device among them. All processes of a group have to ask for the same.
    """
    buffers: dict[object, list[Partial]] = {}
    for partial in (partial for partials in asked for partial in partials):
        if partial.over.sums:
            buffers.setdefault((partial.over, partial.values.dtype, partial.values.device), []).append(partial)
    found: dict[int, Tensor] = {}
    for partials in buffers.values():
        joined = torch.cat([partial.values.reshape(-1) for partial in partials])
        partials[0].over(joined)
        pieces = torch.split(joined, [partial.values.numel() for partial in partials])
        for partial, piece in zip(partials, pieces, strict=True):
            found[id(partial)] = piece.view(partial.values.shape)
    return [[found.get(id(partial), partial.values) for partial in partials] for partials in asked]
