"""Train and eval mode: where the weights are, and when a step is allowed."""

from __future__ import annotations

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train


def trained(dtype: torch.dtype) -> tuple[ProdigyPlusScheduleFree, list[torch.Tensor]]:
    params = parameters(dtype)
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2)
    train(optimizer, params, range(5))
    return optimizer, params


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eval_stores_the_average_and_train_the_live_weights(dtype: torch.dtype) -> None:
    param = torch.nn.Parameter(torch.zeros(2, dtype=dtype))
    optimizer = ProdigyPlusScheduleFree([param], betas=(0.5, 0.99))
    train(optimizer, [param], [0])
    with torch.no_grad():
        param.copy_(torch.tensor([1.0, -3.0]))
        optimizer.state[param]["z"].copy_(torch.tensor([0.5, 4.0]))
    assert optimizer.eval() is optimizer
    assert param.tolist() == [1.5, -10.0]  # z + (y - z) / beta1
    assert optimizer.train() is optimizer
    assert param.tolist() == [1.0, -3.0]


def test_bfloat16_weights_are_rounded_to_nearest() -> None:
    optimizer, params = trained(torch.bfloat16)
    y, z = params[0].detach().float(), optimizer.state[params[0]]["z"].float()
    optimizer.eval()
    assert bits(params[0]) == bits((y + (z - y) * (1 - 1 / 0.9)).bfloat16())


@pytest.mark.need(3)
def test_modes_are_idempotent() -> None:
    optimizer, params = trained(torch.float32)
    optimizer.train()
    for switch in (optimizer.eval, optimizer.train):
        switch()
        once = snapshot(optimizer, params)
        switch()
        assert snapshot(optimizer, params) == once


def test_train_takes_the_mode_as_modules_do() -> None:
    optimizer, _ = trained(torch.float32)
    assert not optimizer.train(False).param_groups[0]["train_mode"]
    assert optimizer.train(True).param_groups[0]["train_mode"]


@pytest.mark.need(3)
def test_before_the_first_step_the_weights_stay() -> None:
    params = parameters()
    before = [bits(param) for param in params]
    optimizer = ProdigyPlusScheduleFree(params)
    optimizer.eval()
    optimizer.train()
    assert [bits(param) for param in params] == before
    assert not optimizer.state


@pytest.mark.need(3)
def test_a_step_in_eval_mode_is_refused_before_the_closure_and_changes_nothing() -> None:
    optimizer, params = trained(torch.float32)
    optimizer.eval()
    before = snapshot(optimizer, params)
    with pytest.raises(RuntimeError, match=r"train\(\)"):
        optimizer.step(lambda: pytest.fail("the closure was called"))
    assert snapshot(optimizer, params) == before


@pytest.mark.need(3, 37)
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_whose_closure_leaves_eval_mode_behind_is_refused(fused: bool) -> None:
    """One that shows a sample on the way, and does not come back, would train on the average."""
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2, fused_back_pass=fused)
    before = []

    def closure() -> None:
        give_gradients(params, 0)
        optimizer.eval()
        before.append(snapshot(optimizer, params))

    with pytest.raises(RuntimeError, match=r"train\(\)"):
        optimizer.step(closure)
    assert before == [snapshot(optimizer, params)]


def test_a_learning_rate_that_a_closure_sets_is_checked() -> None:
    optimizer, params = trained(torch.float32)
    before = snapshot(optimizer, params)["weights"]
    with pytest.raises(ValueError, match="lr=-1"):
        optimizer.step(lambda: optimizer.param_groups[0].update(lr=-1.0))
    assert snapshot(optimizer, params)["weights"] == before


@pytest.mark.need(37)
def test_the_closure_runs_once_with_gradients_and_its_value_is_returned() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    calls = []

    def closure() -> str:
        calls.append((torch.is_grad_enabled(), optimizer.param_groups[0]["k"]))
        give_gradients(params, 0)
        return "loss"

    with torch.no_grad():
        assert optimizer.step(closure) == "loss"
    assert calls == [(True, 1)]
    assert optimizer.param_groups[0]["k"] == 2


def test_a_group_added_in_eval_mode_is_in_eval_mode() -> None:
    optimizer, _ = trained(torch.float32)
    optimizer.eval()
    optimizer.add_param_group({"params": parameters()})
    assert [group["train_mode"] for group in optimizer.param_groups] == [False, False]
    optimizer.train()
    optimizer.step()
