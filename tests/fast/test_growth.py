"""What a step costs grows with what there is to step, and nothing grows with the number of steps."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ppsf_fast import ProdigyPlusScheduleFree, fuse_backward
from ppsf_fast.fused import FusedStep
from tests.fast.helpers import give_gradients, parameters, train


class Handed(TorchDispatchMode):
    """Counts the tensors that operations are handed."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += sum(isinstance(leaf, Tensor) for leaf in tree_leaves((args, kwargs)))
        return func(*args, **(kwargs or {}))


@pytest.mark.need(16, 35)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("mean", [False, True])
def test_the_work_of_a_step_grows_with_the_number_of_groups(mean: bool, fused: bool) -> None:
    """Not with its square: each layer may have an estimate of its own."""

    def work(number: int) -> int:
        params = parameters(shapes=[(3,)] * number)
        groups = [{"params": [param]} for param in params]
        optimizer = ProdigyPlusScheduleFree(groups, split_groups_mean=mean, fused_back_pass=fused)
        for step in range(2):
            give_gradients(params, step)
            with Handed() as handed:
                for param in params if fused else []:
                    optimizer.step_param(param)
                optimizer.step()
        return handed.count

    assert work(64) - work(32) <= 1.05 * (work(32) - work(16)) * 2


@pytest.mark.need(7)
@pytest.mark.parametrize("idle", ["paused", "without gradients"])
def test_parameters_that_take_no_part_are_passed_by_at_once(idle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a warm-up from 0: nothing that looks at all parameters is made for each of them."""
    made: list[FusedStep] = []
    begin = FusedStep.__init__

    def noted(self: FusedStep, *args: Any) -> None:
        made.append(self)
        begin(self, *args)

    monkeypatch.setattr(FusedStep, "__init__", noted)
    params = parameters(shapes=[(3,)] * 20)
    optimizer = ProdigyPlusScheduleFree(params, fused_back_pass=True, d0=1e-2)
    optimizer.param_groups[0]["lr"] = 0.0 if idle == "paused" else 1.0
    give_gradients(params, 0)
    for param in params:
        param.grad = param.grad if idle == "paused" else None
        optimizer.step_param(param)
    assert len(made) == 1
    optimizer.step()
    assert not optimizer.state


def test_one_that_takes_the_place_of_another_meanwhile_is_found() -> None:
    """What was made for a parameter that took no part says nothing of the others."""
    params = parameters(shapes=[(3,), (4,)])
    optimizer = ProdigyPlusScheduleFree(params, fused_back_pass=True, d0=1e-2)
    optimizer.step_param(params[0])
    late = torch.nn.Parameter(torch.ones(5))
    optimizer.param_groups[0]["params"][1] = late
    give_gradients([*params, late], 0)
    with pytest.raises(ValueError, match="none of the optimizer's"):
        optimizer.step_param(params[1])
    optimizer.step_param(params[0])
    optimizer.step_param(late)
    optimizer.step()
    assert set(optimizer.state) == {params[0], late}
    assert optimizer.param_groups[0]["k"] == 2


def one_that_steps() -> tuple[list[Tensor], Any]:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(2))
    return params, optimizer


def one_with_hooks() -> tuple[list[Tensor], Any]:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, fused_back_pass=True)
    fuse_backward(optimizer)
    torch.stack([param.sum() for param in params]).sum().backward()
    optimizer.step()
    return params, optimizer


@pytest.mark.need(14)
@pytest.mark.parametrize("make", [one_that_steps, one_with_hooks])
def test_an_optimizer_that_is_dropped_frees_its_memory(make: Callable[[], tuple[list[Tensor], Any]]) -> None:
    params, optimizer = make()
    kept = weakref.ref(optimizer), weakref.ref(params[0]), weakref.ref(optimizer.state[params[0]]["z"])
    del params, optimizer
    gc.collect()
    assert [ref() for ref in kept] == [None] * 3


@pytest.mark.need(14)
@pytest.mark.parametrize("compiles", [False, True])
def test_nothing_grows_with_the_number_of_steps(compiles: bool) -> None:
    params = parameters(shapes=[(4, 4)] * 6)
    optimizer = ProdigyPlusScheduleFree(params, compile=compiles)

    def live(steps: range) -> int:
        for step in steps:
            optimizer.param_groups[0]["lr"] = 1 / (1 + step % 7)
            optimizer.param_groups[0]["weight_decay"] = 1e-3 * (step % 5)
            passing = torch.nn.Parameter(torch.ones(3))
            optimizer.add_param_group({"params": [passing]})
            train(optimizer, [*params, passing], [step])
            optimizer.param_groups.pop()
            del optimizer.state[passing]
            optimizer.eval().train()
            optimizer.load_state_dict(optimizer.state_dict())
        gc.collect()
        return sum(issubclass(type(each), (Tensor, dict, list, tuple)) for each in gc.get_objects())

    live(range(20))
    before = live(range(20, 40))
    assert live(range(40, 100)) - before < 30  # half an object a step would be as many
