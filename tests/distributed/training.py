"""What the tests of replicas train: a model with parameters of all kinds, on data of which each process has its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tests.fast import revised

INPUTS = 12


class Model(torch.nn.Module):
    """Matrices that are factored and such that are not, vectors, and a branch that not every batch takes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(INPUTS, 40)
        self.outer = torch.nn.Linear(40, 3)
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.branch = torch.nn.Linear(INPUTS, 3, bias=False)

    def forward(self, inputs: Tensor, branch: bool = True) -> Tensor:
        plain = self.outer(self.inner(inputs).tanh()) * self.scale
        return plain + self.branch(inputs) if branch else plain


def replica(case: str, dtype: torch.dtype, **how: Any) -> tuple[DistributedDataParallel, Any]:
    """The model of this process, under DDP, and the optimizer of a case of ``revised``."""
    torch.manual_seed(0)
    model = Model().to(dtype)
    optimizer = revised.build(case, list(model.parameters()))
    torch.manual_seed(1 + dist.get_rank())  # whatever the processes draw themselves differs
    return DistributedDataParallel(model, **how), optimizer


def sharded(case: str, dtype: torch.dtype) -> tuple[torch.nn.Module, Any]:
    """The same model, cut over the processes by FSDP2."""
    torch.manual_seed(0)
    model = Model().to(dtype)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    fully_shard(model.inner, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model, revised.build(case, list(model.parameters()))


def loss_of(model: torch.nn.Module, step: int, part: int = 0, branch: bool = True) -> Tensor:
    """The loss of this process's own batch."""
    own = torch.Generator().manual_seed(10_000 * step + 100 * part + dist.get_rank())
    dtype = next(model.parameters()).dtype
    inputs = torch.randn(8, INPUTS, generator=own).to(dtype)
    wanted = inputs[:, :3].abs() - inputs[:, 3:6]
    # What dropout and augmentation do: each process moves its own global generator.
    torch.rand(1 + dist.get_rank())
    return (model(inputs, branch) - wanted).float().square().mean()


def one_step(model: torch.nn.Module, optimizer: Any, step: int, **how: Any) -> None:
    loss_of(model, step, **how).backward()
    optimizer.step()
    optimizer.zero_grad()


def digest(model: torch.nn.Module, optimizer: Any) -> str:
    """One word for what this process has of weights, state and groups: equal exactly if all bits are."""
    found = hashlib.sha256()
    for piece in _pieces([model.state_dict(), optimizer.state_dict()]):
        found.update(piece)
    return found.hexdigest()[:16]


def _pieces(value: Any) -> Iterable[bytes]:
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):  # loading may change their order
            yield str(key).encode()
            yield from _pieces(value[key])
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _pieces(each)
    elif isinstance(value, Tensor):
        value = value.to_local() if isinstance(value, DTensor) else value
        yield f"{value.dtype}{tuple(value.shape)}".encode()
        yield value.detach().double().numpy().tobytes()  # exact for all dtypes of weights and state
    else:
        yield repr(value).encode()
