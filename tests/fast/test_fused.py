"""The fused backward pass: the same bits as the ordinary step, whoever ends it, and hooks that run it."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree, fuse_backward
from tests.fast.helpers import give_gradients, parameters, seen, snapshot

SHAPES = ((40, 33), (7,), (), (33, 2), (0, 4), (12,))
#: Switches of both revisions, and those of 2.0 alone.
SWITCHES: dict[str, dict[str, Any]] = {
    "plain": {},
    "adopt": {"use_adopt": True},
    "speed": {"use_speed": True},
    "focus": {"use_focus": True},
    "orthograd": {"use_orthograd": True},
    "cautious": {"use_cautious": True},
    "one pool": {"split_groups": False},
    "mean": {"split_groups_mean": True},
    "window": {"prodigy_steps": 3},
    "rectified": {"use_bias_correction": True},
    "atan2": {"eps": None},
    "decay beside": {"weight_decay": 0.1, "weight_decay_by_lr": False},
    "beta4": {"beta4": 0.9},
}
OF_2: dict[str, dict[str, Any]] = {
    "first moment": {"use_schedulefree": False},
    "refined": {"schedulefree_c": 8.0},
}
CASES = [("1.9", SWITCHES[a] | SWITCHES[b]) for a, b in itertools.combinations(SWITCHES, 2)]
CASES += [("2.0", SWITCHES[a] | OF_2[b]) for a in SWITCHES for b in OF_2]


def make(fused: bool, dtype: torch.dtype = torch.float32, **options: Any) -> tuple[list[Tensor], Any]:
    params = parameters(dtype, SHAPES)
    groups = [{"params": params[:3]}, {"params": params[3:]}]
    return params, ProdigyPlusScheduleFree(groups, fused_back_pass=fused, **{"d0": 1e-2, **options})


def step_alone(optimizer: Any, params: Sequence[Tensor]) -> None:
    for param in params:
        optimizer.step_param(param)
        param.grad = None


@pytest.mark.need(7)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("revision", "options"), CASES)
def test_a_fused_step_is_the_ordinary_one_bit_for_bit(
    dtype: torch.dtype, revision: str, options: dict[str, Any]
) -> None:
    rng = random.Random(str(options))
    whole, ordinary = make(False, dtype, revision=revision, **options)
    single, fused = make(True, dtype, revision=revision, **options)
    for step in range(6):
        for params in (whole, single):
            give_gradients(params, step)
        for index in [index for index in range(len(SHAPES)) if rng.random() < 0.3]:
            whole[index].grad = single[index].grad = None
        ordinary.step()
        step_alone(fused, rng.sample(single, len(single)))
        fused.step()
        assert seen(fused, single) == seen(ordinary, whole)


@pytest.mark.need(7)
def test_a_parameter_that_comes_again_ends_the_step() -> None:
    """As under a trainer that never calls step(), with gradients for some parameters only."""
    whole, ordinary = make(False)
    single, fused = make(True)
    for step, used in enumerate(((0, 1, 3), (1, 0), (5, 0, 1, 2), (0,))):
        for params in (whole, single):
            give_gradients(params, step)
        for index in set(range(len(SHAPES))) - set(used):
            whole[index].grad = None
        if step != 2:  # parameter 5 comes before one is repeated, so that it belongs to the step before
            ordinary.step()
        step_alone(fused, [single[index] for index in used if not (step == 2 and index == 5)])
        if step == 2:
            whole[5].grad = None
            ordinary.step()
    assert fused.param_groups[0]["k"] == 4
    fused.step()
    assert seen(fused, single) == seen(ordinary, whole)


@pytest.mark.need(7)
def test_one_that_was_not_there_joins_the_running_step() -> None:
    params, optimizer = make(True)
    give_gradients(params, 0)
    optimizer.step_param(params[0])
    optimizer.step_param(params[3])
    give_gradients(params, 1)
    optimizer.step_param(params[5])
    assert [group["k"] for group in optimizer.param_groups] == [1, 1]
    optimizer.step_param(params[0])
    assert [group["k"] for group in optimizer.param_groups] == [2, 2]


@pytest.mark.need(7)
def test_a_step_in_which_none_has_come_changes_nothing() -> None:
    params, optimizer = make(True)
    before = snapshot(optimizer, params)
    assert optimizer.step(lambda: 0.25) == 0.25
    give_gradients(params, 0)
    with pytest.warns(UserWarning, match="fuse_backward"):
        optimizer.step()
    assert snapshot(optimizer, params) == before


def test_a_step_that_ends_one_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    params, optimizer = make(True)
    give_gradients(params, 0)
    optimizer.step_param(params[0])
    optimizer.step()
    optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.0
    optimizer.step()
    assert not recwarn.list


def test_the_closure_may_hold_the_backward_pass() -> None:
    params, optimizer = make(True)

    def closure() -> float:
        assert torch.is_grad_enabled()
        give_gradients(params, 0)
        step_alone(optimizer, params)
        return 0.5

    assert optimizer.step(closure) == 0.5
    assert [group["k"] for group in optimizer.param_groups] == [2, 2]


def test_what_is_passed_besides_the_parameter_does_not_matter() -> None:
    params, optimizer = make(True)
    give_gradients(params, 0)
    optimizer.step_parameter(params[4], optimizer.param_groups[0], 17)
    optimizer.step_parameter(params[3], {}, 0)
    optimizer.step()
    assert [group["k"] for group in optimizer.param_groups] == [1, 2]


def test_a_paused_group_is_passed_by() -> None:
    params, optimizer = make(True)
    optimizer.param_groups[0]["lr"] = 0.0
    for step in range(2):
        give_gradients(params[:3], step)
        step_alone(optimizer, params[:3])
    optimizer.step()
    assert not optimizer.state
    assert optimizer.param_groups[0]["k"] == 1


def test_options_count_as_they_stand_when_the_step_begins() -> None:
    one, first = make(True)
    two, second = make(True)
    for params, optimizer in ((one, first), (two, second)):
        give_gradients(params, 0)
        optimizer.step_param(params[0])
        if optimizer is second:
            optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.01
        step_alone(optimizer, params[1:])
        optimizer.step()
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 1.0
    assert seen(first, one)["weights"] == seen(second, two)["weights"]


# ----------------------------------------------------------------------------------------------------- bad gradients


@pytest.mark.need(8, 26)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_parameter_with_a_bad_gradient_sits_out_alone(value: float) -> None:
    whole, ordinary = make(False)
    single, fused = make(True)
    for step in range(3):
        for params in (whole, single):
            give_gradients(params, step)
        whole[1].grad = None
        single[1].grad.view(-1)[3] = value
        ordinary.step()
        step_alone(fused, single)
        fused.step()
    assert seen(fused, single) == seen(ordinary, whole)
    assert [row["skipped_steps"] for row in fused.metrics()] == [0, 0]
    assert single[1] not in fused.state


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("options", [{}, {"use_adopt": True}, {"split_groups": False}, {"prodigy_steps": 2}], ids=str)
@pytest.mark.parametrize("bad", [(), (1,), (0, 1, 2), tuple(range(len(SHAPES)))], ids=str)
def test_on_an_accelerator_the_device_decides_who_sits_out(options: dict[str, Any], bad: tuple[int, ...]) -> None:
    """As if it had no gradient; an array without elements has nothing bad, and takes part."""
    whole, ordinary = make(False, **options)
    single, fused = make(True, **options)
    for step in range(4):
        for params in (whole, single):
            give_gradients(params, step)
        for index in bad if step == 1 else ():
            whole[index].grad = None
            single[index].grad.fill_(math.nan)
        whole[4].grad = single[4].grad
        ordinary.step()
        step_alone(fused, single)
        fused.step()
    want, got = seen(ordinary, whole), seen(fused, single)
    assert got["weights"] == want["weights"]
    assert got["state"] == want["state"]
    names = ("d", "d_prev", "d_numerator", "d_denom", "weight_sum", "k")
    assert [[g[n] for n in names] for g in got["groups"]] == [[g[n] for n in names] for g in want["groups"]]


@pytest.mark.usefixtures("accelerator")
def test_on_an_accelerator_a_step_in_which_all_sit_out_changes_nothing() -> None:
    params, optimizer = make(True)
    give_gradients(params, 0)
    step_alone(optimizer, params)
    before = snapshot(optimizer, params)
    for param in params[:4]:
        param.grad = torch.full_like(param, math.inf)
        optimizer.step_param(param)
    optimizer.step()
    assert snapshot(optimizer, params) == before
    assert [row["skipped_steps"] for row in optimizer.metrics()] == [1, 1]


def test_a_step_in_which_all_sit_out_is_counted_as_skipped() -> None:
    params, optimizer = make(True)
    before = snapshot(optimizer, params)
    for _ in range(2):  # the second call for the first parameter ends the step
        params[0].grad = torch.full_like(params[0], math.nan)
        optimizer.step_param(params[0])
    assert [row["skipped_steps"] for row in optimizer.metrics()] == [1, 1]
    assert snapshot(optimizer, params) == before
    assert [row["skipped_steps"] for row in optimizer.metrics()] == [2, 2]


# ------------------------------------------------------------------------------------------------- in the middle of it


ENDING: dict[str, Callable[[Any], object]] = {
    "state_dict": lambda optimizer: optimizer.state_dict(),
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "add_param_group": lambda optimizer: optimizer.add_param_group({"params": parameters(shapes=[(3,)])}),
    "eval": lambda optimizer: optimizer.eval(),
}
LEAVING: dict[str, Callable[[Any], object]] = {
    "metrics": lambda optimizer: optimizer.metrics(),
    "train": lambda optimizer: optimizer.train(),
    "zero_grad": lambda optimizer: optimizer.zero_grad(),
}


@pytest.mark.need(8)
@pytest.mark.parametrize("name", [*ENDING, *LEAVING])
def test_what_ends_a_running_step_and_what_leaves_it(name: str) -> None:
    params, optimizer = make(True)
    give_gradients(params, 0)
    step_alone(optimizer, params[:2])
    {**ENDING, **LEAVING}[name](optimizer)
    assert optimizer.param_groups[0]["k"] == (2 if name in ENDING else 1)


@pytest.mark.parametrize(("loads", "counted"), [(True, [1, 1]), (False, [2, 1])])
def test_loading_drops_a_running_step_and_a_refused_load_keeps_it(loads: bool, counted: list[int]) -> None:
    params, optimizer = make(True)
    saved = copy.deepcopy(optimizer.state_dict())
    give_gradients(params, 0)
    step_alone(optimizer, params[:2])
    if loads:
        optimizer.load_state_dict(saved)
    else:
        with pytest.raises(ValueError, match="lacks"):
            optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0, 1, 2]}, {"params": [3, 4, 5]}]})
    optimizer.zero_grad()
    optimizer.step()
    assert [group["k"] for group in optimizer.param_groups] == counted


def test_a_resumed_run_goes_on_bit_for_bit() -> None:
    params, optimizer = make(True)
    for step in range(3):
        give_gradients(params, step)
        step_alone(optimizer, params)  # nobody calls step()
    again, resumed = make(True)
    resumed.load_state_dict(optimizer.state_dict())
    for new, old in zip(again, params, strict=True):
        new.data.copy_(old)
    for values, each in ((params, optimizer), (again, resumed)):
        give_gradients(values, 3)
        step_alone(each, values)
    assert seen(resumed, again) == seen(optimizer, params)


# ------------------------------------------------------------------------------------------------------------ refusals


def test_without_the_option_a_parameter_cannot_be_stepped_alone() -> None:
    params, optimizer = make(False)
    give_gradients(params, 0)
    before = snapshot(optimizer, params)
    with pytest.raises(RuntimeError, match="fused_back_pass=True"):
        optimizer.step_param(params[0])
    with pytest.raises(RuntimeError, match="fused_back_pass=True"):
        fuse_backward(optimizer)
    assert snapshot(optimizer, params) == before


def test_in_eval_mode_neither() -> None:
    params, optimizer = make(True)
    optimizer.eval()
    give_gradients(params, 0)
    with pytest.raises(RuntimeError, match="eval mode"):
        optimizer.step_param(params[0])
    assert not optimizer.state


@pytest.mark.parametrize("refused", ["stranger", "sparse", "lr"])
def test_a_refused_call_leaves_the_running_step_alone(refused: str) -> None:
    params, optimizer = make(True)
    give_gradients(params, 0)
    step_alone(optimizer, params[:2])
    given = torch.nn.Parameter(torch.ones(2)) if refused == "stranger" else params[0]
    given.grad = torch.ones_like(given).to_sparse() if refused == "sparse" else torch.ones_like(given)
    if refused == "lr":
        optimizer.param_groups[1]["lr"] = -1.0
    with pytest.raises((TypeError, ValueError)):
        optimizer.step_param(given)
    optimizer.param_groups[1]["lr"] = 1.0
    assert [group["k"] for group in optimizer.param_groups] == [1, 1]
    optimizer.step()
    assert [group["k"] for group in optimizer.param_groups] == [2, 1]


def test_who_supports_it_says_so() -> None:
    offers = {cls: cls(parameters()).supports_fused_back_pass() for cls in (Prodigy, AdamWScheduleFree)}
    assert offers == {Prodigy: False, AdamWScheduleFree: False}
    assert make(False)[1].supports_fused_back_pass()
    assert not ProdigyPlusScheduleFree(parameters(), revision="update3").supports_fused_back_pass()
    with pytest.raises(TypeError, match="fused_back_pass"):
        ProdigyPlusScheduleFree(parameters(), revision="update3", fused_back_pass=True)


def test_nothing_of_the_size_of_a_parameter_is_kept_until_the_end() -> None:
    params, optimizer = make(True)
    give_gradients(params, 0)
    step_alone(optimizer, params)
    running = optimizer._running
    kept = [
        value for group in running._running for share in group.shares.values() for value in (share.inner, share.norm)
    ]
    assert len(kept) == 2 * len(params)
    assert {value.numel() for value in kept} == {1}
    assert {value.untyped_storage().nbytes() for value in kept} == {8}
