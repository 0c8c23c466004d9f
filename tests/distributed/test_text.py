"""A transformer that learns Python's own sources: sharded over several processes it learns as in one."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from benchmarks.text import ALPHABET, Setting, held_out, text, windows
from tests.distributed.harness import ONE_AT_A_TIME, run

pytestmark = ONE_AT_A_TIME

SMALL = Setting(width=32, layers=1, heads=2, context=32, batch=12, steps=40, every=10, options=(("d0", 1e-3),))


def share() -> torch.Tensor:
    mine = windows(SMALL, seed=3, step=5)
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    return torch.cat(parts)


@pytest.mark.parametrize("world", [2, 3])
def test_the_processes_share_the_batch_of_one(world: int) -> None:
    whole = windows(SMALL, seed=3, step=5)
    for found in run(world, share):
        assert sorted(found.tolist()) == sorted(whole.tolist())


def test_what_is_held_out_is_nowhere_learned() -> None:
    learned, held = (bytes(values.tolist()) for values in text())
    assert max(*learned, *held) < ALPHABET
    assert len(learned) > 5 * len(held) > 10**5
    windows_held = [bytes(row.tolist()) for row in held_out(Setting(context=200), count=10)]
    assert all(row in held for row in windows_held)
    assert sum(row in learned for row in windows_held) <= 1  # licences and the like are in several files
