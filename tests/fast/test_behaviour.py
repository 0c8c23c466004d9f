"""What a user gains by the law where releases do otherwise: each test trains something, and names its errata."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree

#: Powers of ten between the size of an input and that of most others.
SPREAD = 1.0


def regression(rows: int, columns: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs, small and large ones, and targets of a linear problem whose solution has this shape."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(256, columns, generator=generator) * torch.logspace(-SPREAD, SPREAD, columns)
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
    """ERR-0001: releases do not normalize one axis of a tall matrix; its error is a thousand times as large."""
    tall, wide = (fitted((64, 32), turned, d0=1e-3, revision=revision) for turned in (False, True))
    assert tall < 1e-6
    assert wide < 1e-6


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


@pytest.mark.need(4)
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
    """ERR-0007: with p0 in bfloat16 the rounding of the initial weights alone raises d, in about half of all runs."""
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        param = torch.nn.Parameter(torch.randn(11, generator=generator))
        optimizer = ProdigyPlusScheduleFree([param])
        param.grad = torch.randn(11, generator=generator)
        optimizer.step()
        assert optimizer.param_groups[0]["d"] == 1e-6, seed


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


@pytest.mark.need(18)
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


@pytest.mark.need(18)
def test_a_step_without_gradients_leaves_the_estimate_alone() -> None:
    """ERR-0011: 1.9.2 ends every step for every group; without any gradient the estimate jumps to pi/2."""
    param = torch.nn.Parameter(torch.zeros(20))
    optimizer = ProdigyPlusScheduleFree([param])
    for gradient in (torch.ones(20), torch.ones(20), None):
        d = optimizer.param_groups[0]["d"]
        param.grad = gradient
        optimizer.step()
    assert optimizer.param_groups[0]["d"] == d > 1e-6


def test_adopt_without_averaging_steps_by_the_estimate() -> None:
    """ERR-0048: in 2.0.1 such a step is proportional to the square of d, so that nothing moves while d is small."""
    moved = []
    for d0 in (1e-2, 1e-4):
        param = torch.nn.Parameter(torch.zeros(20))
        options = {"use_schedulefree": False, "use_adopt": True, "prodigy_steps": 1, "d0": d0}
        optimizer = ProdigyPlusScheduleFree([param], revision="2.0", **options)
        for _ in range(10):
            param.grad = torch.ones(20)
            optimizer.step()
        moved.append(float(param.detach().abs().mean()) / d0)
    assert moved[0] > 1
    assert 0.99 < moved[0] / moved[1] < 1.01


@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_focus_does_not_pull_weights_that_rest(revision: str) -> None:
    """ERR-0049, ERR-0105: releases pull to an average that is, or begins, at 0."""
    param = torch.nn.Parameter(torch.full((20,), 5.0))
    optimizer = ProdigyPlusScheduleFree([param], revision=revision, use_focus=True, d0=1e-2)
    for _ in range(50):
        param.grad = torch.zeros(20)
        optimizer.step()
    assert torch.equal(param, torch.full((20,), 5.0))


def test_orthograd_leaves_scalars_where_they_are() -> None:
    """ERR-0055, ERR-0103: of one element nothing is orthogonal; releases scale the rounding residue to a full step."""
    for revision in ("1.9", "2.0"):
        param = torch.nn.Parameter(torch.tensor([1.7]))
        optimizer = ProdigyPlusScheduleFree([param], revision=revision, use_orthograd=True, d0=1e-2)
        for step in range(20):
            param.grad = torch.tensor([1.0 + 0.1 * step])
            optimizer.step()
        assert torch.equal(param, torch.tensor([1.7]))


def test_a_fused_backward_pass_with_an_unused_parameter_counts_its_steps() -> None:
    """ERR-0052: releases count parameters, so that one without gradient moves the end of a step into a later one."""

    def trained(fused: bool) -> Any:
        params = [torch.nn.Parameter(torch.zeros(20)) for _ in range(5)]
        optimizer = ProdigyPlusScheduleFree(params, fused_back_pass=fused, d0=1e-3)
        for _ in range(30):
            for param in params[:4]:
                param.grad = param.detach() - 1
                if fused:
                    optimizer.step_param(param, optimizer.param_groups[0])
            optimizer.step()
        return optimizer

    fused, ordinary = (trained(switch).param_groups[0] for switch in (True, False))
    assert fused["k"] == ordinary["k"] == 31
    assert fused["d"] == pytest.approx(ordinary["d"], rel=1e-6)
    assert fused["d"] > 1e-3


@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_with_adopt_a_late_parameter_takes_steps_like_the_others(revision: str) -> None:
    """ERR-0059, ERR-0101: releases divide its first gradient by eps."""
    early, late = (torch.nn.Parameter(torch.zeros(20)) for _ in range(2))
    optimizer = ProdigyPlusScheduleFree([early, late], revision=revision, use_adopt=True, d0=1e-3, prodigy_steps=1)
    for step in range(8):
        early.grad = torch.ones(20)
        late.grad = torch.ones(20) if step >= 4 else None
        optimizer.step()
    assert 0 < late.detach().abs().max() <= early.detach().abs().max()


def test_small_gradients_train_a_factored_matrix_like_large_ones() -> None:
    """ERR-0060: in 2.0.1 a constant in the factored moment outweighs small gradients, and updates explode."""

    def update(scale: float) -> Tensor:
        param = torch.nn.Parameter(torch.zeros(40, 40))
        options = {"revision": "2.0", "eps": None, "use_stableadamw": False, "prodigy_steps": 1}
        optimizer = ProdigyPlusScheduleFree([param], **options)
        param.grad = scale * torch.randn(40, 40, generator=torch.Generator().manual_seed(0))
        optimizer.step()
        return param.detach().clone()

    assert (update(1e-9) - update(1.0)).abs().max() <= 1e-3 * update(1.0).abs().max()


def test_estimates_may_exceed_one_and_do_not_shrink() -> None:
    """ERR-0108: with SPEED 1.9.2 lowers an estimate above 1 in every step."""
    made = quadratic(lambda groups: ProdigyPlusScheduleFree(groups, use_speed=True, d0=2.0), 10)
    assert made.param_groups[0]["d"] >= 2.0


def test_without_averaging_bias_correction_is_adams() -> None:
    """ERR-0077: 2.0.1 rectifies instead, and the first four steps move nothing."""
    param = torch.nn.Parameter(torch.zeros(20))
    options = {"use_schedulefree": False, "use_bias_correction": True, "d0": 1e-2}
    optimizer = ProdigyPlusScheduleFree([param], revision="2.0", **options)
    param.grad = torch.ones(20)
    optimizer.step()
    assert (param.detach() < -1e-3).all()
