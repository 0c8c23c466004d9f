"""Sums over the processes of the default process group, where they share one estimate."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def connected() -> bool:
    """Whether there are other processes to sum over."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def summed(values: list[Tensor]) -> list[Tensor]:
    """Each 0-d value, summed over all processes; waits for them."""
    sums = torch.stack(values)
    dist.all_reduce(sums)
    return list(sums)


def all_good(good: bool | Tensor, device: torch.device) -> Tensor:
    """Whether every process has finite gradients only, 0-d bool; waits for them."""
    flag = good if isinstance(good, Tensor) else torch.tensor(good, device=device)
    (bad,) = summed([torch.logical_not(flag).float()])
    return bad == 0
