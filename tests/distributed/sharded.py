"""What the tests of sharded optimizers share: small models, sharded in many ways, with gradients that are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import ppsf_fast
from ppsf_fast.base import RevisedOptimizer

#: Uneven, smaller than the number of processes, one element, nothing, and more than two dimensions.
SHAPES = ((33, 7), (5,), (3,), (4, 3, 5), (1,), (0,), (40, 30))
CLASSES = {"prodigy": ppsf_fast.Prodigy, "schedulefree": ppsf_fast.AdamWScheduleFree}


class Model(torch.nn.Module):
    """Parameters of these shapes, in one module each, so that they can be wrapped one by one."""

    def __init__(self, dtype: torch.dtype = torch.float32, shapes: Sequence[tuple[int, ...]] = SHAPES) -> None:
        super().__init__()
        self.parts = torch.nn.ParameterList(
            torch.nn.Parameter(drawn(77, index, shape).to(dtype)) for index, shape in enumerate(shapes)
        )


def drawn(t: int, index: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Values that are known, and no sums of which are zero."""
    generator = torch.Generator().manual_seed(1000 * t + index)
    return torch.randn(shape, generator=generator)


def mesh_of(placements: Sequence[str], sizes: tuple[int, ...]) -> tuple[DeviceMesh, list[Any]]:
    """A mesh, and placements from "R" and the numbers of axes."""
    named = [Replicate() if each == "R" else Shard(int(each)) for each in placements]
    return init_device_mesh("cpu", sizes), named


def shard(model: torch.nn.Module, mesh: DeviceMesh, placements: Sequence[Any]) -> torch.nn.Module:
    """The model with DTensors for parameters; an axis that a parameter does not have is its first one."""
    for index, param in enumerate(model.parts):  # type: ignore[arg-type]
        fitting = [Shard(0) if isinstance(each, Shard) and each.dim >= param.dim() else each for each in placements]
        distributed = distribute_tensor(param.detach(), mesh, fitting)
        model.parts[index] = torch.nn.Parameter(distributed)  # type: ignore[operator,index]
    return model


def optimizer_of(model: torch.nn.Module, revision: str = "1.9", **options: Any) -> RevisedOptimizer:
    """Two groups, and a start that moves within a few steps."""
    made = CLASSES.get(revision)
    params = list(model.parameters())
    given = [{"params": params[:3]}, {"params": params[3:]}]
    if made is None:
        return ppsf_fast.ProdigyPlusScheduleFree(given, **{"d0": 1e-3, **options}, revision=revision)
    return made(given, **({"d0": 1e-3} if revision == "prodigy" else {}), **options)


def set_gradients(model: torch.nn.Module, t: int, without: Sequence[int] = ()) -> None:
    """The gradients of step t; parameters in `without` have none here."""
    for index, param in enumerate(model.parameters()):
        pull = drawn(t, index, tuple(param.shape)) - (index + 1)
        grad = pull.to(param.dtype)
        if isinstance(param, DTensor):
            grad = distribute_tensor(grad, param.device_mesh, param.placements)  # takes all processes
        param.grad = None if index in without else grad


def whole(value: Any) -> Any:
    """A copy of all of a tensor, as a plain one."""
    value = value.full_tensor() if isinstance(value, DTensor) else value
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def seen(model: torch.nn.Module, optimizer: RevisedOptimizer) -> dict[str, Any]:
    """Weights, state and numbers, whole: what processes have to agree on."""
    saved = optimizer.state_dict()
    state = {key: {name: whole(value) for name, value in entries.items()} for key, entries in saved["state"].items()}
    # torch hands a pair out as a list.
    groups = [
        {key: tuple(value) if isinstance(value, list) else value for key, value in group.items() if key != "params"}
        for group in saved["param_groups"]
    ]
    return {"weights": [whole(param.detach()) for param in model.parameters()], "state": state, "groups": groups}


def same(left: Any, right: Any) -> bool:
    """Whether two such records agree bit for bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    return bool(left == right)
