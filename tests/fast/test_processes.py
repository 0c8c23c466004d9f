"""Processes that share one estimate: two of them, over gloo, hold what one holds alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist

from ppsf_fast import Prodigy
from tests.distributed.harness import ONE_AT_A_TIME, run

pytestmark = ONE_AT_A_TIME

STEPS = 12
#: A step in which the second process has no gradient, one in which it has a bad one, and one in which none has any.
ALONE, BAD, IDLE = 4, 6, 8


def gradient(param: torch.Tensor, part: int, t: int) -> torch.Tensor | None:
    if t == IDLE or (t == ALONE and part == 1):
        return None
    grown = param.detach() - (part + 1)
    return grown * float("nan") if t == BAD and part == 1 else grown


def trained(parts: list[int], **options: Any) -> list[dict[str, Any]]:
    """What the group and the given parts of the parameters are after each step."""
    params = [torch.nn.Parameter(torch.zeros(20)) for _ in parts]
    optimizer = Prodigy(params, d0=1e-3, **options)
    seen = []
    for t in range(STEPS):
        for part, param in zip(parts, params, strict=True):
            param.grad = gradient(param, part, t)
        optimizer.step()
        shown = {name: optimizer.metrics()[0][name] for name in ("d", "d_numerator", "d_denom", "k", "skipped_steps")}
        seen.append({**shown, "params": [param.detach().clone() for param in params]})
    return seen


def share() -> list[dict[str, Any]]:
    return trained([dist.get_rank()], fsdp_in_use=True)


@pytest.mark.clause("PPSF-D-032")
def test_two_processes_hold_what_one_holds() -> None:
    alone = trained([0, 1])
    for t, (whole, first, second) in enumerate(zip(alone, *run(2, share), strict=True)):
        for name in ("d", "d_numerator", "d_denom", "k", "skipped_steps"):
            assert whole[name] == first[name] == second[name], (t, name)
        assert torch.equal(whole["params"][0], first["params"][0])
        assert torch.equal(whole["params"][1], second["params"][0])
    assert alone[-1]["d"] > 1e-3
    assert (alone[-1]["k"], alone[-1]["skipped_steps"]) == (STEPS - 1, 1)


@pytest.mark.clause("PPSF-D-032")
def test_a_process_without_others_sums_nothing() -> None:
    summing, plain = trained([0, 1], fsdp_in_use=True), trained([0, 1])
    assert [seen["d"] for seen in summing] == [seen["d"] for seen in plain]
