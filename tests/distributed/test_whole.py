"""The whole state of an optimizer, from any number of processes to any other; of pieces, and what is seen of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.distributed.tensor import DTensor, distribute_tensor

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.distributed import declare_flat
from ppsf_fast.distributed.layout import local
from tests.distributed.harness import ONE_AT_A_TIME, run
from tests.distributed.lawful import Judge, runs_of
from tests.distributed.networks import gathered, learn, network
from tests.distributed.sharded import same, whole

pytestmark = ONE_AT_A_TIME
BEFORE, AFTER = 3, 2
#: How many processes, and whether FullyShardedDataParallel or fully_shard cuts the model; None: nobody.
CUTS: dict[str, tuple[int, str | None]] = {
    "one": (1, None),
    "two": (2, "FSDP1"),
    "three": (3, "FSDP1"),
    "DTensors": (2, "FSDP2"),
}


def seen_whole(model: Any, optimizer: Any) -> dict[str, Any]:
    with gathered(model) as params:
        weights = [whole(param) for param in params]
    return {"model": weights, "optimizer": optimizer.whole_state_dict()}


def saves_whole(cut: str | None, dtype: str, path: str) -> tuple[Any, Any]:
    """Train, save one file, and go on: what is in the file, and what comes of it."""
    model, optimizer = network(cut, dtype, seed=0)
    learn(model, optimizer.step, 0, BEFORE)
    found = seen_whole(model, optimizer)
    if dist.get_rank() == 0:
        torch.save(found, path)
    learn(model, optimizer.step, BEFORE, AFTER)
    return found, seen_whole(model, optimizer)


def loads_whole(cut: str | None, dtype: str, path: str) -> tuple[Any, Any]:
    """Load the file over other weights, and go on, each step judged: what was loaded, and what comes of it."""
    model, optimizer = network(cut, dtype, seed=1)
    learn(model, optimizer.step, 0, 1)
    saved = torch.load(path, weights_only=True)
    with gathered(model) as params:
        for param, values in zip(params, saved["model"], strict=True):
            sharded = isinstance(param, DTensor)
            param.copy_(distribute_tensor(values, param.device_mesh, param.placements) if sharded else values)
    optimizer.load_state_dict(saved["optimizer"])
    found = seen_whole(model, optimizer)
    shapes = [values.shape for values in saved["model"]]
    pieces = runs_of(list(model.parameters()), shapes) if cut == "FSDP1" else None
    judge = Judge(optimizer, pieces, d0=1e-3)
    learn(model, judge.step, BEFORE, AFTER)
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


def of_some() -> list[str]:
    """What is saved of a parameter that the first process has nothing of."""
    group, rank = dist.new_group([1, 2]), dist.get_rank()
    if rank == 0:
        return []
    piece = torch.nn.Parameter(torch.ones(4))
    declare_flat(piece, (2, 4), 4 * (rank - 1), group)
    optimizer = ProdigyPlusScheduleFree([piece])
    piece.grad = torch.ones(4)
    optimizer.step()
    return sorted(optimizer.whole_state_dict())


def test_the_first_process_that_has_a_piece_saves_the_whole() -> None:
    assert run(3, of_some) == [[], ["param_groups", "state"], []]


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
    learn(model, optimizer.step, 0, 1)
    with pytest.raises(AssertionError):
        get_optimizer_state_dict(model, optimizer)
    return True


def test_what_mistakes_the_arrays_of_a_piece_for_shares_fails_aloud() -> None:
    assert all(run(2, by_names))


def foreseen_and_there(cut: str) -> list[dict[str, int]]:
    """Bytes of the state: foreseen, shown after two steps, and counted."""
    model, optimizer = network(cut, "bfloat16", seed=0)
    found = [optimizer.memory().by_kind]
    learn(model, optimizer.step, 0, 2)
    counted: Counter[str] = Counter()
    for state in optimizer.state.values():
        counted.update({name: local(value).nbytes for name, value in state.items()})
    return [dict(each) for each in (*found, optimizer.memory().by_kind, counted)]


@pytest.mark.parametrize("cut", ["FSDP1", "FSDP2"])
def test_memory_is_that_of_the_pieces_that_are_here(cut: str) -> None:
    for foreseen, shown, counted in run(2, foreseen_and_there, cut):
        assert foreseen == shown == counted


def averages() -> bool:
    """Whether the averaged weights are those of eval mode, and those of training come back."""
    model, optimizer = network("FSDP2", "bfloat16", seed=0)
    learn(model, optimizer.step, 0, BEFORE)
    given = {name: whole(value) for name, value in optimizer.averaged_state_dict(model).items()}
    before = [whole(param.detach()) for param in model.parameters()]
    with optimizer.averaged():
        inside = {name: whole(value) for name, value in model.state_dict().items()}
    after = [whole(param.detach()) for param in model.parameters()]
    return same(given, inside) and same(before, after) and not same(list(inside.values()), before)


def test_averages_of_dtensors_are_seen_without_a_trace() -> None:
    assert run(2, averages) == [True, True]
