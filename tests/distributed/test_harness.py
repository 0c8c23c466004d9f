"""The harness runs what it is given, and says which process failed first, and how."""

from __future__ import annotations

import os
import signal
import time

import pytest
import torch
import torch.distributed as dist

from tests.distributed.harness import ONE_AT_A_TIME, RankError, run

pytestmark = ONE_AT_A_TIME


def summed(scale: float) -> tuple[int, int, torch.Tensor]:
    mine = torch.full((2,), scale * (dist.get_rank() + 1))
    dist.all_reduce(mine)
    return dist.get_rank(), dist.get_world_size(), mine


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_each_process_computes_and_results_come_back_by_rank(world: int) -> None:
    found = run(world, summed, 0.5)
    total = 0.5 * world * (world + 1) / 2
    assert [(rank, of) for rank, of, _ in found] == [(rank, world) for rank in range(world)]
    assert all(torch.equal(values, torch.full((2,), total)) for *_, values in found)


def remembered() -> tuple[int, int, str | None]:
    os.environ["PPSF_TEST_HARNESS"] = "left behind" if "PPSF_TEST_HARNESS" not in os.environ else "found"
    return torch.get_num_threads(), torch.initial_seed(), os.environ["PPSF_TEST_HARNESS"]


def test_calls_leave_nothing_behind() -> None:
    assert run(2, remembered) == run(2, remembered) == [(1, 0, "left behind")] * 2


def fails(rank: int, how: str) -> None:
    if dist.get_rank() == rank:
        if how == "raise":
            raise ValueError("a number that is too large")
        if how == "hang":
            time.sleep(1000)
        os.kill(os.getpid(), signal.Signals[how])
    dist.barrier()


@pytest.mark.parametrize("rank", [0, 2])
def test_the_first_error_is_shown_and_not_what_the_others_make_of_it(rank: int) -> None:
    with pytest.raises(
        RankError, match=rf"rank {rank} failed:[\s\S]*in fails[\s\S]*a number that is too large"
    ) as caught:
        run(3, fails, rank, "raise")
    assert caught.value.rank == rank


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_is_named(rank: int) -> None:
    with pytest.raises(RankError, match=f"rank {rank} died: killed by SIGKILL") as caught:
        run(2, fails, rank, "SIGKILL")
    assert caught.value.rank == rank


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGABRT"])
def test_a_process_that_crashes_shows_where_it_stood(how: str) -> None:
    with pytest.raises(RankError, match=rf"rank 1 died: killed by {how}\n[\s\S]*in fails"):
        run(2, fails, 1, how)


def test_a_hanging_call_ends_and_shows_where_each_process_stands() -> None:
    begin = time.monotonic()
    with pytest.raises(RankError, match=r"2 of the processes[\s\S]*rank 0:[\s\S]*barrier[\s\S]*rank 1:[\s\S]*in fails"):
        run(2, fails, 1, "hang", patience=1.5)
    assert time.monotonic() - begin < 20


def unpicklable() -> object:
    return lambda: None


def test_a_result_that_cannot_be_sent_is_an_error_of_its_rank() -> None:
    with pytest.raises(RankError, match=r"rank \d failed:[\s\S]*pickle"):
        run(2, unpicklable)
