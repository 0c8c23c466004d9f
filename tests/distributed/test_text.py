"""A transformer that learns Python's own sources: sharded over several processes it learns as in one."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from benchmarks.text import ALPHABET, Setting, held_out, text, windows, writer
from benchmarks.together import curve, distance, spread
from ppsf_fast import ProdigyPlusScheduleFree
from tests.distributed.harness import ONE_AT_A_TIME, run

pytestmark = ONE_AT_A_TIME

SMALL = Setting(width=32, layers=1, heads=2, context=32, batch=12, steps=30, every=10, options=(("d0", 1e-3),))


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


def test_sharded_runs_have_the_curve_of_one_process() -> None:
    found = {1: [run(1, curve, SMALL, seed)[0] for seed in range(3)]}
    found |= {world: [run(world, curve, SMALL, 0)[0]] for world in (2, 3)}
    for losses in found[1]:
        assert losses[-1] < losses[0]
    for world in (2, 3):
        assert all(ours < seeds for ours, seeds in zip(distance(found, world), spread(found), strict=True))


def gathered_too_early(reshards: bool) -> tuple[float, float]:
    """The loss before a look at the averages, and after it: of the same weights and data."""
    model = writer(SMALL, seed=0)
    optimizer = ProdigyPlusScheduleFree(model.parameters(), d0=1e-2)
    for step in range(5):
        model(windows(SMALL, 0, step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    before = model(windows(SMALL, 0, 5))
    before.backward()
    optimizer.eval()
    with torch.no_grad():
        model(windows(SMALL, 0, 6))
    if reshards:
        model.reshard()  # type: ignore[attr-defined]
    optimizer.train()
    return before.item(), model(windows(SMALL, 0, 5)).item()


def test_what_a_forward_pass_has_gathered_is_forgotten_by_reshard() -> None:
    """Without it FSDP2 computes with the averages after train(), as the guide says."""
    right, wrong = (
        [abs(after - before) for before, after in run(2, gathered_too_early, reshards)] for reshards in (True, False)
    )
    assert 1000 * max(right) < min(wrong)
