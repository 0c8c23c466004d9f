"""The hooks of a fused backward pass: they train as ordinary steps do, whatever comes and goes."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import FusedBackward, ProdigyPlusScheduleFree, fuse_backward
from tests.fast.helpers import seen


def model() -> torch.nn.Sequential:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))


def loss_of(net: torch.nn.Module, step: int) -> Tensor:
    inputs = torch.randn(16, 20, generator=torch.Generator().manual_seed(step))
    return net(inputs).square().mean()


@pytest.mark.need(7)
@pytest.mark.parametrize("own", [False, True])
def test_hooks_train_as_ordinary_steps_do_and_free_the_gradients(own: bool) -> None:
    """Hooks of a trainer's own need no step(): a parameter that comes again begins the next one."""
    plain, hooked = model(), model()
    ordinary = ProdigyPlusScheduleFree(plain.parameters())
    fused = ProdigyPlusScheduleFree(hooked.parameters(), fused_back_pass=True)

    def move(param: Tensor) -> None:
        fused.step_parameter(param, fused.param_groups[0], 0)
        param.grad = None

    if own:
        for param in hooked.parameters():
            param.register_post_accumulate_grad_hook(move)
    else:
        fuse_backward(fused)
    for step in range(5):
        ordinary.zero_grad()
        loss_of(plain, step).backward()
        ordinary.step()
        loss_of(hooked, step).backward()
        assert all(param.grad is None for param in hooked.parameters())
        if not own:
            fused.step()
    assert seen(fused, list(hooked.parameters())) == seen(ordinary, list(plain.parameters()))


def test_removed_hooks_are_gone_and_removing_twice_is_nothing() -> None:
    net = model()
    optimizer = ProdigyPlusScheduleFree(net.parameters(), fused_back_pass=True)
    hooks = fuse_backward(optimizer)
    assert isinstance(hooks, FusedBackward)
    hooks.remove()
    hooks.remove()
    loss_of(net, 0).backward()
    assert not optimizer.state
    late = torch.nn.Parameter(torch.ones(3))
    optimizer.add_param_group({"params": [late]})
    late.sum().backward()
    assert late.grad is not None


def test_parameters_that_are_added_later_get_their_hook() -> None:
    net, late = model(), torch.nn.Parameter(torch.ones(20))
    optimizer = ProdigyPlusScheduleFree(net.parameters(), fused_back_pass=True)
    with fuse_backward(optimizer):
        loss_of(net, 0).backward()
        optimizer.step()
        optimizer.add_param_group({"params": [late]})
        (late * 2).sum().backward()
        assert late.grad is None
        assert late in optimizer.state


def test_two_handles_on_one_optimizer_move_each_parameter_once() -> None:
    net = model()
    optimizer = ProdigyPlusScheduleFree(net.parameters(), fused_back_pass=True)
    with fuse_backward(optimizer), fuse_backward(optimizer):
        loss_of(net, 0).backward()
        optimizer.step()
    assert optimizer.param_groups[0]["k"] == 2


@pytest.mark.need(7)
def test_frozen_parameters_have_no_hook_and_do_not_shift_the_end() -> None:
    net = model()
    net[0].requires_grad_(False)
    optimizer = ProdigyPlusScheduleFree(net.parameters(), fused_back_pass=True)
    with fuse_backward(optimizer):
        for step in range(4):
            loss_of(net, step).backward()
            optimizer.step()
    assert optimizer.param_groups[0]["k"] == 5


