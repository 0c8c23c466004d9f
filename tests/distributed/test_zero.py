"""ZeRO-1: parameters that are dealt out step as those of one optimizer, and their state goes to other processes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.distributed import declare_positions
from tests.distributed.harness import ONE_AT_A_TIME, run
from tests.distributed.lawful import Judge, dealt
from tests.distributed.sharded import Model, same, set_gradients

pytestmark = ONE_AT_A_TIME
BEFORE, AFTER = 3, 3


def made(dtype: str) -> tuple[Model, Any]:
    from torch.distributed.optim import ZeroRedundancyOptimizer  # warns of something else that is deprecated

    model = Model(getattr(torch, dtype))
    declare_positions(model.parameters())
    shared = functools.partial(ProdigyPlusScheduleFree, process_group=dist.group.WORLD)
    return model, ZeroRedundancyOptimizer(model.parameters(), optimizer_class=shared, d0=1e-3)


def train(model: Model, optimizer: Any, first: int, steps: int) -> list[torch.Tensor]:
    """Each step is judged, with the random bits of one optimizer that has all parameters; the weights."""
    params = list(model.parameters())
    judge = Judge(optimizer.optim, dealt(params, optimizer.optim), d0=1e-3)
    for t in range(first, first + steps):
        set_gradients(model, t)
        judge.step(optimizer.step)
    return [param.detach().clone() for param in params]


def saves(dtype: str, path: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    model, optimizer = made(dtype)
    before = train(model, optimizer, 0, BEFORE)
    optimizer.consolidate_state_dict(to=0)
    if dist.get_rank() == 0:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return before, train(model, optimizer, BEFORE, AFTER)


def loads(dtype: str, path: str) -> list[torch.Tensor]:
    model, optimizer = made(dtype)
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    assert optimizer.optim.param_groups[0]["k"] == BEFORE + 1
    return train(model, optimizer, BEFORE, AFTER)


@pytest.mark.parametrize(("world", "dtype"), [(2, "float32"), (2, "bfloat16"), (3, "bfloat16")])
@pytest.mark.clause("PPSF-N-020", "PPSF-D-032", "PPSF-R-004", "PPSF-L-005")
def test_what_two_processes_have_trained_goes_on_in_as_many_or_more(world: int, dtype: str, tmp_path: Path) -> None:
    """Every step is lawful, all processes have the same weights, and in as many the run goes on exactly."""
    path = str(tmp_path / "zero.pt")
    saved = run(2, saves, dtype, path)
    assert same(list(saved[0]), list(saved[1]))
    found = run(world, loads, dtype, path)
    assert all(same(each, found[0]) for each in found)
    assert not same(found[0], saved[0][0])
    assert world != 2 or same(found[0], saved[0][1])
