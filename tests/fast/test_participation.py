"""Who takes part in a step, and that everything else is left alone - whatever the shape, layout or dtype."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train

POOL = ("d", "d_prev", "d_numerator", "d_denom", "k")


def test_a_parameter_without_gradient_keeps_its_weights_and_gets_no_state() -> None:
    params = parameters()
    before = bits(params[1])
    optimizer = ProdigyPlusScheduleFree(params)
    for step in range(3):
        give_gradients(params, step)
        params[1].grad = None
        optimizer.step()
    assert bits(params[1]) == before
    assert params[1] not in optimizer.state
    assert optimizer.param_groups[0]["k"] == 4


def test_a_late_parameter_starts_from_its_weights_of_that_step() -> None:
    early, late = parameters(shapes=[(30,), (30,)])
    optimizer = ProdigyPlusScheduleFree([early, late])
    train(optimizer, [early], range(3))
    with torch.no_grad():
        late.fill_(2.5)
    train(optimizer, [early, late], [3])
    assert bits(optimizer.state[late]["p0"]) == bits(torch.full((3,), 2.5))
    assert optimizer.state[late]["s"].shape == (3,)
    assert bool(((optimizer.state[late]["z"] - 2.5).abs() < 0.01).all())


@pytest.mark.need(18)
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("idle", ["no gradient", "lr=0"])
def test_an_idle_group_is_left_untouched(split: bool, idle: str) -> None:
    active, other = parameters(shapes=[(40, 8), (40, 8)])
    optimizer = ProdigyPlusScheduleFree([{"params": [active]}, {"params": [other]}], split_groups=split)
    train(optimizer, [active, other], range(4))
    group, before = optimizer.param_groups[1], snapshot(optimizer, [other])
    lr = group["lr"] = 0.0 if idle == "lr=0" else 1.0
    for step in range(4, 8):
        give_gradients([active, other], step)
        other.grad = None if lr else other.grad
        optimizer.step()
    after = snapshot(optimizer, [other])
    assert after["weights"] == before["weights"]
    assert after["state"][1] == before["state"][1]
    names = ("weight_sum", *POOL) if split else ("weight_sum",)
    assert {name: group[name] for name in names} == {name: before["groups"][1][name] for name in names}
    together = [optimizer.param_groups[0][name] == group[name] for name in POOL]
    assert all(together) is not split


def test_a_step_in_which_nothing_takes_part_changes_nothing() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(3))
    before = snapshot(optimizer, params)
    optimizer.zero_grad()
    optimizer.step()
    assert snapshot(optimizer, params) == before


@pytest.mark.need(18)
def test_an_idle_group_does_not_enter_the_mean_estimate() -> None:
    active, idle = parameters(shapes=[(40,), (40,)])
    optimizer = ProdigyPlusScheduleFree([{"params": [active]}, {"params": [idle]}])
    train(optimizer, [active], range(20))
    own, estimate = optimizer.param_groups[0]["d"], optimizer.metrics()[0]["step_estimate"]
    assert own > optimizer.param_groups[1]["d"]
    assert abs(estimate - own) <= math.ulp(own)  # the harmonic mean of one
    before = optimizer.param_groups[0]["weight_sum"]
    train(optimizer, [active], [20])
    after = optimizer.param_groups[0]["weight_sum"]
    assert abs(after - before - estimate**2) <= 4 * math.ulp(after)  # and the step is taken with it


@pytest.mark.parametrize("grad_dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_any_real_dtype(dtype: torch.dtype, grad_dtype: torch.dtype) -> None:
    def run(store_as: torch.dtype) -> list[object]:
        params = parameters(dtype)
        optimizer = ProdigyPlusScheduleFree(params)
        for param in params:
            param.grad_dtype = None
            param.grad = (param.detach().float() * 0.25).half().to(torch.bfloat16).to(store_as)
        optimizer.step()
        return [bits(param) for param in params]

    assert run(grad_dtype) == run(torch.float64)


def strided(param: Tensor) -> Tensor:
    """The same values at every second place of a larger array, transposed."""
    wide = torch.zeros(*reversed(param.shape), 2)
    view = wide[..., 0].permute(*reversed(range(param.dim())))
    view.copy_(param)
    return view


@pytest.mark.parametrize("shape", [(40, 12), (7,), (3, 2, 33), (64, 64)])
def test_strides_do_not_matter(shape: tuple[int, ...]) -> None:
    (plain,) = parameters(shapes=[shape])
    view = torch.nn.Parameter(strided(plain.detach()))
    runs = []
    for param in (plain, view):
        optimizer = ProdigyPlusScheduleFree([param])
        train(optimizer, [param], range(6))
        runs.append((param.detach().clone().contiguous(), optimizer.param_groups[0]["d"]))
    assert torch.equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "values", [torch.ones(1, 8).expand(6, 8), torch.ones(9).as_strided((4, 6), (1, 1))], ids=["expanded", "windows"]
)
def test_a_parameter_that_overlaps_itself_is_refused_before_anything_changes(values: Tensor, compiled: bool) -> None:
    plain, expanded = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(values)
    optimizer = ProdigyPlusScheduleFree([plain, expanded], compile=compiled)
    for param in (plain, expanded):
        param.grad = torch.ones(param.shape)
    with pytest.raises(ValueError, match="parameter 1 overlaps itself"):
        optimizer.step()
    assert torch.equal(plain, torch.ones(3))
    assert not optimizer.state
    expanded.data = expanded.data.clone()
    optimizer.step()
    assert optimizer.param_groups[0]["k"] == 2


@pytest.mark.parametrize(("dtype", "grad_dtype"), [(torch.float16,) * 2, (torch.float32, torch.float16)])
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (ProdigyPlusScheduleFree, {}),
        (Prodigy, {"slice_p": 1}),
        (Prodigy, {"decouple": False, "weight_decay": 0.1}),
    ],
)
def test_lazy_negations_of_float16_are_read_with_their_sign(
    cls: Any, options: dict[str, Any], dtype: torch.dtype, grad_dtype: torch.dtype
) -> None:
    """Where torch copies float16 that lies in one piece into float32, it forgets the negation."""

    def run(lazy: bool) -> dict[str, Any]:
        params = parameters(dtype, [(5,), (40, 33), (3, 34)])
        optimizer = cls(params, **options)
        for param in params:
            param.grad_dtype = None
            values = (param.detach().float() * 0.25 + 0.5).to(grad_dtype)
            param.grad = torch._neg_view(-values) if lazy else values
            if lazy and dtype == torch.float16:
                param.data = torch._neg_view(-param.data)
        optimizer.step()
        return snapshot(optimizer, params)

    assert run(lazy=True) == run(lazy=False)


def test_dtypes_may_mix_in_one_group() -> None:
    params = [*parameters(torch.float32), *parameters(torch.bfloat16)]
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(10))
    assert optimizer.param_groups[0]["d"] > 1e-6
    for param in params:
        state = optimizer.state[param]
        assert state["z"].dtype == state["p0"].dtype == param.dtype


@pytest.mark.need(29)
@pytest.mark.parametrize("factored_fp32", [True, False])
@pytest.mark.parametrize(
    ("dtype", "like"),
    [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32)],
)
def test_dtypes_of_the_state(dtype: torch.dtype, like: torch.dtype, factored_fp32: bool) -> None:
    params = parameters(dtype, shapes=[(40, 12), (7,)])
    optimizer = ProdigyPlusScheduleFree(params, factored_fp32=factored_fp32)
    train(optimizer, params, range(2))
    factored = torch.float32 if factored_fp32 else like
    common = {"z": like, "p0": like, "s": torch.float32}
    dtypes = [{name: value.dtype for name, value in optimizer.state[param].items()} for param in params]
    assert dtypes == [
        common | {"exp_avg_sq_row": factored, "exp_avg_sq_col": factored},
        common | {"exp_avg_sq": torch.float32},
    ]


@pytest.mark.parametrize(
    ("shape", "row", "column"),
    [
        ((40, 12), (1, 12), (40, 1)),
        ((12, 40), (12, 1), (1, 40)),
        ((40, 40), (40, 1), (1, 40)),
        ((33, 5, 34), (33, 5, 1), (1, 5, 34)),
        ((64, 3, 64, 2), (64, 3, 1, 2), (1, 3, 64, 2)),
        ((1, 32), (1, 1), (1, 32)),
    ],
)
def test_the_largest_two_axes_are_factored(
    shape: tuple[int, ...], row: tuple[int, ...], column: tuple[int, ...]
) -> None:
    (param,) = parameters(shapes=[shape])
    optimizer = ProdigyPlusScheduleFree([param])
    train(optimizer, [param], [0])
    state = optimizer.state[param]
    assert (state["exp_avg_sq_row"].shape, state["exp_avg_sq_col"].shape) == (row, column)


@pytest.mark.parametrize("shape", [(31, 31), (100,), (), (0, 64)])
def test_small_or_flat_arrays_are_not_factored(shape: tuple[int, ...]) -> None:
    (param,) = parameters(shapes=[shape])
    optimizer = ProdigyPlusScheduleFree([param])
    train(optimizer, [param], [0])
    assert optimizer.state[param]["exp_avg_sq"].shape == shape


@pytest.mark.need(30)
def test_data_and_groups_may_be_replaced_between_steps() -> None:
    params, same = parameters(), parameters()
    optimizer, other = ProdigyPlusScheduleFree(params), ProdigyPlusScheduleFree(same)
    for step in range(6):
        for param in params:
            param.data = param.data.clone()
        optimizer.param_groups = [dict(group) for group in optimizer.param_groups]
        optimizer.state.update({param: dict(entry) for param, entry in optimizer.state.items()})
        train(optimizer, params, [step])
        train(other, same, [step])
    assert snapshot(optimizer, params) == snapshot(other, same)


def test_data_of_another_shape_is_refused_before_anything_changes() -> None:
    params = parameters(shapes=[(5,), (6,)])
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, [0])
    params[1].data = torch.zeros(9)
    before = snapshot(optimizer, params)
    give_gradients(params, 1)
    with pytest.raises(ValueError, match="parameter 1"):
        optimizer.step()
    assert snapshot(optimizer, params) == before
