"""Saving and loading: a resumed run goes on bit for bit, and a state dict that does not fit is refused."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import exact, give_gradients, parameters, snapshot, train

ROOT = Path(__file__).parents[2]
STEPS, HALF = 14, 6

OPTIONS: dict[str, dict[str, Any]] = {
    "split": {"split_groups": True},
    "shared": {"split_groups": False},
    "window": {"prodigy_steps": 8, "eps": None, "factored_fp32": False},
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MODES = ("train", "eval")

RESUME = """
import sys
from pathlib import Path
from tests.fast.test_persistence import resume
for path in sorted(Path(sys.argv[1]).glob("*.half")):
    resume(path)
"""


def build(dtype: torch.dtype, options: dict[str, Any]) -> tuple[list[torch.Tensor], ProdigyPlusScheduleFree]:
    params = parameters(dtype)
    groups = [{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.01}]
    return params, ProdigyPlusScheduleFree(groups, **{"d0": 1e-3, "d_coef": 1.5} | options)


def save(path: Path, params: list[torch.Tensor], optimizer: ProdigyPlusScheduleFree) -> None:
    torch.save({"weights": [param.data for param in params], "optimizer": optimizer.state_dict()}, path)


def load(path: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    return saved


def resume(path: Path) -> None:
    """Runs in a new process: go on from the half of a run that was saved at `path`."""
    options, dtype, _ = path.stem.split("-")
    params, optimizer = build(DTYPES[dtype], OPTIONS[options])
    saved = load(path)
    for param, weights in zip(params, saved["weights"], strict=True):
        param.data.copy_(weights)
    optimizer.load_state_dict(saved["optimizer"])
    optimizer.train()
    train(optimizer, params, range(HALF, STEPS))
    save(path.with_suffix(".end"), params, optimizer)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """For each case the end of a run that went on, and of one that was saved and resumed in a new process."""
    folder = tmp_path_factory.mktemp("runs")
    ends = {}
    for options, dtype, mode in product(OPTIONS, DTYPES, MODES):
        name = f"{options}-{dtype}-{mode}"
        params, optimizer = build(DTYPES[dtype], OPTIONS[options])
        train(optimizer, params, range(HALF))
        optimizer.train(mode == "train")
        save(folder / f"{name}.half", params, optimizer)
        optimizer.train()
        train(optimizer, params, range(HALF, STEPS))
        ends[name] = snapshot(optimizer, params)
    subprocess.run([sys.executable, "-c", RESUME, str(folder)], check=True, cwd=ROOT)
    runs = {name: load(folder / f"{name}.end") for name in ends}
    return {name: (ends[name], exact(run["optimizer"], run["weights"])) for name, run in runs.items()}


@pytest.mark.need(1)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", OPTIONS)
def test_a_run_resumed_in_a_new_process_goes_on_bit_for_bit(
    resumed: dict[str, tuple[Any, Any]], options: str, dtype: str, mode: str
) -> None:
    went_on, resumed_run = resumed[f"{options}-{dtype}-{mode}"]
    assert resumed_run == went_on


@pytest.mark.need(32)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("accelerator")
def test_a_copy_goes_on_bit_for_bit_and_shares_nothing(duplicate: Any, dtype: torch.dtype) -> None:
    params, optimizer = build(dtype, {})
    train(optimizer, params, range(HALF))
    optimizer.param_groups[0]["note"] = "kept"
    twin = duplicate(optimizer)
    theirs = [param for group in twin.param_groups for param in group["params"]]
    assert snapshot(twin, theirs) == snapshot(optimizer, params)
    train(twin, theirs, range(HALF, STEPS))
    train(optimizer, params, range(HALF, STEPS))
    assert snapshot(twin, theirs) == snapshot(optimizer, params)
    assert twin.metrics() == optimizer.metrics()


def test_the_count_of_skipped_steps_survives_a_copy() -> None:
    (param,) = parameters(shapes=[(3,)])
    optimizer = ProdigyPlusScheduleFree([param])
    param.grad = torch.full((3,), torch.nan)
    optimizer.step()
    assert copy.deepcopy(optimizer).metrics()[0]["skipped_steps"] == 1


@pytest.mark.need(10)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loading_keeps_every_dtype_and_shares_no_memory(dtype: torch.dtype) -> None:
    params, optimizer = build(dtype, {"factored_fp32": False})
    train(optimizer, params, range(HALF))
    saved = optimizer.state_dict()
    twins, twin = build(dtype, {"factored_fp32": False})
    twin.load_state_dict(saved)
    assert snapshot(twin, [])["state"] == snapshot(optimizer, [])["state"]
    before = snapshot(optimizer, params)
    train(twin, twins, range(3))
    assert snapshot(optimizer, params) == before


def test_hooks_see_the_whole_state() -> None:
    params, optimizer = build(torch.bfloat16, {})
    train(optimizer, params, range(2))
    _, twin = build(torch.bfloat16, {})
    seen: list[Any] = []
    twin.register_load_state_dict_pre_hook(lambda _, given: seen.append(len(given["state"])))
    twin.register_load_state_dict_post_hook(lambda own: seen.append(len(own.state)))
    twin.load_state_dict(optimizer.state_dict())
    twin.load_state_dict(optimizer.state_dict())
    assert seen == [len(params)] * 4


def test_loading_into_a_running_optimizer_replaces_its_scalars() -> None:
    params, optimizer = build(torch.float32, {})
    start = copy.deepcopy(optimizer.state_dict())
    train(optimizer, params, range(HALF))
    optimizer.load_state_dict(start)
    assert not optimizer.state
    fresh, other = build(torch.float32, {})
    for mine, theirs in zip(fresh, params, strict=True):
        mine.data.copy_(theirs)
    train(optimizer, params, range(3))
    train(other, fresh, range(3))
    assert snapshot(optimizer, params) == snapshot(other, fresh)


@pytest.mark.need(32)
def test_the_state_dict_holds_tensors_and_plain_values_only() -> None:
    params, optimizer = build(torch.bfloat16, {})
    train(optimizer, params, range(2))
    saved = optimizer.state_dict()
    assert {type(value) for entry in saved["state"].values() for value in entry.values()} == {torch.Tensor}
    values = [value for group in saved["param_groups"] for value in group.values()]
    assert {type(value) for value in values} <= {int, float, bool, tuple, list, type(None)}


WRONG = {"d": float("nan"), "k": 0, "use_speed": "yes", "betas": (0.9, 2.0), "split_groups": False}


def damage(saved: dict[str, Any], name: str) -> dict[str, Any]:
    saved = copy.deepcopy(saved)
    if name == "shape":
        saved["state"][0]["z"] = torch.zeros(2)
    elif name == "groups":
        saved["param_groups"].pop()
    elif name.startswith("no "):
        del saved["param_groups"][1][name.removeprefix("no ")]
    else:
        saved["param_groups"][1][name] = WRONG[name]
    return saved


@pytest.mark.need(1, 28)
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("no d", ValueError),
        ("no rounding_seed", ValueError),
        ("no train_mode", ValueError),
        ("d", ValueError),
        ("k", ValueError),
        ("betas", ValueError),
        ("split_groups", ValueError),
        ("use_speed", TypeError),
        ("shape", ValueError),
        ("groups", ValueError),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused_before_anything_changes(name: str, error: type[Exception]) -> None:
    params, optimizer = build(torch.float32, {})
    train(optimizer, params, range(2))
    before = snapshot(optimizer, params)
    with pytest.raises(error):
        optimizer.load_state_dict(damage(optimizer.state_dict(), name))
    assert snapshot(optimizer, params) == before
    train(optimizer, params, [2])


def test_a_paused_group_can_be_saved_and_loaded() -> None:
    params, optimizer = build(torch.float32, {})
    optimizer.param_groups[0]["lr"] = 0.0
    train(optimizer, params, range(2))
    _, twin = build(torch.float32, {})
    twin.load_state_dict(optimizer.state_dict())
    assert twin.param_groups[0]["lr"] == 0.0


def test_a_pair_that_has_become_a_list_on_its_way_is_a_pair_again() -> None:
    """As it does where a state dict is handed to other processes, or written as JSON."""
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, betas=(0.8, 0.9))
    train(optimizer, params, range(3))
    saved = optimizer.state_dict()
    changed = {**saved, "param_groups": [{**group, "betas": list(group["betas"])} for group in saved["param_groups"]]}
    other = ProdigyPlusScheduleFree(parameters())
    other.load_state_dict(changed)
    assert other.param_groups[0]["betas"] == (0.8, 0.9)
    assert changed["param_groups"][0]["betas"] == [0.8, 0.9]


def wrapped(saved: dict[str, Any]) -> Any:
    return {"model": {}, "optimizer": saved}


FORMS: dict[str, tuple[Callable[[dict[str, Any]], Any], type[Exception], str]] = {
    "a whole checkpoint": (wrapped, ValueError, "'model', 'optimizer'"),
    "nothing": (lambda _: None, TypeError, "NoneType"),
    "no state": (lambda saved: {"param_groups": saved["param_groups"]}, ValueError, "without 'state'"),
}


@pytest.mark.need(1)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_state_dict_is_refused_by_what_it_holds(form: str) -> None:
    change, error, match = FORMS[form]
    params, optimizer = build(torch.float32, {})
    train(optimizer, params, range(2))
    before = snapshot(optimizer, params)
    with pytest.raises(error, match=match):
        optimizer.load_state_dict(change(optimizer.state_dict()))
    assert snapshot(optimizer, params) == before


def test_a_hook_may_make_a_state_dict_of_a_whole_checkpoint() -> None:
    params, optimizer = build(torch.float32, {})
    train(optimizer, params, range(2))
    optimizer.register_load_state_dict_pre_hook(lambda _, given: given["optimizer"])
    before = snapshot(optimizer, params)
    optimizer.load_state_dict(wrapped(optimizer.state_dict()))
    assert snapshot(optimizer, params) == before


@pytest.mark.need(32)
def test_numbers_that_a_schedule_made_with_numpy_are_saved_as_plain_ones() -> None:
    params, optimizer = build(torch.float32, {})
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: np.float64(0.5) ** step)
    train(optimizer, params, [0])
    scheduler.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert [type(group["lr"]) for group in saved["param_groups"]] == [float, float]
    assert [group["lr"] for group in saved["param_groups"]] == [0.5, 0.5]


def test_a_parameter_that_has_left_is_not_saved_and_goes_on_if_it_comes_back() -> None:
    (params, optimizer), (others, other) = build(torch.float32, {}), build(torch.float32, {})
    train(optimizer, params, range(2))
    train(other, others, range(2))
    for each in (optimizer, other):
        gone = each.param_groups[0]["params"].pop()
        if each is optimizer:
            assert sorted(each.state_dict()["state"]) == [0, 1, 2, 3]
        each.param_groups[0]["params"].append(gone)
    train(optimizer, params, range(2, 4))
    train(other, others, range(2, 4))
    assert snapshot(optimizer, params) == snapshot(other, others)


@pytest.mark.parametrize("compiles", [False, True])
def test_what_inference_mode_makes_can_be_written_later(compiles: bool) -> None:
    (params, optimizer), (others, other) = (build(torch.float32, {"compile": compiles}) for _ in range(2))
    for mine, each, inside in ((params, optimizer, torch.inference_mode), (others, other, torch.no_grad)):
        give_gradients(mine, 0)
        with inside():
            each.step()
            each.load_state_dict(each.state_dict())
        train(each, mine, range(1, 3))
    assert snapshot(optimizer, params) == snapshot(other, others)
