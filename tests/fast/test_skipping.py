"""A step with a non-finite gradient changes no bit, and is counted."""

from __future__ import annotations

import math

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import give_gradients, parameters, snapshot, train

BAD = [math.nan, math.inf, -math.inf]


def with_zeros(dtype: torch.dtype) -> list[torch.Tensor]:
    """Parameters with zeros of both signs: a write of y + 0 would show."""
    params = parameters(dtype)
    params[0].data[0] = -0.0
    params[1].data[:3] = torch.tensor([0.0, -0.0, -0.0])
    return params


def spoil(params: list[torch.Tensor], step: int, value: float) -> None:
    give_gradients(params, step)
    params[3].grad.view(-1)[7] = value


@pytest.mark.need(26)
@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("split", [True, False])
def test_a_bad_step_changes_no_bit(value: float, dtype: torch.dtype, split: bool) -> None:
    params = with_zeros(dtype)
    groups = [{"params": params[:2]}, {"params": params[2:]}]
    optimizer = ProdigyPlusScheduleFree(groups, split_groups=split, weight_decay=0.1)
    train(optimizer, params, range(3))
    before = snapshot(optimizer, params)
    spoil(params, 3, value)
    optimizer.step()
    assert snapshot(optimizer, params) == before
    assert [row["skipped_steps"] for row in optimizer.metrics()] == [1, 1]


@pytest.mark.need(26)
@pytest.mark.parametrize("value", BAD)
def test_a_bad_first_step_creates_no_state(value: float) -> None:
    params = with_zeros(torch.float32)
    optimizer = ProdigyPlusScheduleFree(params)
    before = snapshot(optimizer, params)
    spoil(params, 0, value)
    optimizer.step()
    assert snapshot(optimizer, params) == before
    assert not optimizer.state


def test_a_gradient_beyond_float32_counts_as_infinite() -> None:
    (param,) = parameters(shapes=[(3,)])
    param.grad_dtype = None
    param.grad = torch.full((3,), 1e300, dtype=torch.float64)
    optimizer = ProdigyPlusScheduleFree([param])
    optimizer.step()
    assert optimizer.metrics()[0]["skipped_steps"] == 1


def test_a_bad_gradient_that_does_not_take_part_does_not_count() -> None:
    first, second = parameters(shapes=[(3,), (3,)])
    optimizer = ProdigyPlusScheduleFree([{"params": [first]}, {"params": [second]}])
    optimizer.param_groups[1]["lr"] = 0.0
    give_gradients([first, second], 0)
    second.grad.fill_(math.nan)
    optimizer.step()
    assert optimizer.param_groups[0]["k"] == 2
    assert optimizer.metrics()[0]["skipped_steps"] == 0


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("prodigy_steps", [0, 2, 50])
def test_on_an_accelerator_the_device_decides(dtype: torch.dtype, prodigy_steps: int) -> None:
    params, calm = with_zeros(dtype), with_zeros(dtype)
    options = {"prodigy_steps": prodigy_steps, "weight_decay": 0.1, "weight_decay_by_lr": False}
    optimizer, other = (ProdigyPlusScheduleFree(group, **options) for group in (params, calm))
    spoil(params, 0, math.nan)
    optimizer.step()
    for step in range(6):
        train(optimizer, params, [step])
        train(other, calm, [step])
        before = snapshot(optimizer, params)
        spoil(params, 100 + step, BAD[step % 3])
        optimizer.step()
        assert snapshot(optimizer, params) == before == snapshot(other, calm)
    assert optimizer.metrics()[0]["skipped_steps"] == 7


@pytest.mark.usefixtures("accelerator")
def test_state_created_in_a_bad_step_holds_its_initial_values() -> None:
    params = with_zeros(torch.float32)
    optimizer = ProdigyPlusScheduleFree(params)
    before = snapshot(optimizer, params)
    spoil(params, 0, math.nan)
    optimizer.step()
    after = snapshot(optimizer, params)
    assert after["weights"] == before["weights"]
    assert after["groups"] == before["groups"]
    for param in params:
        state = optimizer.state[param]
        assert torch.equal(state["z"], param)
        assert torch.equal(state["p0"], param.detach().flatten()[::11])
        assert not any(state[name].any() for name in state if name not in ("z", "p0"))


def test_a_grad_scaler_may_skip_the_step() -> None:
    (param,) = parameters(shapes=[(5,)])
    optimizer = ProdigyPlusScheduleFree([param])
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before = snapshot(optimizer, [param])
    scaler.scale((param * math.inf).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert snapshot(optimizer, [param]) == before
    optimizer.zero_grad()
    scaler.scale((param**2).sum()).backward()
    scaler.step(optimizer)
    assert optimizer.param_groups[0]["k"] == 2
