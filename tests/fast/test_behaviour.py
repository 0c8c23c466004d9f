"""What a user gains by the law where releases do otherwise: each test trains something, and names its errata."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree


def regression(rows: int, columns: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs and targets of a linear problem whose solution has this shape."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(256, columns, generator=generator)
    return inputs, inputs @ torch.randn(rows, columns, generator=generator).T


def relative_error(weight: Tensor, inputs: Tensor, targets: Tensor) -> float:
    return float(((inputs @ weight.T - targets) ** 2).mean() / (targets**2).mean())


def fitted(shape: tuple[int, int], transposed: bool, **options: Any) -> float:
    """Error after training a weight that is stored as it is used, or transposed."""
    inputs, targets = regression(*shape)
    stored = torch.zeros(shape[::-1] if transposed else shape)
    weight = torch.nn.Parameter(stored)
    optimizer = ProdigyPlusScheduleFree([weight], **options)
    for _ in range(250):
        used = weight.T if transposed else weight
        ((inputs @ used.T - targets) ** 2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    optimizer.eval()
    return relative_error((weight.T if transposed else weight).detach(), inputs, targets)


@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_a_matrix_trains_alike_tall_and_wide(revision: str) -> None:
    """ERR-0001: releases leave the long axis of a tall matrix without normalization, and miss the solution by 20 %."""
    tall, wide = (fitted((64, 32), turned, d0=1e-3, revision=revision) for turned in (False, True))
    assert tall < 1e-3
    assert wide < 1e-3


def quadratic(optimizer_of: Callable[[list[Any]], Any], steps: int, groups: int = 1, idle: int = 0) -> Any:
    """Train groups of a quadratic; the last ``idle`` ones get no gradient."""
    params = [torch.nn.Parameter(torch.zeros(20)) for _ in range(groups + idle)]
    optimizer = optimizer_of([{"params": [p]} for p in params])
    for _ in range(steps):
        for param in params[:groups]:
            param.grad = param.detach() - 1
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("d_coef", [0.5, 0.84, 2.0])
def test_the_limiter_never_keeps_the_estimate_from_growing(d_coef: float) -> None:
    """ERR-0046: in 2.0.1 a d_coef of at most 0.84 keeps d at d0 for ever."""
    made = quadratic(lambda groups: ProdigyPlusScheduleFree(groups, revision="2.0", d_coef=d_coef), 100)
    before, after = 1e-6, made.param_groups[0]["d"]
    assert after > 100 * before


def test_the_limiter_limits_whatever_d_coef_is() -> None:
    """ERR-0046: in 2.0.1 a d_coef of 10 makes a step of 2**0.25 one of 11.9."""
    made = quadratic(lambda groups: ProdigyPlusScheduleFree(groups, revision="2.0", d_coef=10.0, d0=1e-3), 3)
    assert made.param_groups[0]["d"] <= 1e-3 * 2**0.75 * (1 + 1e-12)


@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_an_idle_group_pins_nobody(revision: str) -> None:
    """ERR-0009, ERR-0051: releases average the estimate of a group that never trains into the step of the others."""

    def make(groups: list[Any]) -> ProdigyPlusScheduleFree:
        return ProdigyPlusScheduleFree(groups, split_groups_mean=True, revision=revision)

    alone, beside = quadratic(make, 60, groups=2), quadratic(make, 60, groups=2, idle=1)
    for one, other in zip(alone.param_groups, beside.param_groups[:2], strict=True):
        assert torch.equal(one["params"][0], other["params"][0])
        assert one["d"] == other["d"]


def test_freezing_changes_nothing_but_the_estimate() -> None:
    """ERR-0004: in 1.9.2 a freeze right after a growth shrinks the second moment in every later step."""

    def noise(optimizer: Any, steps: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        (param,) = optimizer.param_groups[0]["params"]
        for _ in range(steps):
            param.grad = torch.randn(20, generator=generator)
            optimizer.step()
        return optimizer.state[param]["exp_avg_sq"].mean()

    for steps in range(3, 10):
        made = quadratic(lambda groups, n=steps: ProdigyPlusScheduleFree(groups, prodigy_steps=n, d0=1e-3), steps)
        d = made.param_groups[0]["d"]
        moment = noise(made, 300, seed=1)
        assert made.param_groups[0]["d"] == d
        assert 0.8 < moment < 1.25, steps


def test_groups_that_share_an_estimate_move_alike() -> None:
    """ERR-0003: in 1.9.2 later groups keep the first d_prev, and their second moment has no memory."""
    made = quadratic(lambda groups: ProdigyPlusScheduleFree(groups, split_groups=False, d0=1e-3), 50, groups=3)
    first, *others = (group["params"][0] for group in made.param_groups)
    for other in others:
        assert torch.equal(first, other)
        assert torch.equal(made.state[first]["exp_avg_sq"], made.state[other]["exp_avg_sq"])


def test_a_last_parameter_without_gradient_does_not_stop_the_averaging() -> None:
    """ERR-0006: in 1.9.2 the last parameter of a group decides its weight sum; without gradient it stays 0."""
    used, unused = (torch.nn.Parameter(torch.zeros(20)) for _ in range(2))
    optimizer = ProdigyPlusScheduleFree([used, unused], d0=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        used.grad = torch.randn(20, generator=generator)
        optimizer.step()
    assert optimizer.param_groups[0]["weight_sum"] > 0
    assert (used - optimizer.state[used]["z"]).abs().max() > 1e-3


def test_weights_that_cannot_move_do_not_raise_the_estimate() -> None:
    """ERR-0007: with p0 in bfloat16 the rounding of the initial weights alone raises d."""
    param = torch.nn.Parameter(torch.randn(1100, generator=torch.Generator().manual_seed(3)))
    optimizer = ProdigyPlusScheduleFree([param])
    param.grad = torch.randn(1100, generator=torch.Generator().manual_seed(4))
    optimizer.step()
    assert optimizer.param_groups[0]["d"] == 1e-6


def test_a_bad_gradient_harms_neither_weights_nor_estimate() -> None:
    """ERR-0034, ERR-0061: one NaN raises d by 2**0.25 per step for ever in 2.0.1."""
    made = quadratic(lambda groups: ProdigyPlusScheduleFree(groups, revision="2.0", d0=1e-3), 20)
    (param,) = made.param_groups[0]["params"]
    before = copy.deepcopy(made.state_dict())
    param.grad = torch.full((20,), float("nan"))
    made.step()
    after = made.state_dict()
    assert torch.isfinite(param).all()
    assert after["param_groups"] == before["param_groups"]


def test_cautious_without_averaging_goes_downhill() -> None:
    """ERR-0047: 2.0.1 multiplies momentum and gradient, which loses the sign."""
    target = torch.tensor([1.0, -1.0, 2.0, -2.0])
    param = torch.nn.Parameter(torch.zeros(4))
    optimizer = ProdigyPlusScheduleFree([param], revision="2.0", use_schedulefree=False, use_cautious=True, d0=1e-2)
    for _ in range(200):
        param.grad = param.detach() - target
        optimizer.step()
    assert (param.sign() == target.sign()).all()
    assert ((param - target) ** 2).mean() < 0.1 * (target**2).mean()


def test_a_group_with_lr_0_stays_where_it_is() -> None:
    """ERR-0093, ERR-0094: Prodigy decays such a group, and moves it on by stale momentum."""
    kept, trained = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    optimizer = Prodigy([{"params": [kept]}, {"params": [trained]}], weight_decay=0.1, d0=1e-2)
    for step in range(20):
        optimizer.param_groups[0]["lr"] = 1.0 if step < 5 else 0.0
        if step == 5:
            held = kept.detach().clone()
        for param in (kept, trained):
            param.grad = param.detach() - 3
        optimizer.step()
    assert torch.equal(kept, held)
    assert not torch.equal(trained, kept)
