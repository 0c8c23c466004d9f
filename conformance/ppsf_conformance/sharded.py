"""Adapter for a torch class whose parameters are spread over processes: all of them judge it as one optimizer.

Every process of a group plays the same problem, holds its pieces, and reads back the whole. So the lockstep runs in
each of them as it does for one process, and any of them can judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from ppsf_conformance.adapter import ARRAYS, Array, Gradients, Group, Snapshot
from ppsf_conformance.name_map import NameMap
from ppsf_conformance.torch_adapter import TorchImplementation, TorchSession, to_array, to_tensor
from ppsf_conformance.torch_events import quiet
from ppsf_ref import ParamState
from ppsf_ref.clauses.lifecycle import Place

#: How a parameter is placed: a mesh and its placements, or None for one that every process has.
Way = tuple[DeviceMesh, tuple[Any, ...]] | None

#: By the number of processes: sizes of meshes, and for each the axes that its dimensions cut; -1: the last, None: none.
MESHES: Mapping[int, Sequence[tuple[tuple[int, ...], Sequence[tuple[int | None, ...]]]]] = {
    1: [((1,), [(0,), (-1,), (None,)])],
    2: [((2,), [(0,), (-1,), (None,)])],
    3: [((3,), [(0,), (-1,)])],
    4: [((4,), [(0,), (-1,)]), ((2, 2), [(None, 0), (0, -1), (0, 0), (-1, None)])],
}


def ways() -> list[Way]:
    """All that is tried with as many processes as there are; every one of them has to call it."""
    found: list[Way] = [None]
    for sizes, cuts in MESHES[dist.get_world_size()]:
        mesh = init_device_mesh("cpu", sizes)
        found += [(mesh, axes) for axes in cuts]
    return found


def placed(values: torch.Tensor, way: Way) -> torch.Tensor:
    """A tensor that every process has, placed; an axis that it lacks is not cut."""
    if way is None:
        return values
    mesh, axes = way
    there = [axis for axis in axes if axis is not None and -values.dim() <= axis < values.dim()]
    placements = [Shard(axis % values.dim()) if axis in there else Replicate() for axis in axes]
    return distribute_tensor(values, mesh, placements)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, on every process."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


class ShardedImplementation(TorchImplementation):
    """A class under judgement whose parameters are placed in turn in all the given ways."""

    def __init__(self, cls: type[torch.optim.Optimizer], names: NameMap, given: Sequence[Way]) -> None:
        super().__init__(cls, names)
        self._ways = given

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> ShardedSession:
        count = 0
        dicts = []
        for group in groups:
            params = []
            for weights in group.params:
                way = self._ways[count % len(self._ways)]
                params.append(torch.nn.Parameter(placed(to_tensor(weights), way)))
                count += 1
            dicts.append({"params": params, **self.names.called(group.options)})
        taken = {name: value for name, value in options.items() if name not in self.capabilities.always}
        with quiet():
            made = self.cls(dicts, **self.names.called(taken), **self.chosen)
        return ShardedSession(made, self.names)


class ShardedSession(TorchSession):
    """One optimizer and its pieces; snapshots are of the whole."""

    _saved: Mapping[torch.Tensor, Mapping[str, Any]]

    def snapshot(self) -> Snapshot:
        saved = self.optimizer.state_dict()["state"]
        params = [param for group in self.optimizer.param_groups for param in group["params"]]
        self._saved = {param: saved[index] for index, param in enumerate(params) if index in saved}
        found = super().snapshot()
        told: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(told, [(group.d, group.k, group.weight_sum) for group in found.state.groups])
        if any(other != told[0] for other in told):
            raise AssertionError(f"the processes hold different numbers: {told}")
        return found

    def gradients(self) -> Gradients:
        """Those that the parameters have now, whole."""
        return [
            [None if param.grad is None else to_array(whole(param.grad)) for param in group["params"]]
            for group in self.optimizer.param_groups
        ]

    def _whole(self, tensor: torch.Tensor) -> torch.Tensor:
        return whole(tensor)

    def _find(self, param: torch.Tensor, path: str) -> torch.Tensor | None:
        found = self._saved.get(param, {}).get(path)
        return whole(found) if isinstance(found, torch.Tensor) else None

    def _set_gradients(self, gradients: Gradients) -> None:
        for group, row in zip(self.optimizer.param_groups, gradients, strict=True):
            for param, gradient in zip(group["params"], row, strict=True):
                param.grad = None if gradient is None else self._piece(param, gradient)

    @staticmethod
    def _piece(param: torch.Tensor, gradient: Array) -> torch.Tensor | None:
        """The gradient on this process; none at all where its piece has only zeros and the first process is another."""
        given = torch.tensor(gradient).to(param.dtype)
        if not isinstance(param, DTensor):
            return given
        made = distribute_tensor(given, param.device_mesh, param.placements)
        return made if dist.get_rank() == 0 or bool(made.to_local().any()) else None


class SpreadImplementation(TorchImplementation):
    """A class under judgement of which each process steps parameters, or runs of their elements, of its own.

    Args:
        cls, names: as for any class.
        declare: tells the class that a flat parameter is a run of one of this shape, from some element on; None: the
            parameters stay whole, and are dealt out.
        sharing: arguments that tell the class who shares the estimate.
    """

    def __init__(
        self,
        cls: type[torch.optim.Optimizer],
        names: NameMap,
        declare: Callable[[torch.Tensor, tuple[int, ...], int], None] | None,
        sharing: Mapping[str, Any],
    ) -> None:
        super().__init__(cls, names)
        self._declare, self._sharing = declare, sharing

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> SpreadSession:
        places: dict[Place, Piece] = {}
        dicts, count = [], 0
        for i, group in enumerate(groups):
            for j, weights in enumerate(group.params):
                values = to_tensor(weights)
                places[i, j] = self._dealt(values, count) if self._declare is None else self._run(values)
                count += 1
            own = [piece.param for (at, _), piece in places.items() if at == i and piece.param is not None]
            dicts.append({"params": own, **self.names.called(group.options)})
        taken = {name: value for name, value in options.items() if name not in self.capabilities.always}
        with quiet():
            made = self.cls(dicts, **self.names.called(taken), **self.chosen, **self._sharing)
        return SpreadSession(made, self.names, places)

    @staticmethod
    def _dealt(values: torch.Tensor, count: int) -> Piece:
        mine = count % dist.get_world_size() == dist.get_rank()
        return Piece(tuple(values.shape), torch.nn.Parameter(values) if mine else None, 0)

    def _run(self, values: torch.Tensor) -> Piece:
        """Runs of uneven length, an empty one among them where there are enough processes."""
        world, rank, size = dist.get_world_size(), dist.get_rank(), values.numel()
        ends = [0, *(size * (i + 1) // (2 * world) for i in range(world - 1)), size]
        assert self._declare is not None
        param = torch.nn.Parameter(values.reshape(-1)[ends[rank] : ends[rank + 1]].clone())
        self._declare(param, tuple(values.shape), ends[rank])
        return Piece(tuple(values.shape), param, ends[rank])


@dataclass(frozen=True)
class Piece:
    """What this process has of a parameter of some shape: a tensor, or None, and the index of its first element."""

    shape: tuple[int, ...]
    param: torch.nn.Parameter | None
    first: int

    def of(self, values: Array) -> Array:
        """The same elements of an array of that shape."""
        assert self.param is not None
        if self.param.shape == self.shape:
            return values
        return values.reshape(-1)[self.first : self.first + self.param.numel()]


class SpreadSession(TorchSession):
    """One optimizer per process; snapshots put together what all of them have."""

    def __init__(self, optimizer: torch.optim.Optimizer, names: NameMap, places: Mapping[Place, Piece]) -> None:
        super().__init__(optimizer, names)
        self._places = places

    def snapshot(self) -> Snapshot:
        mine = super().snapshot()
        own = {
            place: (piece.first, *self._param(piece.param))
            for place, piece in self._places.items()
            if piece.param is not None
        }
        numbers = [(group.d, group.k, group.weight_sum, group.d_numerator) for group in mine.state.groups]
        told: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(told, (own, numbers))
        if any(others != numbers for _, others in told):
            raise AssertionError(f"the processes hold different numbers: {[others for _, others in told]}")
        merged = {
            place: self._merged(place, [found[place] for found, _ in told if place in found]) for place in self._places
        }
        groups, formats = [], []
        for i, group in enumerate(mine.state.groups):
            rows = [merged[place] for place in sorted(self._places) if place[0] == i]
            groups.append(replace(group, params=tuple(param for param, _ in rows)))
            formats.append(tuple(forms for _, forms in rows))
        return replace(mine, state=replace(mine.state, groups=tuple(groups)), formats=tuple(formats))

    def _merged(self, place: Place, found: Sequence[Any]) -> tuple[ParamState, Mapping[str, str]]:
        """A parameter from its runs, in their order."""
        runs = [param for _, param, _ in sorted(found, key=lambda each: each[0])]
        shape = self._places[place].shape
        arrays = {name: self._joined(name, [getattr(run, name) for run in runs], shape) for name in ARRAYS}
        return ParamState(**arrays), found[0][2]

    @staticmethod
    def _joined(name: str, parts: Sequence[Array | None], shape: tuple[int, ...]) -> Array | None:
        there = [part for part in parts if part is not None]
        if not there or name not in CUT:
            return parts[0]
        joined = np.concatenate([part.reshape(-1) for part in there])
        return joined.reshape(shape) if name in SHAPED else joined

    def gradients(self) -> Gradients:
        """Those that the parameters have now, put together; a piece without one counts as zeros."""
        own = {
            place: (piece.first, None if piece.param.grad is None else to_array(piece.param.grad), piece.param.numel())
            for place, piece in self._places.items()
            if piece.param is not None
        }
        told: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(told, own)
        rows: list[list[Array | None]] = [[] for _ in self.optimizer.param_groups]
        for place in sorted(self._places):
            runs = sorted((found[place] for found in told if place in found), key=lambda run: run[0])
            parts = [np.zeros(size) if grad is None else grad for _, grad, size in runs]
            given = any(grad is not None for _, grad, _ in runs)
            rows[place[0]].append(self._joined("y", parts, self._places[place].shape) if given else None)
        return rows

    def _set_gradients(self, gradients: Gradients) -> None:
        for (i, j), piece in self._places.items():
            if piece.param is not None:
                gradient = gradients[i][j]
                piece.param.grad = None if gradient is None else self._like(piece.param, piece.of(gradient))


#: What a run has a part of, and what of that has the shape of the parameter.
SHAPED = ("y", "z", "m", "v")
CUT = (*SHAPED, "x0", "s")
