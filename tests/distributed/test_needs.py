"""What people have run into with several processes, each with the release that shows it and the product that does not.

A row is a line of a survey of public threads about the published packages; its number stands in the name of the test.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from ppsf_conformance import peers
from ppsf_fast import ProdigyPlusScheduleFree
from tests.distributed.harness import ONE_AT_A_TIME, RankError, run
from tests.distributed.lawful import Judge
from tests.distributed.training import Model, loss_of

pytestmark = ONE_AT_A_TIME

UPSTREAM, STEPS = "prodigy-plus-schedule-free==2.0.1", 20


def optimizer_class(name: str) -> Any:
    """The product, or the class of a release."""
    if name == "product":
        return ProdigyPlusScheduleFree
    return peers.load("prodigyplus.prodigy_plus_schedulefree", peers.release(name)).ProdigyPlusScheduleFree


def model_of_all(dtype: torch.dtype = torch.float32) -> Model:
    """The same weights in each process; afterwards the global generators differ."""
    torch.manual_seed(0)
    model = Model().to(dtype)
    torch.manual_seed(1 + dist.get_rank())
    return model


def averaged_gradients(model: Model, step: int) -> None:
    """What DDP does: the mean of the gradients of all processes."""
    model.zero_grad()
    loss_of(model, step).backward()
    for param in model.parameters():
        assert param.grad is not None
        dist.all_reduce(param.grad)
        param.grad /= dist.get_world_size()


# ------------------------------------------------------------- row 12: replicas diverge under stochastic rounding


def weights_of_replica(name: str) -> torch.Tensor:
    model = model_of_all(torch.bfloat16)
    optimizer = optimizer_class(name)(model.parameters(), stochastic_rounding=True, d0=1e-3)
    for step in range(STEPS):
        averaged_gradients(model, step)
        optimizer.step()
    return torch.cat([param.detach().flatten() for param in model.parameters()])


@pytest.mark.clause("PPSF-R-004")
def test_row_12_replicas_that_round_stochastically() -> None:
    ours, others = run(2, weights_of_replica, "product")
    assert torch.equal(ours, others)
    first, second = run(2, weights_of_replica, UPSTREAM)
    assert (first != second).float().mean() > 0.5


# --------------------------------------------------------------- row 5: each process finds an estimate of its own


def estimate_under_zero(name: str) -> float:
    """d after some steps where each process steps some of the parameters, all with the same gradients."""
    from torch.distributed.optim import ZeroRedundancyOptimizer  # warns of something else that is deprecated

    model = model_of_all()
    cls = optimizer_class(name)
    options = {"d_limiter": False} if name == UPSTREAM else {"process_group": dist.group.WORLD}
    optimizer = ZeroRedundancyOptimizer(model.parameters(), partial(cls, d0=1e-3, **options), lr=1.0)
    for step in range(STEPS):
        averaged_gradients(model, step)
        optimizer.step()
    return float(optimizer.optim.param_groups[0]["d"])


def test_row_5_under_zero() -> None:
    """The gradients are those of two processes in all cases."""
    ours = run(2, estimate_under_zero, "product")
    assert ours[0] == ours[1]
    first, second = run(2, estimate_under_zero, UPSTREAM)
    assert first != second


def estimate_under_fsdp2(name: str) -> float:
    """d after some steps; each step of the product is judged as that of the whole parameters."""
    model: Any = model_of_all()
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    optimizer = optimizer_class(name)(model.parameters(), d0=1e-3)
    take = Judge(optimizer, d0=1e-3).step if name == "product" else optimizer.step
    for step in range(STEPS):
        loss_of(model, step).backward()
        take()
        optimizer.zero_grad()
    return float(optimizer.param_groups[0]["d"])


def test_row_5_under_fsdp2() -> None:
    found = run(3, estimate_under_fsdp2, "product")
    assert found == [found[0]] * 3
    assert found[0] > 1e-3
    with pytest.raises(RankError, match=r"in update_prodigy[\s\S]*AssertionError"):
        run(2, estimate_under_fsdp2, UPSTREAM)


# ------------------------------------------------------- row 12, second half: shards are rounded as the whole is


def rounded_in_shards() -> bool:
    """Train in bfloat16, each step judged with the bits that round the whole: whether there were any."""
    model: Any = model_of_all(torch.bfloat16)
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    judge = Judge(ProdigyPlusScheduleFree(model.parameters(), d0=1e-3), d0=1e-3)
    for step in range(STEPS):
        loss_of(model, step).backward()
        judge.step()
        model.zero_grad()
    return "PPSF-R-004" in judge.clauses


@pytest.mark.clause("PPSF-R-004")
def test_row_12_shards_are_rounded_as_the_whole_is() -> None:
    assert run(3, rounded_in_shards) == [True] * 3


# ------------------------------------------------ row 21: what is saved depends on values, and on who had a gradient


def saved_layout(zeros: bool) -> dict[str, dict[str, tuple[str, tuple[int, ...]]]]:
    """Kind and shape of all that is saved, where one process never has a gradient of the branch."""
    model: Any = model_of_all()
    if zeros:
        torch.nn.init.zeros_(model.branch.weight)
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    optimizer = ProdigyPlusScheduleFree(model.parameters())
    for step in range(2):
        loss_of(model, step).backward()
        if dist.get_rank() == 1:
            model.branch.weight.grad = None
        optimizer.step()
        optimizer.zero_grad()
    _, saved = get_state_dict(model, optimizer)
    return {
        name: {key: (type(value).__name__, tuple(value.shape)) for key, value in state.items()}
        for name, state in saved["state"].items()
    }


@pytest.mark.clause("PPSF-L-001")
def test_row_21_all_processes_save_the_same_names() -> None:
    found = [run(2, saved_layout, zeros) for zeros in (False, True)]
    (first, second), (zero, _) = found
    assert first.keys() == second.keys() == {name for name, _ in Model().named_parameters()}
    assert all(first[name].keys() == second[name].keys() for name in first)
    assert first == zero
    assert first["inner.weight"]["z"] == ("DTensor", (40, 12))


# ------------------------------------------------------------------------- row 22: whole parameters beside shards


def mixed_course() -> tuple[float, float, list[float]]:
    """Train with a parameter that FSDP2 leaves alone; returns d, and the loss before and after."""
    model: Any = model_of_all()
    alone = model.outer.weight
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)), ignored_params={alone})
    optimizer = ProdigyPlusScheduleFree(model.parameters(), d0=1e-3)
    losses = []
    for step in range(STEPS):
        loss = loss_of(model, step)
        loss.backward()
        dist.all_reduce(alone.grad)
        alone.grad /= dist.get_world_size()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return optimizer.param_groups[0]["d"], float(alone.detach().double().sum()), losses


def test_row_22_whole_parameters_beside_shards() -> None:
    (d, weight, first), (other_d, other_weight, _) = run(2, mixed_course)
    assert d == other_d > 1e-3
    assert weight == other_weight
    assert sum(first[-5:]) < sum(first[:5])
