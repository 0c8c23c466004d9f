"""A small network, cut by one of PyTorch's engines, and its optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.distributed import declare_fsdp


def plain(width: int = 34, out: int = 3) -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(6, width), torch.nn.Tanh(), torch.nn.Linear(width, out))


def network(cut: str | None, dtype: str, seed: int) -> tuple[Any, ProdigyPlusScheduleFree]:
    """Cut by FullyShardedDataParallel ("FSDP1") or fully_shard ("FSDP2") over all processes, or not at all."""
    torch.manual_seed(seed)
    model: Any = plain().to(getattr(torch, dtype))
    if cut == "FSDP1":
        model = FullyShardedDataParallel(model, use_orig_params=True, device_id=torch.device("cpu"))
        declare_fsdp(model)
    elif cut == "FSDP2":
        fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    return model, ProdigyPlusScheduleFree(model.parameters(), d0=1e-3)


def learn(model: Any, take: Callable[[], object], first: int, steps: int) -> None:
    """Train on data of which each process has its own; `take` takes a step."""
    dtype = next(model.parameters()).dtype
    for t in range(first, first + steps):
        torch.manual_seed(100 * t + dist.get_rank())
        model(torch.randn(8, 6).to(dtype)).square().mean().backward()
        take()
        model.zero_grad()


@contextmanager
def gathered(model: Any) -> Iterator[list[torch.Tensor]]:
    """The weights: whole ones, or DTensors; what is written there stays."""
    flat = isinstance(model, FullyShardedDataParallel)
    with torch.no_grad(), FullyShardedDataParallel.summon_full_params(model) if flat else nullcontext():
        yield list(model.parameters())
