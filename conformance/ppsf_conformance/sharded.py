"""Adapter for a torch class whose parameters are spread over processes: all of them judge it as one optimizer.

Every process of a group plays the same problem, holds its pieces, and reads back the whole. So the lockstep runs in
each of them as it does for one process, and any of them can judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from ppsf_conformance.adapter import Array, Gradients, Group, Snapshot
from ppsf_conformance.name_map import NameMap
from ppsf_conformance.torch_adapter import TorchImplementation, TorchSession, to_tensor
from ppsf_conformance.torch_events import quiet

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
