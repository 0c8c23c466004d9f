"""Parameters that are DTensors: what FSDP2 (fully_shard), HSDP and tensor parallelism make of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard

from ppsf_fast.distributed.layout import Runs
from ppsf_fast.distributed.reductions import Reduction


@dataclass(slots=True, eq=False)
class MeshLayout:
    """A DTensor: each dimension of a mesh cuts an axis of the parameter, or repeats what there is.

    A factored second moment is cut as the parameter is, along the axes that it has left.
    """

    shape: torch.Size
    mesh: DeviceMesh
    placements: tuple[Any, ...]
    runs: Runs
    whole: Reduction
    everyone: Reduction
    ranks: frozenset[int]

    @staticmethod
    def of(param: DTensor) -> MeshLayout:
        """The layout of a parameter whose placements are allowed (:mod:`ppsf_fast.distributed.sharding`)."""
        mesh, placements = param.device_mesh, tuple(param.placements)
        cut = tuple(i for i in range(mesh.ndim) if _axis(placements[i]) is not None)
        return MeshLayout(
            param.shape,
            mesh,
            placements,
            _runs(param.shape, mesh, placements),
            _reduction(mesh, cut, same=range(mesh.ndim)),
            _reduction(mesh, range(mesh.ndim), same=()),
            frozenset(mesh.mesh.flatten().tolist()),
        )

    def over(self, axes: Collection[int]) -> Reduction:
        cut = [i for i, placement in enumerate(self.placements) if _axis(placement) in axes]
        others = [i for i, placement in enumerate(self.placements) if _axis(placement) in (None, *axes)]
        return _reduction(self.mesh, cut, same=others)

    def cuts_factors(self, axis: int) -> bool:
        return bool(self.over((axis,)).sums)

    def factor(self, axis: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        shape = torch.Size(1 if i == axis else size for i, size in enumerate(self.shape))
        return self._cut(torch.zeros((), dtype=dtype, device=device).expand(shape), self._without(axis))

    def placed(self, value: Tensor, axis: int | None) -> Tensor:
        """An array of the shape of the parameter, or of means over an axis, cut as the state is."""
        placements = self.placements if axis is None else self._without(axis)
        if isinstance(value, DTensor):
            if value.device_mesh == self.mesh and tuple(value.placements) == placements:
                return value
            value = value.full_tensor()
        return self._cut(value, placements)

    def shares(self, values: Tensor) -> Tensor:
        """A one-dimensional array in even shares."""
        return self._cut(values, tuple(Replicate() if _axis(each) is None else Shard(0) for each in self.placements))

    def _without(self, axis: int) -> tuple[Any, ...]:
        return tuple(Replicate() if _axis(placement) == axis else placement for placement in self.placements)

    def _cut(self, whole: Tensor, placements: tuple[Any, ...]) -> Tensor:
        """The DTensor that all processes make of an array that each of them has."""
        shape, piece = whole.shape, whole
        for axis, size in enumerate(shape):
            if any(_axis(placement) == axis for placement in placements):
                piece = piece.index_select(axis, _kept(axis, size, self.mesh, placements).to(whole.device))
        strides = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
        piece = piece.clone(memory_format=torch.contiguous_format)
        return DTensor.from_local(piece, self.mesh, placements, run_check=False, shape=shape, stride=strides)

    def block(self, piece: Tensor) -> Tensor:
        return piece

    def unblock(self, block: Tensor) -> Tensor:
        return block

    def spread(self, sums: Tensor, axis: int) -> Tensor:
        return sums

    def cut(self, stored: Tensor, axis: int) -> Tensor:
        return stored


def _axis(placement: Any) -> int | None:
    """The axis that a placement cuts; None if it repeats."""
    return getattr(placement, "dim", None)


def _reduction(mesh: DeviceMesh, cut: Collection[int], same: Collection[int]) -> Reduction:
    """Sums over the dimensions `cut`; afterwards all along the dimensions `same` agree."""
    cut = [i for i in cut if mesh.size(i) > 1]
    if not cut:
        return Reduction()
    # Along the last dimension all have the same sum already.
    again = [i for i in same if mesh.size(i) > 1 and i != cut[-1]]
    return Reduction(tuple(mesh.get_group(i) for i in cut), tuple(mesh.get_group(i) for i in again))


def _runs(shape: torch.Size, mesh: DeviceMesh, placements: Sequence[Any]) -> Runs:
    """The elements of a DTensor that are here."""
    indices = [_kept(axis, size, mesh, placements) for axis, size in enumerate(shape)]
    starts, width, inner = torch.zeros(1, dtype=torch.int64, device="cpu"), 1, 1
    axis = len(shape) - 1
    # As long as an axis is whole it only makes the runs longer; the first one that is not may still be one range.
    while axis >= 0 and width == inner:
        own = indices[axis]
        if own.numel() and own[-1] - own[0] + 1 != own.numel():
            break
        width, inner = width * own.numel(), inner * shape[axis]
        if width != inner:
            starts = own[:1] * (inner // shape[axis]) if own.numel() else starts
        axis -= 1
    for outer in range(axis, -1, -1):
        places = indices[outer] * math.prod(shape[outer + 1 :])
        starts = (places.unsqueeze(1) + starts).view(-1)
    return Runs(starts, width)


def _kept(axis: int, size: int, mesh: DeviceMesh, placements: Sequence[Any]) -> Tensor:
    """The indices along an axis that are here, in the order of the storage: the mesh cuts from left to right."""
    along = torch.arange(size, device="cpu")
    coordinate = mesh.get_coordinate() or ()
    for i, placement in enumerate(placements):
        if _axis(placement) == axis:
            # FSDP over tensor parallelism cuts what the other dimension has cut before, though it comes first.
            parts = _chunks(along, getattr(placement, "split_factor", 1))
            along = torch.cat([_chunks(part, mesh.size(i))[coordinate[i]] for part in parts])
    return along


def _chunks(along: Tensor, count: int) -> list[Tensor]:
    """As many parts, the last ones shorter or empty."""
    parts = list(along.chunk(count))
    return parts + [along[:0]] * (count - len(parts))
