"""What is finite stays finite: huge gradients, and weights that somebody else has spoiled."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree
from tests.fast.helpers import give_gradients, parameters, snapshot, train

CLASSES = [(ProdigyPlusScheduleFree, {}), (ProdigyPlusScheduleFree, {"compile": True}), (Prodigy, {})]
CLASSES += [(ProdigyPlusScheduleFree, {"revision": name}) for name in ("2.0", "update3")]
#: The largest float32 number that is no infinity to the law, and the smallest that is one.
MOST, TOO_MUCH = float(torch.tensor(2.0**56).nextafter(torch.zeros(()))), 2.0**56


ESTIMATE = ("d", "d_numerator", "d_denom")


def all_finite(optimizer: Any, params: list[Tensor]) -> bool:
    state = [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]
    numbers = [torch.tensor(optimizer.param_groups[0][name]) for name in ESTIMATE]
    return all(bool(value.isfinite().all()) for value in [*params, *state, *numbers])


@pytest.mark.need(26)
@pytest.mark.clause("PPSF-L-004")
@pytest.mark.parametrize("size", [TOO_MUCH, -3e38])
@pytest.mark.parametrize(("cls", "options"), CLASSES)
def test_a_gradient_that_cannot_be_squared_changes_no_bit(cls: Any, options: dict[str, Any], size: float) -> None:
    params = parameters()
    optimizer = cls(params, **options)
    train(optimizer, params, range(2))
    before = snapshot(optimizer, params)
    give_gradients(params, 2)
    assert params[0].grad is not None
    params[0].grad[3, 5] = size
    optimizer.step()
    assert snapshot(optimizer, params) == before


@pytest.mark.need(26)
@pytest.mark.clause("PPSF-L-004")
@pytest.mark.parametrize(("cls", "options"), CLASSES)
def test_the_largest_gradients_leave_everything_finite(cls: Any, options: dict[str, Any]) -> None:
    params = parameters()
    optimizer = cls(params, **options)
    for step in range(3):
        give_gradients(params, step)
        for param in params:
            assert param.grad is not None
            param.grad.copy_(torch.where(param.grad > 0, MOST, -MOST))
        optimizer.step()
    assert optimizer.param_groups[0]["k"] == 4
    assert all_finite(optimizer, params)


@pytest.mark.need(4, 30)
@pytest.mark.clause("PPSF-D-033")
@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
@pytest.mark.parametrize(("cls", "options"), CLASSES)
def test_a_spoiled_weight_does_not_end_the_estimate(cls: Any, options: dict[str, Any], spoiled: float) -> None:
    """The estimate rests as long as the weight is no number, and goes on after that."""
    params = parameters()
    optimizer = cls(params, **options)
    group = optimizer.param_groups[0]
    train(optimizer, params, range(4))
    kept = params[0].detach().clone()
    before = {name: group[name] for name in ESTIMATE}
    weights = [params[0].data] + ([] if cls is Prodigy else [optimizer.state[params[0]]["z"]])
    for values in weights:
        values[0, 0] = spoiled
    for step in range(4, 6):
        give_gradients(params, step)
        for param in params:
            assert param.grad is not None
            param.grad.nan_to_num_(1.0, 1.0, 1.0)
        optimizer.step()
        assert {name: group[name] for name in ESTIMATE} == before
    assert group["k"] == 7
    for values in weights:
        values.copy_(kept)
    train(optimizer, params, range(6, 9))
    assert group["d_numerator"] != before["d_numerator"]
    assert all(math.isfinite(group[name]) for name in ESTIMATE)
