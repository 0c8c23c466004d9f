"""What people have run into with several processes, each with the release that shows it and the product that does not.

A row is a line of a survey of public threads about the published packages; its number stands in the name of the test.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from ppsf_conformance import peers
from ppsf_fast import ProdigyPlusScheduleFree
from tests.distributed.harness import ONE_AT_A_TIME, RankError, run
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


def estimates_under_zero(name: str, limited: bool) -> float:
    """d after some steps where each process steps some of the parameters, all with the same gradients."""
    from torch.distributed.optim import ZeroRedundancyOptimizer  # warns of something else that is deprecated

    model = model_of_all()
    optimizer = ZeroRedundancyOptimizer(model.parameters(), optimizer_class(name), d0=1e-3, lr=1.0, d_limiter=limited)
    for step in range(STEPS):
        averaged_gradients(model, step)
        optimizer.step()
    return float(optimizer.optim.param_groups[0]["d"])


def test_row_5_the_release_finds_another_estimate_in_each_process() -> None:
    (alone,) = run(1, estimates_under_zero, UPSTREAM, False)
    first, second = run(2, estimates_under_zero, UPSTREAM, False)
    assert len({alone, first, second}) == 3


def sharded_step(name: str) -> None:
    model = model_of_all()
    sharded = fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    optimizer = optimizer_class(name)(sharded.parameters())
    loss_of(sharded, 0).backward()
    optimizer.step()


def test_row_5_the_release_refuses_shards_of_fsdp2() -> None:
    with pytest.raises(RankError, match=r"in update_prodigy[\s\S]*AssertionError"):
        run(2, sharded_step, UPSTREAM)
