"""What a compiled step remembers of the step before: nothing that a trainer may change without being noticed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.backends.native import build, run
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train

pytestmark = pytest.mark.skipif(build.library() is None, reason="there is no C++ compiler on this machine")
#: The first is large enough for its means to be kept from the look at its gradient to its step.
SHAPES = ((700, 520), (40, 33), (12, 12), (9,), (3, 60000))
Edit = Callable[[Any, list[Tensor]], object]


def made(dtype: torch.dtype = torch.float32, **options: Any) -> tuple[list[Tensor], Any]:
    params = parameters(dtype, SHAPES)
    optimizer = ProdigyPlusScheduleFree(params, compile=True, **{"d0": 1e-2, **options})
    train(optimizer, params, range(2))
    give_gradients(params, 2)
    return params, optimizer


def replace_data(optimizer: Any, params: list[Tensor]) -> None:
    params[1].data = params[1].data.clone()


def transpose(optimizer: Any, params: list[Tensor]) -> None:
    params[2].data = params[2].data.t()  # the same address, dtype and shape


def transpose_gradient(optimizer: Any, params: list[Tensor]) -> None:
    params[2].grad = torch.arange(144.0).view(12, 12).t()


def change_gradient(optimizer: Any, params: list[Tensor]) -> None:
    assert params[1].grad is not None
    params[1].grad = params[1].grad * 2


def narrow_gradient(optimizer: Any, params: list[Tensor]) -> None:
    params[1].grad = None
    params[1].grad_dtype = None
    params[1].grad = torch.ones(params[1].shape, dtype=torch.bfloat16)


def drop_gradient(optimizer: Any, params: list[Tensor]) -> None:
    params[1].grad = None


def drop_state(optimizer: Any, params: list[Tensor]) -> None:
    del optimizer.state[params[1]]


def replace_state(optimizer: Any, params: list[Tensor]) -> None:
    optimizer.state[params[1]]["z"] = optimizer.state[params[1]]["z"] + 1


def swap_parameters(optimizer: Any, params: list[Tensor]) -> None:
    here = optimizer.param_groups[0]["params"]
    here[1], here[2] = here[2], here[1]


def edit_option(optimizer: Any, params: list[Tensor]) -> None:
    optimizer.param_groups[0]["weight_decay"] = 0.1


def follow_a_schedule(optimizer: Any, params: list[Tensor]) -> None:
    optimizer.param_groups[0].update(lr=0.5, betas=(0.8, 0.9), weight_decay=0.01)


def factor_no_more(optimizer: Any, params: list[Tensor]) -> None:
    optimizer.param_groups[0]["factored"] = False
    del optimizer.state[params[1]]["exp_avg_sq_row"], optimizer.state[params[1]]["exp_avg_sq_col"]


def stop_adapting(optimizer: Any, params: list[Tensor]) -> None:
    optimizer.param_groups[0]["prodigy_steps"] = 2


EDITS: tuple[Edit, ...] = (
    replace_data,
    transpose,
    transpose_gradient,
    change_gradient,
    narrow_gradient,
    drop_gradient,
    drop_state,
    replace_state,
    swap_parameters,
    edit_option,
    follow_a_schedule,
    factor_no_more,
    stop_adapting,
)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: str(edit.__name__))
def test_a_step_is_the_same_whether_the_step_before_is_remembered(edit: Edit) -> None:
    def outcome(forget: bool) -> object:
        params, optimizer = made()
        edit(optimizer, params)
        if forget:
            optimizer._rosters.clear()
        for _ in range(2):
            optimizer.step()
        return snapshot(optimizer, params)

    assert outcome(forget=True) == outcome(forget=False)


@pytest.mark.clause("PPSF-R-004")
def test_random_bits_follow_a_parameter_to_another_position() -> None:
    """Where a group before its own has become shorter."""

    def outcome(forget: bool) -> object:
        params = parameters(torch.bfloat16, SHAPES)
        optimizer = ProdigyPlusScheduleFree([{"params": params[:2]}, {"params": params[2:]}], d0=1e-2, compile=True)
        train(optimizer, params, range(2))
        del optimizer.param_groups[0]["params"][0]
        if forget:
            optimizer._rosters.clear()
        train(optimizer, params, [2])
        return [bits(param) for param in params]

    assert outcome(forget=True) == outcome(forget=False)


def test_the_second_step_creates_what_the_first_one_could_not() -> None:
    """Of ADOPT under SPEED, whose course begins once there is something to divide by."""

    def outcome(compiles: bool) -> object:
        params = parameters(torch.float32, SHAPES)
        options: dict[str, Any] = {"use_adopt": True, "use_speed": True, "d0": 1e-2, "compile": compiles}
        optimizer = ProdigyPlusScheduleFree(params, revision="2.0", **options)
        train(optimizer, params, range(4))
        return snapshot(optimizer, params)

    assert outcome(compiles=True) == outcome(compiles=False)


@pytest.mark.parametrize("schedule", [{}, {"lr": 0.5}, {"betas": (0.8, 0.9)}, {"weight_decay": 0.1}])
def test_an_unchanged_group_is_recognised_and_looked_at_by_the_kernel(
    schedule: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also under a schedule: it moves numbers, and nothing that is laid out."""
    tables: list[run.Table] = []
    look = run.look

    def noted(table: run.Table, rule: Any) -> bool:
        tables.append(table)
        return look(table, rule)

    monkeypatch.setattr(run, "look", noted)
    params, optimizer = made()
    for step in range(3, 6):
        optimizer.param_groups[0].update(schedule if step > 3 else {})
        optimizer.zero_grad(set_to_none=True)
        give_gradients(params, step)
        optimizer.step()
    assert len(tables) == 4
    assert all(table is tables[0] for table in tables)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("which", range(len(SHAPES)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_bad_element_makes_the_step_a_skipped_one(dtype: torch.dtype, which: int, place: int, bad: float) -> None:
    params, optimizer = made(dtype)
    optimizer.step()
    before = snapshot(optimizer, params)
    grad = params[which].grad
    assert grad is not None
    grad.view(-1)[place] = bad
    optimizer.step()
    assert optimizer.metrics()[0]["skipped_steps"] == 1
    assert snapshot(optimizer, params) == before


def test_nothing_lives_longer_for_being_remembered() -> None:
    params, optimizer = made()
    optimizer.step()
    kept = [weakref.ref(param.grad) for param in params] + [weakref.ref(optimizer.state[params[0]]["s"])]
    optimizer.zero_grad(set_to_none=True)
    optimizer.state[params[0]].pop("s")
    gc.collect()
    assert not any(ref() is not None for ref in kept)
