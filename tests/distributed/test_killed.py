"""A process that is killed takes nothing along: a restart from the last checkpoint goes on exactly."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from tests.distributed.harness import ONE_AT_A_TIME, RankError, run
from tests.distributed.training import digest, one_step, sharded

pytestmark = ONE_AT_A_TIME

STEPS, EVERY = 12, 4


def saved(folder: Path) -> list[int]:
    """The steps of which there is a checkpoint; one that was not finished has no table of contents."""
    return sorted(int(path.parent.name) for path in folder.glob("*/.metadata"))


def load(folder: Path, model: Any, optimizer: Any) -> int:
    """Go on where the last checkpoint was made; returns the step."""
    done = saved(folder)
    if not done:
        return 0
    weights, state = get_state_dict(model, optimizer)
    found = {"model": weights, "optimizer": state}
    dcp.load(found, checkpoint_id=folder / str(done[-1]))
    set_state_dict(model, optimizer, model_state_dict=found["model"], optim_state_dict=found["optimizer"])
    return done[-1]


def save(folder: Path, model: Any, optimizer: Any, step: int) -> None:
    weights, state = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optimizer": state}, checkpoint_id=folder / str(step))


def course(case: str, dtype: str, folder: str, killed: tuple[str, int] | None) -> tuple[int, str]:
    """Train with a checkpoint now and then; the last process may be killed on its way.

    Returns:
        where it went on, and what this process holds in the end.
    """
    model, optimizer = sharded(case, getattr(torch, dtype))
    last = dist.get_rank() == dist.get_world_size() - 1
    begin = load(Path(folder), model, optimizer)
    for step in range(begin + 1, STEPS + 1):
        one_step(model, optimizer, step)
        if step % EVERY == 0:
            if last and killed == ("saving", step):
                os.kill(os.getpid(), signal.SIGKILL)
            save(Path(folder), model, optimizer, step)
        if last and killed == ("training", step):
            os.kill(os.getpid(), signal.SIGKILL)
    return begin, digest(model, optimizer)


@pytest.mark.clause("PPSF-L-001")
@pytest.mark.parametrize("case", ["1.9", "2.0", "prodigy"])
def test_a_restart_after_a_kill_goes_on_exactly(case: str, tmp_path: Path) -> None:
    world, dtype = 3, "bfloat16"
    whole = run(world, course, case, dtype, str(tmp_path / "whole"), None)
    with pytest.raises(RankError, match="rank 2 died: killed by SIGKILL"):
        run(world, course, case, dtype, str(tmp_path / "killed"), ("training", 10))
    assert saved(tmp_path / "killed") == [4, 8]
    after = run(world, course, case, dtype, str(tmp_path / "killed"), None)
    assert [begin for begin, _ in after] == [8] * world
    assert [words for _, words in after] == [words for _, words in whole]


def test_a_checkpoint_that_a_kill_interrupts_does_not_count(tmp_path: Path) -> None:
    whole = run(2, course, "1.9", "float32", str(tmp_path / "whole"), None)
    with pytest.raises(RankError, match="rank 1 died: killed by SIGKILL"):
        run(2, course, "1.9", "float32", str(tmp_path / "killed"), ("saving", 8))
    assert saved(tmp_path / "killed") == [4]
    after = run(2, course, "1.9", "float32", str(tmp_path / "killed"), None)
    assert [begin for begin, _ in after] == [4] * 2
    assert [words for _, words in after] == [words for _, words in whole]
