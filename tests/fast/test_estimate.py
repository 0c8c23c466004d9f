"""The estimate: it follows its equations, has a window, and trains small models without a given step size."""

from __future__ import annotations

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.speed import course
from tests.fast.helpers import parameters, snapshot, train


@pytest.mark.need(4, 14)
def test_the_memory_of_the_estimate_is_freed_with_its_window() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, prodigy_steps=3)
    train(optimizer, params[:2], range(2))
    train(optimizer, params[1:], [2])
    assert all(not {"s", "p0"} & set(optimizer.state[param]) for param in params)
    frozen = {name: optimizer.param_groups[0][name] for name in ("d", "d_numerator", "d_denom")}
    train(optimizer, params, range(3, 6))
    group = optimizer.param_groups[0]
    assert {name: group[name] for name in frozen} == frozen
    assert group["d_prev"] == group["d"]
    assert all(not {"s", "p0"} & set(optimizer.state[param]) for param in params)


@pytest.mark.parametrize("loaded", [False, True])
def test_what_was_freed_is_not_looked_for_again_but_after_loading(
    loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = parameters()
    optimizer, full = ProdigyPlusScheduleFree(params, prodigy_steps=3), ProdigyPlusScheduleFree(params)
    train(full, params, range(3))
    train(optimizer, params, range(3))
    kept = optimizer.state_dict()
    freed: list[object] = []
    monkeypatch.setattr("ppsf_fast.state.release", freed.append)
    if loaded:  # a state that somebody else has not freed
        kept["state"] = full.state_dict()["state"]
        optimizer.load_state_dict(kept)
    train(optimizer, params, range(3, 6))
    assert len(freed) == (len(params) if loaded else 0)


def test_the_last_step_of_the_window_still_adapts() -> None:
    params, same = parameters(), parameters()
    short, long = ProdigyPlusScheduleFree(params, prodigy_steps=3), ProdigyPlusScheduleFree(same)
    train(short, params, range(3))
    train(long, same, range(3))
    assert short.param_groups[0]["d"] == long.param_groups[0]["d"] > short.param_groups[0]["d_prev"]


def test_a_window_that_opens_again_starts_anew() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, prodigy_steps=2)
    train(optimizer, params, range(4))
    optimizer.param_groups[0]["prodigy_steps"] = 0
    train(optimizer, params, [4])
    assert all({"s", "p0"} <= set(optimizer.state[param]) for param in params)


@pytest.mark.need(2)
def test_gradients_that_are_all_zero_move_nothing() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, eps=None)
    before = snapshot(optimizer, params)["weights"]
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizer.step()
    assert snapshot(optimizer, params)["weights"] == before
    assert optimizer.param_groups[0]["d"] == 1e-6


@pytest.mark.need(9)
@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_atan2_does_not_depend_on_the_scale_of_the_gradients(scale: float) -> None:
    def run(factor: float) -> list[float]:
        (param,) = parameters(shapes=[(40, 12)])
        optimizer = ProdigyPlusScheduleFree([param], eps=None, d0=1e-3)
        for _ in range(20):
            param.grad = (param.detach() - 3) * factor
            optimizer.step()
        return param.detach().flatten().tolist()

    assert run(scale) == run(1.0)


@pytest.mark.need(2)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"eps": None}, {"factored": False}], ids=str)
def test_a_small_regression_converges_and_d_rises(dtype: torch.dtype, options: dict[str, object]) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(128, 8, generator=generator)
    targets = torch.sin(inputs @ torch.randn(8, 4, generator=generator))
    params = parameters(dtype, shapes=[(8, 32), (32, 4)])
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-4, **options)

    def loss() -> torch.Tensor:
        first, second = (param.float() for param in params)
        return ((torch.tanh(inputs @ first) @ second - targets) ** 2).mean()

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value.item()

    losses = [optimizer.step(closure) for _ in range(200)]
    optimizer.eval()
    assert optimizer.param_groups[0]["d"] > 1e-3
    assert loss().item() < 0.1 * losses[0]


@pytest.mark.clause("PPSF-M-040")
def test_a_displacement_counts_as_1e_8_in_every_step() -> None:
    """Also where it is what an earlier step has stored of it, which in float32 is less."""
    stored, none = torch.tensor([[1e-8]]), torch.zeros(1, 1, dtype=torch.float64)
    _, l1, l2 = course((torch.zeros(1, 1), stored, stored), none, (none, none), torch.tensor(2))
    assert stored.double().item() < l1.item() == l2.item() == 1e-8
