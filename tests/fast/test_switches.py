"""ADOPT, OrthoGrad, FOCUS and SPEED where the product has state or devices of its own to take care of."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import give_gradients, parameters, snapshot, train

# --------------------------------------------------------------------------------------------------------------- ADOPT


@pytest.mark.usefixtures("accelerator")
@pytest.mark.clause("PPSF-M-005")
def test_a_parameter_whose_first_step_was_bad_still_fills_before_it_moves() -> None:
    """The device finds out that the step is bad; the host has made the state by then."""
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, use_adopt=True)
    give_gradients(params, 0)
    params[0].grad.view(-1)[0] = math.nan
    optimizer.step()
    before = [param.detach().clone() for param in params]
    train(optimizer, params, [0])
    assert all(torch.equal(param, was) for param, was in zip(params, before, strict=True))
    second = copy.deepcopy(params)
    untouched = ProdigyPlusScheduleFree(second, use_adopt=True)
    train(untouched, second, [0])
    assert snapshot(optimizer, params) == snapshot(untouched, second)


@pytest.mark.clause("PPSF-M-005")
def test_a_parameter_with_state_does_not_fill_when_adopt_is_switched_on() -> None:
    params = parameters(shapes=[(3,)])
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, [0])
    optimizer.param_groups[0]["use_adopt"] = True
    before = params[0].detach().clone()
    train(optimizer, params, [1])
    assert not torch.equal(params[0], before)


@pytest.mark.clause("PPSF-M-005", "PPSF-L-005")
def test_whether_a_parameter_has_filled_is_saved() -> None:
    params = parameters(shapes=[(3,), (4,)])
    optimizer = ProdigyPlusScheduleFree(params, use_adopt=True)
    params[0].grad = torch.ones(3)
    optimizer.step()
    others = [torch.nn.Parameter(param.detach().clone()) for param in params]
    resumed = ProdigyPlusScheduleFree(others, use_adopt=True)
    resumed.load_state_dict(optimizer.state_dict())
    for one, among in ((optimizer, params), (resumed, others)):
        train(one, among, [1, 2])
    assert snapshot(optimizer, params) == snapshot(resumed, others)


# ----------------------------------------------------------------------------------------------------------- OrthoGrad


@pytest.mark.clause("PPSF-M-007")
@pytest.mark.parametrize("shape", [(1,), (), (9,)])
def test_a_gradient_along_the_weights_moves_nothing(shape: tuple[int, ...]) -> None:
    params = parameters(shapes=[shape])
    before = params[0].detach().clone()
    optimizer = ProdigyPlusScheduleFree(params, use_orthograd=True, d0=0.1)
    for _ in range(5):
        params[0].grad = params[0].detach() * 0.7
        optimizer.step()
    assert torch.equal(params[0], before)


@pytest.mark.clause("PPSF-M-007")
def test_the_projection_does_not_depend_on_the_layout() -> None:
    plain = parameters(shapes=[(3, 4, 2)])
    turned = [torch.nn.Parameter(plain[0].detach().permute(2, 1, 0).contiguous().permute(2, 1, 0))]
    for params in (plain, turned):
        train(ProdigyPlusScheduleFree(params, use_orthograd=True, d0=1e-2), params, range(3))
    assert torch.equal(*map(torch.Tensor.detach, (plain[0], turned[0])))


# --------------------------------------------------------------------------------------------------------------- FOCUS


@pytest.mark.clause("PPSF-M-008", "PPSF-M-009", "PPSF-O-005")
def test_weights_at_rest_stay_there() -> None:
    params = parameters()
    before = [param.detach().clone() for param in params]
    optimizer = ProdigyPlusScheduleFree(params, use_focus=True, d0=0.1)
    for _ in range(20):
        for param in params:
            param.grad = torch.zeros_like(param)
        optimizer.step()
    assert all(torch.equal(param, was) for param, was in zip(params, before, strict=True))
    assert {tuple(optimizer.state[param]["exp_avg_sq"].shape) for param in params} == {p.shape for p in params}
