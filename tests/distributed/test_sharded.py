"""Sharded optimizers: each step under PyTorch's own ways to shard is judged; bad gradients, and what is refused."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.distributed import declare_flat, reductions
from ppsf_fast.distributed import step as sharded_step
from tests.distributed.harness import ONE_AT_A_TIME, RankError, run
from tests.distributed.lawful import Judge, runs_of
from tests.distributed.networks import learn, network, plain
from tests.distributed.sharded import Model, mesh_of, optimizer_of, same, seen, set_gradients, shard, whole

pytestmark = ONE_AT_A_TIME
STEPS = 5
#: What PyTorch can deal out twice along one axis.
EVEN = (32, 4)


def with_fsdp2(hybrid: bool) -> int:
    world = dist.get_world_size()
    sizes, names = ((2, 2), ("replicas", "shards")) if hybrid else ((world,), ("shards",))
    mesh, model = init_device_mesh("cpu", sizes, mesh_dim_names=names), plain()
    for part in (model[0], model[2], model):
        fully_shard(part, mesh=mesh)
    judge = Judge(ProdigyPlusScheduleFree(model.parameters(), d0=1e-3), d0=1e-3)
    learn(model, judge.step, 0, STEPS)
    return judge.steps


@pytest.mark.parametrize(("world", "hybrid"), [(2, False), (3, False), (4, True)])
@pytest.mark.clause("PPSF-N-020")
def test_fully_shard_trains_lawfully(world: int, hybrid: bool) -> None:
    assert run(world, with_fsdp2, hybrid) == [STEPS] * world


def without_others(asked: Sequence[Sequence[reductions.Partial]]) -> list[list[torch.Tensor]]:
    """What a product would take for sums that forgets the other processes."""
    return [[partial.values for partial in partials] for partials in asked]


def forgetful() -> int:
    with mock.patch.object(sharded_step, "completed", without_others):
        return with_fsdp2(hybrid=False)


def test_what_forgets_the_others_is_not_lawful() -> None:
    with pytest.raises(RankError, match=r"the law says|different numbers"):
        run(2, forgetful)


def with_tensor_parallelism() -> tuple[int, set[str]]:
    logging.getLogger("torch.distributed.tensor").setLevel(logging.ERROR)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    model = plain(*EVEN)
    parallelize_module(model, mesh["tensor"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
    fully_shard(model, mesh=mesh["data"])
    judge = Judge(ProdigyPlusScheduleFree(model.parameters(), d0=1e-3), d0=1e-3)
    for t in range(STEPS):
        set_gradients(model, t)
        judge.step()
    kinds = {type(each).__name__ for param in model.parameters() for each in param.placements}  # type: ignore[attr-defined]
    return judge.steps, kinds


@pytest.mark.clause("PPSF-N-020")
def test_tensor_parallelism_under_fully_shard_trains_lawfully() -> None:
    for steps, kinds in run(4, with_tensor_parallelism):
        assert steps == STEPS
        assert "_StridedShard" in kinds


def with_fsdp1() -> int:
    model, optimizer = network("FSDP1", "float32", seed=0)
    judge = Judge(
        optimizer, runs_of(list(model.parameters()), [param.shape for param in plain().parameters()]), d0=1e-3
    )
    learn(model, judge.step, 0, STEPS)
    return judge.steps


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.clause("PPSF-N-020")
def test_flattened_parameters_train_lawfully(world: int) -> None:
    assert run(world, with_fsdp1) == [STEPS] * world


def with_a_bad_gradient(way: Any) -> list[bool]:
    """Steps of which one has a gradient that is not finite, on the last process alone: which changed anything."""
    model = shard(Model(), *mesh_of(*way))
    optimizer, changed = optimizer_of(model), []
    for t in range(3):
        before = seen(model, optimizer)
        set_gradients(model, t)
        if t == 1 and dist.get_rank() == dist.get_world_size() - 1:
            model.parts[6].grad.to_local()[-1, -1] = float("inf")  # type: ignore[union-attr]
        optimizer.step()
        changed.append(not same(seen(model, optimizer), before))
    return [*changed, optimizer.metrics()[0]["skipped_steps"] == 1]


@pytest.mark.parametrize(("world", "way"), [(2, (("0",), (2,))), (4, (("0", "1"), (2, 2)))])
@pytest.mark.clause("PPSF-N-022", "PPSF-L-004")
def test_a_bad_gradient_of_one_process_is_a_bad_step_of_all(world: int, way: Any) -> None:
    assert run(world, with_a_bad_gradient, way) == [[True, False, True, True]] * world


def refusals() -> list[str]:
    """What is not served says so, and changes nothing."""
    mesh = init_device_mesh("cpu", (2,))
    found = []

    def refused(params: list[torch.nn.Parameter], step: Any = None, **options: Any) -> None:
        before = [param.detach().clone() for param in params]
        optimizer = ProdigyPlusScheduleFree(params, **options)
        try:
            (step or ProdigyPlusScheduleFree.step)(optimizer)
        except (TypeError, RuntimeError) as error:
            found.append(str(error))
        assert not optimizer.state
        assert all(torch.equal(whole(a), whole(b)) for a, b in zip(before, params, strict=True))

    partial = torch.nn.Parameter(DTensor.from_local(torch.ones(4), mesh, [Partial()]))
    partial.grad = DTensor.from_local(torch.ones(4), mesh, [Partial()])
    refused([partial])
    fused = torch.nn.Parameter(distribute_tensor(torch.ones(4), mesh, [Shard(0)]))
    fused.grad = distribute_tensor(torch.ones(4), mesh, [Shard(0)])
    refused([fused], lambda optimizer: optimizer.step_param(fused), fused_back_pass=True)
    whole_one = torch.nn.Parameter(torch.ones(4))
    whole_one.grad = torch.ones(4)
    refused([whole_one], lambda optimizer: copy.deepcopy(optimizer).step(), process_group=dist.group.WORLD)
    run_of_two = torch.nn.Parameter(torch.ones(2))
    declare_flat(run_of_two, (4,), 2 * dist.get_rank())
    refused([run_of_two], lambda optimizer: copy.deepcopy(optimizer).step())
    return found


@pytest.mark.clause("PPSF-N-022", "PPSF-X-006")
def test_what_is_not_served_is_refused_before_anything_changes() -> None:
    first, second = run(2, refusals)
    assert first == second
    for message, words in zip(first, ("placements", "backward pass", "process group", "pieces anew"), strict=True):
        assert words in message


def after_a_gradient_like_none_before() -> float:
    """How far weights move at most by an update of 1e20, before it is clipped."""
    model = shard(Model(shapes=((33, 7),)), *mesh_of(("0",), (2,)))
    optimizer = ProdigyPlusScheduleFree(model.parameters(), d0=1e-3, use_adopt=True, factored=False)
    for size in (1e-30, 1e12):
        before = whole(model.parts[0])
        set_gradients(model, 0)
        model.parts[0].grad *= size  # type: ignore[operator]
        optimizer.step()
    return float((whole(model.parts[0]) - before).abs().max())


@pytest.mark.clause("PPSF-C-001")
def test_a_huge_update_is_clipped_and_not_lost() -> None:
    """Its squares are beyond float32."""
    moved = run(2, after_a_gradient_like_none_before)
    assert moved[0] == moved[1] > 1e-4
