"""Checkpoints of sharded optimizers: what N processes save, M load, sharded or not; nothing is lost or added."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.distributed import declare_flat, declare_fsdp
from tests.distributed.harness import ONE_AT_A_TIME, run
from tests.distributed.lawful import Judge, runs_of
from tests.distributed.sharded import Model, mesh_of, optimizer_of, same, seen, set_gradients, shard, whole

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


# ---------------------------------------------------------------------------------- runs of elements, as FSDP1 has them

#: How many processes, and whether FullyShardedDataParallel or fully_shard cuts the model; None: nobody.
CUTS: dict[str, tuple[int, str | None]] = {
    "one": (1, None),
    "two": (2, "FSDP1"),
    "three": (3, "FSDP1"),
    "DTensors": (2, "FSDP2"),
}


def network(cut: str | None, dtype: str, seed: int) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    model: Any = torch.nn.Sequential(torch.nn.Linear(6, 34), torch.nn.Tanh(), torch.nn.Linear(34, 3))
    model = model.to(getattr(torch, dtype))
    if cut == "FSDP1":
        model = FullyShardedDataParallel(model, use_orig_params=True, device_id=torch.device("cpu"))
        declare_fsdp(model)
    elif cut == "FSDP2":
        fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    return model, ProdigyPlusScheduleFree(model.parameters(), d0=1e-3, use_bias_correction=True)


def learn(model: Any, take: Any, dtype: str, first: int, steps: int) -> None:
    for t in range(first, first + steps):
        torch.manual_seed(100 * t + dist.get_rank())
        model(torch.randn(8, 6).to(getattr(torch, dtype))).square().mean().backward()
        take()
        model.zero_grad()


@contextmanager
def gathered(model: Any) -> Iterator[list[torch.Tensor]]:
    """The weights: whole ones, or DTensors; what is written there stays."""
    flat = isinstance(model, FullyShardedDataParallel)
    with torch.no_grad(), FullyShardedDataParallel.summon_full_params(model) if flat else nullcontext():
        yield list(model.parameters())


def seen_whole(model: Any, optimizer: Any) -> dict[str, Any]:
    with gathered(model) as params:
        weights = [whole(param) for param in params]
    return {"model": weights, "optimizer": optimizer.whole_state_dict()}


def saves_whole(cut: str | None, dtype: str, path: str) -> tuple[Any, Any]:
    """Train, save one file, and go on: what is in the file, and what comes of it."""
    model, optimizer = network(cut, dtype, seed=0)
    learn(model, optimizer.step, dtype, 0, BEFORE)
    found = seen_whole(model, optimizer)
    if dist.get_rank() == 0:
        torch.save(found, path)
    learn(model, optimizer.step, dtype, BEFORE, AFTER)
    return found, seen_whole(model, optimizer)


def loads_whole(cut: str | None, dtype: str, path: str) -> tuple[Any, Any]:
    """Load the file over other weights, and go on, each step judged: what was loaded, and what comes of it."""
    model, optimizer = network(cut, dtype, seed=1)
    learn(model, optimizer.step, dtype, 0, 1)
    saved = torch.load(path, weights_only=True)
    with gathered(model) as params:
        for param, values in zip(params, saved["model"], strict=True):
            sharded = isinstance(param, DTensor)
            param.copy_(distribute_tensor(values, param.device_mesh, param.placements) if sharded else values)
    optimizer.load_state_dict(saved["optimizer"])
    found = seen_whole(model, optimizer)
    shapes = [values.shape for values in saved["model"]]
    pieces = runs_of(list(model.parameters()), shapes) if cut == "FSDP1" else None
    judge = Judge(optimizer, pieces, d0=1e-3, use_bias_correction=True)
    learn(model, judge.step, dtype, BEFORE, AFTER)
    return found, seen_whole(model, optimizer)


@pytest.mark.parametrize(
    ("saver", "loader", "dtype"),
    [
        ("two", "two", "bfloat16"),
        ("two", "three", "float32"),
        ("three", "one", "bfloat16"),
        ("one", "two", "float32"),
        ("two", "DTensors", "float32"),
        ("DTensors", "three", "bfloat16"),
    ],
)
@pytest.mark.clause("PPSF-L-005")
def test_the_whole_state_goes_into_any_number_of_processes(saver: str, loader: str, dtype: str, tmp_path: Path) -> None:
    """Numbers, state and weights are the same bits; with as many processes so is what follows, else it is lawful."""
    path = str(tmp_path / "whole.pt")
    (before, after), *others = run(CUTS[saver][0], saves_whole, CUTS[saver][1], dtype, path)
    assert all(found["optimizer"] == {} for pair in others for found in pair)
    (loaded, followed), *_ = run(CUTS[loader][0], loads_whole, CUTS[loader][1], dtype, path)
    assert same(loaded, before)
    assert saver != loader or same(followed, after)


def pieces_at_other_places() -> list[str]:
    """What is refused, and that nothing has changed then."""
    rank, whole = dist.get_rank(), torch.arange(48.0).view(6, 8)
    found = []

    def made(first: int, last: int) -> ProdigyPlusScheduleFree:
        piece = torch.nn.Parameter(whole.flatten()[first:last].clone())
        declare_flat(piece, whole.shape, first)
        optimizer = ProdigyPlusScheduleFree([piece])
        piece.grad = torch.ones_like(piece)
        optimizer.step()
        return optimizer

    even, uneven = made(24 * rank, 24 * rank + 24), made(32 * rank, (32, 48)[rank])
    alone = ProdigyPlusScheduleFree([torch.nn.Parameter(whole.clone())])
    own = [even.state_dict()] * 2
    dist.all_gather_object(own, even.state_dict())
    for optimizer, given in ((even, own[1 - rank]), (uneven, own[rank]), (alone, own[rank])):
        before = optimizer.state_dict()
        with pytest.raises(ValueError, match="whole_state_dict") as caught:
            optimizer.load_state_dict(given)
        found.append(str(caught.value))
        assert same(optimizer.state_dict(), before)
    even.load_state_dict(own[rank])
    assert same(even.state_dict(), own[rank])
    return found


@pytest.mark.clause("PPSF-L-005")
def test_the_state_of_one_process_goes_back_to_its_own_pieces_only() -> None:
    """Also where another piece is of the same size."""
    first, second = run(2, pieces_at_other_places)
    heads = [message.split(":")[0] for message in first]
    assert heads == [
        "the state dict has elements 24 to 48 of parameter 0, and this process holds elements 0 to 24",
        "the state dict has elements 0 to 24 of parameter 0, and this process holds elements 0 to 32",
        "the state dict has elements 0 to 24 of parameter 0, and this process holds the whole of it",
    ]
    assert "elements 0 to 24 of parameter 0, and this process holds elements 24 to 48" in second[0]


def dealt_out() -> str:
    with pytest.raises(ValueError, match="consolidate_state_dict") as caught:
        ProdigyPlusScheduleFree([torch.nn.Parameter(torch.ones(3))], process_group=dist.group.WORLD).whole_state_dict()
    return str(caught.value)


def test_what_others_have_alone_is_not_left_out_unsaid() -> None:
    first, second = run(2, dealt_out)
    assert first == second


def by_names() -> bool:
    """PyTorch's function for FullyShardedDataParallel, which takes all arrays to be cut as weights are."""
    model, optimizer = network("FSDP1", "float32", seed=0)
    learn(model, optimizer.step, "float32", 0, 1)
    with pytest.raises(AssertionError):
        get_optimizer_state_dict(model, optimizer)
    return True


def test_what_mistakes_the_arrays_of_a_piece_for_shares_fails_aloud() -> None:
    assert all(run(2, by_names))
