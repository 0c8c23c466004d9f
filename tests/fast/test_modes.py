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
    optimizer, params = trained(dtype)
    live = [param.detach().double() for param in params]
    z = [optimizer.state[param]["z"].double() for param in params]
    assert optimizer.eval() is optimizer
    tolerance = 2.0**-8 if dtype == torch.bfloat16 else 1e-6
    for param, y_, z_ in zip(params, live, z, strict=True):
        average = z_ + (y_ - z_) / 0.9
        torch.testing.assert_close(param.detach().double(), average, rtol=tolerance, atol=tolerance)
    assert optimizer.train() is optimizer
    for param, y_ in zip(params, live, strict=True):
        torch.testing.assert_close(param.detach().double(), y_, rtol=2 * tolerance, atol=2 * tolerance)


def test_bfloat16_weights_are_rounded_to_nearest() -> None:
    optimizer, params = trained(torch.bfloat16)
    y, z = params[0].detach().float(), optimizer.state[params[0]]["z"].float()
    optimizer.eval()
    assert bits(params[0]) == bits((y + (z - y) * (1 - 1 / 0.9)).bfloat16())


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


def test_before_the_first_step_the_weights_stay() -> None:
    params = parameters()
    before = [bits(param) for param in params]
    optimizer = ProdigyPlusScheduleFree(params)
    optimizer.eval()
    optimizer.train()
    assert [bits(param) for param in params] == before
    assert not optimizer.state


def test_a_step_in_eval_mode_is_refused_before_the_closure_and_changes_nothing() -> None:
    optimizer, params = trained(torch.float32)
    optimizer.eval()
    before = snapshot(optimizer, params)
    with pytest.raises(RuntimeError, match=r"train\(\)"):
        optimizer.step(lambda: pytest.fail("the closure was called"))
    assert snapshot(optimizer, params) == before


def test_an_interlude_in_eval_mode_does_not_disturb_training() -> None:
    params = [parameters(), parameters()]
    optimizers = [ProdigyPlusScheduleFree(group) for group in params]
    for step in range(20):
        for group, optimizer in zip(params, optimizers, strict=True):
            train(optimizer, group, [step])
        optimizers[1].eval()
        optimizers[1].train()
    for calm, disturbed in zip(*params, strict=True):
        torch.testing.assert_close(calm, disturbed, rtol=1e-4, atol=1e-5)


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
