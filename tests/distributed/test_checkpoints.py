"""Checkpoints of sharded optimizers: what N processes save, M load, sharded or not; nothing is lost or added."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from tests.distributed.harness import ONE_AT_A_TIME, run
from tests.distributed.sharded import SHAPES, Model, mesh_of, optimizer_of, same, seen, set_gradients, shard

pytestmark = ONE_AT_A_TIME
BEFORE, AFTER = 3, 2
#: How many processes, how their mesh is laid out, and how it cuts; None: not sharded.
WAYS: dict[str, tuple[int, Any]] = {
    "one": (1, None),
    "two": (2, (("0",), (2,))),
    "three": (3, (("1",), (3,))),
    "hybrid": (4, (("R", "0"), (2, 2))),
    "both axes": (4, (("0", "1"), (2, 2))),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"revision": "update3", "bf16_state": True},
    {"factored": False, "dtype": "bfloat16"},
]


def built(way: Any, options: dict[str, Any], shift: float = 0.0) -> tuple[Any, Any]:
    given = dict(options)
    model = Model(getattr(torch, given.pop("dtype", "float32")))
    with torch.no_grad():
        for param in model.parameters():
            param.add_(shift)
    if way is not None:
        model = shard(model, *mesh_of(*way))
    return model, optimizer_of(model, **given)


def advance(model: Any, optimizer: Any, first: int, steps: int) -> None:
    for t in range(first, first + steps):
        set_gradients(model, t)
        optimizer.step()
        optimizer.zero_grad()


def train_and_save(way: Any, folder: str) -> list[tuple[Any, Any]]:
    """For each of the options train, save, and go on: what is seen before and after."""
    found = []
    for index, options in enumerate(OPTIONS):
        model, optimizer = built(way, options)
        advance(model, optimizer, 0, BEFORE)
        there = {"model": get_model_state_dict(model), "optim": get_optimizer_state_dict(model, optimizer)}
        dcp.save(there, checkpoint_id=f"{folder}/{index}")
        before = seen(model, optimizer)
        advance(model, optimizer, BEFORE, AFTER)
        found.append((before, seen(model, optimizer)))
    return found


def load_and_train(way: Any, folder: str) -> list[tuple[Any, Any]]:
    """The same, loaded into another optimizer over other weights."""
    found = []
    for index, options in enumerate(OPTIONS):
        model, optimizer = built(way, options, shift=0.5)
        there = {"model": get_model_state_dict(model), "optim": get_optimizer_state_dict(model, optimizer)}
        dcp.load(there, checkpoint_id=f"{folder}/{index}")
        set_model_state_dict(model, there["model"])
        set_optimizer_state_dict(model, optimizer, there["optim"])
        before = seen(model, optimizer)
        advance(model, optimizer, BEFORE, AFTER)
        found.append((before, seen(model, optimizer)))
    return found


@pytest.mark.parametrize(
    ("saver", "loader"), [("two", "two"), ("two", "three"), ("three", "one"), ("one", "both axes")]
)
@pytest.mark.clause("PPSF-L-005")
def test_any_number_of_processes_loads_what_any_other_saved(saver: str, loader: str, tmp_path: Path) -> None:
    """State, numbers and weights are the same bits; and with as many processes so is all that follows."""
    saved = run(WAYS[saver][0], train_and_save, WAYS[saver][1], str(tmp_path))
    found = run(WAYS[loader][0], load_and_train, WAYS[loader][1], str(tmp_path))
    for index in range(len(OPTIONS)):
        first_before, first_after = saved[0][index]
        assert all(same(each[index][0], first_before) for each in (*saved, *found))
        assert all(same(each[index][1], found[0][index][1]) for each in found)
        assert saver != loader or all(same(each[index][1], first_after) for each in saved + found)


def full_round_trip(way: Any) -> tuple[Any, Any, Any]:
    """Save the whole state on one process, as for a single file; load it on all of them from there."""
    model, optimizer = built(way, {})
    advance(model, optimizer, 0, BEFORE)
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    whole = get_optimizer_state_dict(model, optimizer, options=options)
    fresh, other = built(way, {}, shift=0.5)
    given = whole if dist.get_rank() == 0 else {}
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_optimizer_state_dict(fresh, other, given, options=options)
    return whole, seen(model, optimizer), seen(fresh, other)


def test_a_whole_state_dict_is_gathered_and_handed_out() -> None:
    found = run(2, full_round_trip, WAYS["two"][1])
    whole = found[0][0]["state"]
    assert {name: value.shape for name, value in whole["parts.6"].items()} == {
        "exp_avg_sq_row": (1, 30), "exp_avg_sq_col": (40, 1), "z": (40, 30), "p0": (110,), "s": (110,)
    }  # fmt: skip
    for _, saved, loaded in found:
        assert same(saved["state"], loaded["state"])
        assert same(saved["groups"], loaded["groups"])


def dummy(way: Any) -> tuple[bool, bool, bool]:
    """Whether the step that prepares an optimizer for a checkpoint leaves no trace."""
    model, optimizer = built(way, {})
    start = seen(model, optimizer)
    template = get_optimizer_state_dict(model, optimizer)
    created = seen(model, optimizer)
    complete = len(template["state"]) == len(created["weights"])
    with torch.no_grad():
        for param in model.parameters():  # weights are loaded, and the optimizer's state is not
            param.mul_(2)
    other_model, other = built(way, {})
    with torch.no_grad():
        for param in other_model.parameters():
            param.mul_(2)
    for each in ((model, optimizer), (other_model, other)):
        advance(*each, 0, BEFORE)
    untouched = same(start["weights"], created["weights"]) and same(start["groups"], created["groups"])
    return complete, untouched, same(seen(model, optimizer), seen(other_model, other))


@pytest.mark.parametrize("way", ["one", "two"])
@pytest.mark.clause("PPSF-L-001")
def test_the_step_that_creates_state_changes_nothing(way: str) -> None:
    """Learning rates of 0: weights and numbers stay, the state is there, and the first step that counts starts anew."""
    assert run(WAYS[way][0], dummy, WAYS[way][1]) == [(True, True, True)] * WAYS[way][0]


def keys_with_missing_gradients(way: Any) -> list[Any]:
    model, optimizer = built(way, {})
    for t in range(2):
        # A parameter without a gradient on the second process, and one without any.
        set_gradients(model, t, without=(4, 1) if dist.get_rank() else (4,))
        optimizer.step()
    saved = optimizer.state_dict()
    return [(key, sorted(entries)) for key, entries in sorted(saved["state"].items())]


@pytest.mark.clause("PPSF-N-022")
def test_processes_have_the_same_keys_whoever_had_a_gradient() -> None:
    first, second = run(2, keys_with_missing_gradients, WAYS["two"][1])
    assert first == second
    assert [key for key, _ in first] == [0, 1, 2, 3, 5, 6]


def paused(pulls: bool) -> list[Any]:
    """What is saved after a first step with learning rates of 0, where only the last process has gradients.

    They are 0; or they are not, and the other process has gradients of 0.
    """
    model, optimizer = built(WAYS["two"][1], {})
    last = dist.get_rank() == dist.get_world_size() - 1
    set_gradients(model, 0, without=() if last or pulls else range(len(SHAPES)))
    for param in model.parameters():
        if param.grad is not None and not (last and pulls):
            param.grad.zero_()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    return [(key, sorted(entries)) for key, entries in sorted(optimizer.state_dict()["state"].items())]


@pytest.mark.parametrize("pulls", [False, True])
@pytest.mark.clause("PPSF-L-001", "PPSF-N-022")
def test_processes_create_the_same_state_ahead(pulls: bool) -> None:
    """All of it if every gradient on any process is 0, and else none: a process without gradients asks the others."""
    first, second = run(2, paused, pulls)
    assert first == second
    assert len(first) == (0 if pulls else len(SHAPES))
