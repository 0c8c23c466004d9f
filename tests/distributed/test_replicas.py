"""Replicas under DDP stay the same bit for bit, whatever happens to all of them alike, stochastic rounding included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.distributed.harness import ONE_AT_A_TIME, run
from tests.distributed.training import digest, loss_of, one_step, replica
from tests.fast import revised

pytestmark = [ONE_AT_A_TIME, pytest.mark.clause("PPSF-R-004")]

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
#: How often the long form looks.
EVERY = 25


def alike(words: list[list[str]]) -> bool:
    """Whether all processes report the same, and something new each time: a run that stands still shows nothing."""
    return all(found == words[0] for found in words) and len(set(words[0])) == len(words[0])


def plain(case: str, dtype: str, steps: int, every: int) -> list[str]:
    model, optimizer = replica(case, DTYPES[dtype])
    words = []
    for step in range(steps):
        one_step(model, optimizer, step)
        if step % every == every - 1:
            words.append(digest(model, optimizer))
    return words


@pytest.mark.parametrize("case", revised.CASES)
def test_replicas_stay_the_same(case: str) -> None:
    assert alike(run(2, plain, case, "bfloat16", 30, 5))


@pytest.mark.nightly
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("case", revised.CASES)
def test_replicas_stay_the_same_for_five_hundred_steps(case: str, world: int, dtype: str) -> None:
    assert alike(run(world, plain, case, dtype, 500, EVERY, patience=600))


# ------------------------------------------------------------------------------------------- what DDP itself offers


def with_unused(case: str, steps: int) -> tuple[list[str], list[bool]]:
    """In turn all processes, one of them, and none use the branch."""
    model, optimizer = replica(case, torch.bfloat16, find_unused_parameters=True)
    words, given = [], []
    for step in range(steps):
        used = (True, dist.get_rank() == 1, False)[step % 3]
        loss_of(model, step, branch=used).backward()
        given.append(model.module.branch.weight.grad is not None)
        optimizer.step()
        optimizer.zero_grad()
        words.append(digest(model, optimizer))
    return words, given


@pytest.mark.parametrize("case", ["1.9", "2.0 without averaging", "prodigy", "schedulefree"])
def test_a_parameter_that_some_processes_do_not_use(case: str) -> None:
    found = run(3, with_unused, case, 12)
    assert alike([words for words, _ in found])
    assert all(given == [True, True, False] * 4 for _, given in found)


def accumulated(case: str, steps: int) -> list[str]:
    """Three micro-batches for each step, of which the last is reduced."""
    model, optimizer = replica(case, torch.bfloat16)
    words = []
    for step in range(steps):
        with model.no_sync():
            for part in range(2):
                loss_of(model, step, part).backward()
        loss_of(model, step, 2).backward()
        optimizer.step()
        optimizer.zero_grad()
        words.append(digest(model, optimizer))
    return words


@pytest.mark.parametrize("case", ["1.9", "2.0", "update3"])
def test_gradients_that_accumulate(case: str) -> None:
    assert alike(run(2, accumulated, case, 8))


def switched(case: str, steps: int) -> tuple[list[str], list[str]]:
    """To eval mode and back after every third step, with a loss of each process's own in between."""
    model, optimizer = replica(case, torch.bfloat16)
    in_training, in_eval = [], []
    for step in range(steps):
        one_step(model, optimizer, step)
        if step % 3 == 2:
            optimizer.eval()
            with torch.no_grad():
                loss_of(model, step, part=1)
            in_eval.append(digest(model, optimizer))
            optimizer.train()
        in_training.append(digest(model, optimizer))
    return in_training, in_eval


@pytest.mark.parametrize("case", ["1.9", "2.0", "update3", "schedulefree"])
def test_switching_modes(case: str) -> None:
    found = run(2, switched, case, 12)
    assert alike([words for words, _ in found])
    assert alike([words for _, words in found])


# -------------------------------------------------------------------------------------------------- what goes wrong


def with_a_bad_batch(case: str) -> tuple[list[str], int]:
    model, optimizer = replica(case, torch.bfloat16)
    words = []
    for step in range(6):
        loss = loss_of(model, step)
        (loss * float("nan") if (step, dist.get_rank()) == (3, 1) else loss).backward()
        before = digest(model, optimizer)
        optimizer.step()
        optimizer.zero_grad()
        words.append(digest(model, optimizer) if step != 3 else f"unchanged: {before == digest(model, optimizer)}")
    return words, optimizer.metrics()[0]["skipped_steps"]


@pytest.mark.parametrize("case", ["1.9", "2.0", "prodigy"])
def test_a_bad_batch_of_one_process_harms_none(case: str) -> None:
    found = run(2, with_a_bad_batch, case)
    assert alike([words for words, _ in found])
    assert all("unchanged: True" in words and skipped == 1 for words, skipped in found)


# ------------------------------------------------------------------------------------------------------ checkpoints


def steps_of(model: Any, optimizer: Any, steps: range) -> str:
    for step in steps:
        one_step(model, optimizer, step)
    return digest(model, optimizer)


def resumed(case: str, folder: str, in_eval: bool) -> tuple[str, str]:
    """Ten steps at a stretch, and with a checkpoint of rank 0 in the middle that all load."""
    whole = steps_of(*replica(case, torch.bfloat16), range(10))
    model, optimizer = replica(case, torch.bfloat16)
    steps_of(model, optimizer, range(5))
    path = Path(folder) / f"{case}.pt"
    if dist.get_rank() == 0:
        if in_eval:
            optimizer.eval()
        torch.save({"model": model.module.state_dict(), "optimizer": optimizer.state_dict()}, path)
    dist.barrier()
    saved = torch.load(path, weights_only=True)
    model, optimizer = replica(case, torch.bfloat16)
    model.module.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    if in_eval:
        optimizer.train()
    return whole, steps_of(model, optimizer, range(5, 10))


@pytest.mark.clause("PPSF-L-001")
@pytest.mark.parametrize("case", revised.CASES)
def test_all_go_on_from_a_checkpoint_of_one(case: str, tmp_path: Path) -> None:
    found = run(2, resumed, case, str(tmp_path), False)
    assert len({word for words in found for word in words}) == 1


@pytest.mark.parametrize("case", ["1.9", "2.0", "update3"])
def test_replicas_agree_after_a_checkpoint_in_eval_mode(case: str, tmp_path: Path) -> None:
    found = run(2, resumed, case, str(tmp_path), True)
    assert len({after for _, after in found}) == 1
