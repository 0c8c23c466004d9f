"""Groups: how they start, share, and what may be edited and read between steps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import give_gradients, parameters, snapshot, train
from tests.fast.revised import CASES, build

POOL = ("d", "d_prev", "d_numerator", "d_denom", "k")


def pair(**options: object) -> tuple[list[torch.Tensor], ProdigyPlusScheduleFree]:
    params = parameters(shapes=[(40, 8), (25,)])
    return params, ProdigyPlusScheduleFree([{"params": [param]} for param in params], **options)


@pytest.mark.need(27)
@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("split", [True, False])
def test_a_group_added_later_starts_as_a_new_one(split: bool) -> None:
    params, optimizer = pair(split_groups=split)
    train(optimizer, params, range(5))
    (late,) = parameters(shapes=[(12,)])
    optimizer.add_param_group({"params": late, "lr": 0.5})
    first, _, added = optimizer.param_groups
    expected = {"d": 1e-6, "d_prev": 1e-6, "d_numerator": 0.0, "d_denom": 0.0, "k": 1} if split else first
    assert {name: added[name] for name in POOL} == {name: expected[name] for name in POOL}
    assert first["k"] == 6
    assert added["weight_sum"] == 0.0
    train(optimizer, [*params, late], range(5, 8))
    assert optimizer.metrics()[2]["k"] == (4 if split else 9)


@pytest.mark.need(27, 28)
def test_a_group_that_is_refused_is_not_added() -> None:
    params, optimizer = pair()
    before = snapshot(optimizer, params)
    double = torch.nn.Parameter(torch.ones(2).double())
    for bad in ([double], params[0], {params[0]}):
        with pytest.raises((TypeError, ValueError)):
            optimizer.add_param_group({"params": bad})
    with pytest.raises(ValueError, match="eps"):
        optimizer.add_param_group({"params": parameters(), "eps": -1.0})
    assert snapshot(optimizer, params) == before


@pytest.mark.need(27, 28)
def test_a_group_that_disagrees_with_the_others_is_not_added() -> None:
    params, optimizer = pair(split_groups=False)
    train(optimizer, params, range(2))
    before = snapshot(optimizer, params)
    with pytest.raises(ValueError, match="differ in d0"):
        optimizer.add_param_group({"params": parameters(), "d0": 1e-3})
    assert snapshot(optimizer, params) == before


@pytest.mark.need(27, 28)
def test_a_parameter_that_is_given_twice_is_refused() -> None:
    params, optimizer = pair()
    before = snapshot(optimizer, params)
    late = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="parameter 2 of the group is parameter 0 once more"):
        optimizer.add_param_group({"params": [late, torch.nn.Parameter(torch.ones(2)), late]})
    assert snapshot(optimizer, params) == before


def test_named_parameters_and_generators_are_taken() -> None:
    model = torch.nn.Linear(3, 2)
    assert len(ProdigyPlusScheduleFree(model.named_parameters()).param_groups[0]["params"]) == 2
    assert len(ProdigyPlusScheduleFree(p for p in model.parameters()).param_groups[0]["params"]) == 2
    assert len(ProdigyPlusScheduleFree([{"params": model.parameters()}]).param_groups[0]["params"]) == 2


@pytest.mark.need(17)
@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("split", [True, False])
def test_d_times_effective_lr_is_the_step_size_in_use(split: bool, mean: bool) -> None:
    params, optimizer = pair(split_groups=split, split_groups_mean=mean, lr=0.5)
    train(optimizer, params, range(8))
    d = [group["d"] for group in optimizer.param_groups]
    harmonic = 2 / (1 / d[0] + 1 / d[1])
    for group, row in zip(optimizer.param_groups, optimizer.metrics(), strict=True):
        estimate = harmonic if split and mean else group["d"]
        assert isinstance(group["effective_lr"], float)
        # A few roundings apart: those of the mean, of the quotient and of the products.
        assert abs(row["dlr"] - 0.5 * estimate) <= 4 * math.ulp(row["dlr"])
        assert abs(group["d"] * group["effective_lr"] - row["dlr"]) <= 4 * math.ulp(row["dlr"])
        before = group["weight_sum"]
        train(optimizer, [group["params"][0]], [8])
        assert abs(group["weight_sum"] - before - row["dlr"] ** 2) <= 4 * math.ulp(group["weight_sum"])
        break


@pytest.mark.clause("PPSF-G-010")
@pytest.mark.parametrize(
    ("given", "factor"),
    [
        ({}, 1.0),
        ({"use_bias_correction": True}, 0.0),
        ({"revision": "update3", "warmup_steps": 10}, 0.1),
    ],
)
def test_before_the_first_step_effective_lr_is_that_of_the_first_step(given: dict[str, Any], factor: float) -> None:
    optimizer = ProdigyPlusScheduleFree([torch.nn.Parameter(torch.ones(3))], lr=0.5, **given)
    assert optimizer.param_groups[0]["effective_lr"] == 0.5 * factor


@pytest.mark.usefixtures("accelerator")
def test_an_edit_of_a_scalar_is_honoured() -> None:
    params, optimizer = pair(split_groups_mean=False)
    train(optimizer, params, range(3))
    optimizer.metrics()
    optimizer.param_groups[0].update(d=1e-2, weight_sum=0.0, k=10)
    train(optimizer, params, [3])
    row = optimizer.metrics()[0]
    assert row["d_prev"] == 1e-2
    assert row["k"] == 11
    assert row["weight_sum"] == 1e-2 * 1e-2


def test_an_edit_in_one_group_of_a_shared_estimate_holds_for_all() -> None:
    params, optimizer = pair(split_groups=False)
    train(optimizer, params, range(3))
    first, second = optimizer.param_groups
    second["d"] = 1e-2
    train(optimizer, params, [3])
    assert first["d_prev"] == 1e-2
    assert {name: first[name] for name in POOL} == {name: second[name] for name in POOL}


@pytest.mark.need(18, 32)
def test_learning_rate_schedulers_work() -> None:
    params, optimizer = pair()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.0 if epoch == 1 else 1.0)
    train(optimizer, params, [0])
    scheduler.step()
    before = snapshot(optimizer, params)
    train(optimizer, params, [1])
    assert snapshot(optimizer, params) == before
    scheduler.step()
    train(optimizer, params, [2])
    assert [group["k"] for group in optimizer.param_groups] == [3, 3]


def test_the_estimate_of_one_group_is_not_disturbed_by_the_mean() -> None:
    params, optimizer = pair()
    assert [row["step_estimate"] for row in optimizer.metrics()] == [1e-6, 1e-6]
    assert [row["d_hat"] for row in optimizer.metrics()] == [0.0, 0.0]
    train(optimizer, params, range(9))
    own = [group["d"] for group in optimizer.param_groups]
    sums = [optimizer.state[param]["s"].clone() for param in params]
    assert own[0] != own[1]
    train(optimizer, params, [9])
    assert [group["d_prev"] for group in optimizer.param_groups] == own
    for param, d, s in zip(params, own, sums, strict=True):
        assert param.grad is not None
        weight = torch.tensor(d, dtype=torch.float64).sqrt().float()
        s.mul_(math.sqrt(0.99)).add_(param.grad.flatten()[::11] * weight)
        assert torch.equal(optimizer.state[param]["s"], s)


def test_parameters_that_have_no_shape_yet_are_taken() -> None:
    layer = torch.nn.LazyLinear(3)
    optimizer = ProdigyPlusScheduleFree(layer.parameters())
    assert "tensors=2, parameters=0, uninitialized=2" in repr(optimizer)
    with pytest.raises(ValueError, match="has no shape yet"):
        optimizer.memory()
    layer(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    assert {value["z"].shape for value in optimizer.state.values()} == {(3, 4), (3,)}


@pytest.mark.parametrize("case", CASES)
def test_without_any_group_nothing_happens_and_one_may_be_added(case: str) -> None:
    """As after `param_groups.clear()`, by which trainers let go of a model."""
    params = parameters()
    optimizer = build(case, params)
    optimizer.param_groups.clear()
    optimizer.eval()
    optimizer.train()
    assert optimizer.step(lambda: 0.5) == 0.5
    assert (optimizer.metrics(), optimizer.why(), optimizer.memory().total) == ([], [], 0)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.add_param_group({"params": params})
    give_gradients(params, 0)
    optimizer.step()
    assert optimizer.metrics()[0]["k"] == 2