@pytest.mark.need(7)
@pytest.mark.parametrize("compiles", [False, True])
def test_who_is_unfrozen_under_hooks_or_takes_the_place_of_another_is_trained(compiles: bool) -> None:
    """Else its gradients would be added up for ever, and nothing would say so."""

    def outcome(fused: bool) -> tuple[Any, Any]:
        net = model()
        net[0].requires_grad_(False)
        optimizer = ProdigyPlusScheduleFree(net.parameters(), d0=1e-3, fused_back_pass=fused, compile=compiles)
        hooks = fuse_backward(optimizer) if fused else None
        for step in range(8):
            if step in (2, 5):
                net[0].requires_grad_(step == 2)
            if step == 4:
                old, net[2].bias = net[2].bias, torch.nn.Parameter(net[2].bias.detach().clone())
                params = optimizer.param_groups[0]["params"]
                params[[each is old for each in params].index(True)] = net[2].bias
            loss_of(net, step).backward()
            optimizer.step()
            assert hooks is None or all(param.grad is None for param in net.parameters())
            optimizer.zero_grad()
        return optimizer, list(net.parameters())

    assert seen(*outcome(True)) == seen(*outcome(False))


@pytest.mark.need(1, 7)
@pytest.mark.parametrize("in_step", [False, True])
@pytest.mark.parametrize("accumulates", [False, True])
def test_hooks_stay_where_a_state_dict_is_loaded(accumulates: bool, in_step: bool) -> None:
    """As in a script that makes model, optimizer and hooks, and then looks for a checkpoint."""

    def outcome(fused: bool) -> tuple[Any, Any]:
        net = model()
        optimizer = ProdigyPlusScheduleFree(net.parameters(), d0=1e-3, fused_back_pass=fused)
        hooks = fuse_backward(optimizer) if fused else None
        loss_of(net, 0).backward()
        optimizer.step()
        optimizer.zero_grad()
        saved, weights = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(net.state_dict())
        if in_step:
            loss_of(net, 1).backward()
        optimizer.load_state_dict(saved)
        net.load_state_dict(weights)
        optimizer.zero_grad()
        optimizer.add_param_group({"params": [late := torch.nn.Parameter(torch.ones(3))]})
        for step in range(2, 5):
            if accumulates:
                with hooks.accumulating() if hooks else contextlib.nullcontext():
                    (loss_of(net, step + 10) + late.square().sum()).backward()
            loss_of(net[:2], step).backward() if accumulates else (loss_of(net, step) + late.square().sum()).backward()
            optimizer.step()
            optimizer.zero_grad()
        return optimizer, [*net.parameters(), late]

    assert seen(*outcome(True)) == seen(*outcome(False))


def train(net: torch.nn.Module, optimizer: ProdigyPlusScheduleFree, steps: Iterable[int]) -> None:
    with fuse_backward(optimizer) if optimizer.is_fused else contextlib.nullcontext():
        for step in steps:
            loss_of(net, step).backward()
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.need(1, 7)
@pytest.mark.parametrize("fused", [False, True])
def test_a_run_may_be_resumed_the_other_way(fused: bool) -> None:
    """The state brings the option as it was saved, so to give it to the constructor, as was said, is not enough."""
    net, resumed = model(), model()
    optimizer = ProdigyPlusScheduleFree(net.parameters(), d0=1e-3, fused_back_pass=not fused)
    train(net, optimizer, range(3))
    other = ProdigyPlusScheduleFree(resumed.parameters(), d0=1e-3, fused_back_pass=fused)
    resumed.load_state_dict(net.state_dict())
    other.load_state_dict(optimizer.state_dict())
    loss_of(resumed, 3).backward()
    if fused:
        for call in (lambda: fuse_backward(other), lambda: other.step_param(next(resumed.parameters()))):
            with pytest.raises(RuntimeError, match="loaded state"):
                call()
    else:
        with pytest.warns(UserWarning, match="loaded state"):
            other.step()
    other.zero_grad()
    for group in other.param_groups:
        group["fused_back_pass"] = fused
    train(resumed, other, range(3, 6))
    train(net, optimizer, range(3, 6))
    assert seen(other, list(resumed.parameters())) == seen(optimizer, list(net.parameters()))


def test_a_wrapper_is_refused() -> None:
    with pytest.raises(TypeError, match="pass the optimizer inside"):
        fuse_backward(object())  # type: ignore[arg-type]
