"""Kernels unscale gradients as they read them, and obey what a scaler has found; the largest gradients stay finite."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.fast.helpers import give_gradients, parameters, snapshot, train
from tests.fast.revised import CASES, build
from tests.fast.test_no_numbers import MOST, TOO_MUCH, all_finite

SCALE = 2.0**10
SHAPES = ((33, 8), (7,), (), (20, 36))


def scaled(optimizer: Any, params: list[torch.Tensor], step: int, found: float = 0.0) -> None:
    give_gradients(params, step)
    for param in params:
        assert param.grad is not None
        param.grad.mul_(SCALE)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(SCALE), torch.tensor(found)
    optimizer.step()
    del optimizer.grad_scale, optimizer.found_inf


@pytest.mark.need(25)
@pytest.mark.clause("PPSF-L-012", "PPSF-L-013")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("case", ["1.9", "2.0 without averaging", "prodigy coupled", "muon"])
def test_a_scaled_step_is_the_plain_one(case: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of both kinds in turn, and one that the scaler has found bad."""
    monkeypatch.setitem(CASES, "muon", (CASES["1.9"][0], {"use_muon_pp": True, "use_orthograd": True}))
    params, others = parameters(dtype, SHAPES), parameters(dtype, SHAPES)
    optimizer, other = build(case, params), build(case, others)
    for step in range(4):
        if step == 2:
            before = snapshot(optimizer, params)
            scaled(optimizer, params, 9, found=1.0)
            assert snapshot(optimizer, params) == before
            train(optimizer, params, [step])
        else:
            scaled(optimizer, params, step)
        train(other, others, [step])
        assert snapshot(optimizer, params) == snapshot(other, others)


@pytest.mark.need(26)
@pytest.mark.clause("PPSF-L-004")
def test_the_largest_gradients_leave_everything_finite() -> None:
    params = parameters(shapes=SHAPES)
    optimizer = build("1.9", params)
    for step in range(2):
        give_gradients(params, step)
        for param in params:
            assert param.grad is not None
            param.grad.copy_(torch.where(param.grad > 0, MOST, -MOST))
        optimizer.step()
    assert optimizer.param_groups[0]["k"] == 3
    assert all_finite(optimizer, params)
    before = snapshot(optimizer, params)
    params[3].grad[1, 1] = TOO_MUCH  # type: ignore[index]
    optimizer.step()
    assert snapshot(optimizer, params) == before


@pytest.mark.need(4)
@pytest.mark.clause("PPSF-D-033")
@pytest.mark.parametrize("case", ["1.9", "prodigy"])
def test_a_spoiled_weight_does_not_end_the_estimate(case: str) -> None:
    params = parameters(shapes=SHAPES)
    optimizer = build(case, params)
    group = optimizer.param_groups[0]
    train(optimizer, params, range(2))
    before = [group[name] for name in ("d", "d_numerator", "d_denom")]
    with torch.no_grad():
        params[0][0, 0] = torch.nan
    give_gradients(params, 2)
    params[0].grad.nan_to_num_(1.0)  # type: ignore[union-attr]
    optimizer.step()
    assert [group[name] for name in ("d", "d_numerator", "d_denom")] == before
    assert group["k"] == 4
