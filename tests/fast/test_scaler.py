"""torch.amp.GradScaler: scaled gradients step as unscaled ones do, and a step with an infinity changes no bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree, fuse_backward
from tests.fast.helpers import give_gradients, parameters, snapshot, train

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
CLASSES = [ProdigyPlusScheduleFree, Prodigy, AdamWScheduleFree]
SCALE = 2.0**10


def scaled_gradients(scaler: torch.amp.GradScaler, params: list[Tensor], step: int) -> None:
    """What a backward pass of the scaled loss leaves."""
    give_gradients(params, step)
    factor = scaler.scale(torch.ones(()))
    for param in params:
        assert param.grad is not None
        param.grad.mul_(factor)


def made(cls: Any = ProdigyPlusScheduleFree, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    params = parameters(dtype)
    return params, cls([{"params": params[:2]}, {"params": params[2:]}], **options)


@pytest.mark.need(25)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_scaled_step_is_the_plain_one(cls: Any, dtype: torch.dtype) -> None:
    """The scale is a power of two, so that nothing but an error can make a difference."""
    (params, optimizer), (others, other) = made(cls, dtype), made(cls, dtype)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=3)
    for step in range(5):
        scaled_gradients(scaler, params, step)
        grads = [param.grad.clone() for param in params]
        scaler.step(optimizer)
        assert all(torch.equal(param.grad, grad) for param, grad in zip(params, grads, strict=True))
        scaler.update()
        train(other, others, [step])
        assert snapshot(optimizer, params) == snapshot(other, others)
    assert scaler.get_scale() == 2 * SCALE


@pytest.mark.parametrize("scale", [3.0, 1000.0])
def test_unscaling_inside_gives_the_bits_of_unscaling_before(scale: float) -> None:
    (params, optimizer), (others, other) = made(), made()
    inside, before = (torch.amp.GradScaler("cpu", init_scale=scale) for _ in range(2))
    for step in range(3):
        scaled_gradients(inside, params, step)
        inside.step(optimizer)
        scaled_gradients(before, others, step)
        before.unscale_(other)
        before.step(other)
        assert snapshot(optimizer, params) == snapshot(other, others)
        inside.update()
        before.update()


@pytest.mark.need(25)
@pytest.mark.parametrize(("dtype", "unscaled_before"), [*((dtype, False) for dtype in DTYPES), (torch.float32, True)])
def test_a_step_with_an_infinity_changes_no_bit(dtype: torch.dtype, unscaled_before: bool) -> None:
    params, optimizer = made(dtype=dtype)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    train(optimizer, params, range(2))
    before = snapshot(optimizer, params)
    scaled_gradients(scaler, params, 2)
    params[3].grad.view(-1)[5] = torch.inf
    if unscaled_before:
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert snapshot(optimizer, params) == before
    assert [row["skipped_steps"] for row in optimizer.metrics()] == [1, 1]
    assert scaler.get_scale() == SCALE / 2


@pytest.mark.need(25)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_are_unscaled_in_float32(dtype: torch.dtype, fused: bool) -> None:
    """So that what a scale keeps from vanishing in float16 does not vanish when it is taken away."""
    (params, optimizer), (others, other) = made(dtype=dtype, fused_back_pass=fused), made(dtype=dtype)
    scale = torch.tensor(3.0 * 2**20)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        for param, twin in zip(params, others, strict=True):
            twin.grad = param.grad = None
            param.grad = torch.randn(param.shape, generator=generator).to(dtype)
            twin.grad_dtype = None
            twin.grad = param.grad.float() * (1 / scale.double()).float()
        optimizer.grad_scale, optimizer.found_inf = scale, torch.zeros(())
        for param in params if fused else []:
            optimizer.step_param(param)
        optimizer.step()
        other.step()
    mine, theirs = snapshot(optimizer, params), snapshot(other, others)
    assert (mine["weights"], mine["state"]) == (theirs["weights"], theirs["state"])
    assert optimizer.metrics() == other.metrics()


@pytest.mark.need(25)
def test_what_the_scaler_finds_elsewhere_counts() -> None:
    """It looks at all gradients, also at those of a group that pauses."""
    params, optimizer = made()
    optimizer.param_groups[1]["lr"] = 0.0
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    before = snapshot(optimizer, params)
    scaled_gradients(scaler, params, 0)
    params[-2].grad.fill_(torch.nan)
    scaler.step(optimizer)
    assert snapshot(optimizer, params) == before


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("found", [0.0, 1.0])
@pytest.mark.parametrize("fused", [False, True])
def test_on_an_accelerator_the_device_decides(fused: bool, found: float) -> None:
    (params, optimizer), (others, other) = made(fused_back_pass=fused), made(fused_back_pass=fused)
    for step in range(3):
        for mine, theirs in ((params, optimizer), (others, other)):
            give_gradients(mine, step)
            if mine is params:
                optimizer.grad_scale, optimizer.found_inf = torch.tensor(SCALE), torch.tensor(found * (step == 1))
                for param in params:
                    param.grad.mul_(SCALE)
            elif found and step == 1:
                continue
            for param in mine if fused else []:
                theirs.step_param(param)
            theirs.step()
    assert snapshot(optimizer, params) == snapshot(other, others)


def test_the_scale_is_not_kept() -> None:
    """A step after it that nobody has scaled is an ordinary one."""
    (params, optimizer), (others, other) = made(), made()
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    scaled_gradients(scaler, params, 0)
    scaler.step(optimizer)
    train(optimizer, params, [1])
    train(other, others, range(2))
    assert snapshot(optimizer, params) == snapshot(other, others)


@pytest.mark.need(8)
def test_a_scaler_around_hooks_is_refused_at_its_first_step() -> None:
    """The hooks have moved the weights by gradients that only scaler.step() would unscale."""
    (param,) = parameters(shapes=[(5,)])
    optimizer = ProdigyPlusScheduleFree([param], fused_back_pass=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    with fuse_backward(optimizer):
        scaler.scale((param**2).sum()).backward()
        with pytest.raises(RuntimeError, match="unscaled"):
            scaler.step(optimizer)


class PerParameter(torch.amp.GradScaler):
    """As a trainer does that steps parameters one by one: each is unscaled alone, and sits out if it overflows."""

    def step_unscaled(self, param: Tensor, optimizer: ProdigyPlusScheduleFree) -> None:
        found, gradient = torch.zeros(()), param.grad
        assert gradient is not None
        inverse = torch.tensor(1 / self.get_scale())
        torch._amp_foreach_non_finite_check_and_unscale_([gradient], found, inverse)
        if not found:
            optimizer.step_param(param)
        param.grad = None


@pytest.mark.need(7, 8)
def test_a_trainer_that_unscales_each_parameter_goes_on() -> None:
    """It never calls step(): a parameter that comes again begins the next step, whoever sat out."""
    params, others = parameters(shapes=[(4,), (3, 2)]), parameters(shapes=[(4,), (3, 2)])
    optimizer = ProdigyPlusScheduleFree(params, fused_back_pass=True)
    other = ProdigyPlusScheduleFree(others)
    scaler = PerParameter("cpu", init_scale=SCALE)
    for step in range(5):
        scaled_gradients(scaler, params, step)
        give_gradients(others, step)
        if step == 2:
            assert params[1].grad is not None
            params[1].grad.view(-1)[0] = torch.inf
            others[1].grad = None
        for param in params:
            scaler.step_unscaled(param, optimizer)
        other.step()
    mine, theirs = snapshot(optimizer, params), snapshot(other, others)
    assert (mine["weights"], mine["state"]) == (theirs["weights"], theirs["state"])
    assert optimizer.param_groups[0]["d"] == other.param_groups[0]["d"]
