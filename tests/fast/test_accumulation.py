"""Gradients of several backward passes: added up by explicit choice, and otherwise refused under hooks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree, fuse_backward
from tests.fast.helpers import parameters, snapshot

SHAPES = ((6, 4), (5,), (3,))
PARTS = 3


def loss_of(params: list[Tensor], step: int, part: int) -> Tensor:
    """Of one part of a batch: the second parameter has a share in the last part alone, the third in the first."""
    generator = torch.Generator().manual_seed(100 * step + part)
    used = [params[0], *([params[2]] if part == 0 else []), *([params[1]] if part == PARTS - 1 else [])]
    targets = [torch.randn(param.shape, generator=generator) for param in used]
    return torch.stack([((param - goal) ** 2).sum() for param, goal in zip(used, targets, strict=True)]).sum()


def seen(optimizer: Any, params: list[Tensor]) -> dict[str, Any]:
    found = snapshot(optimizer, params)
    return found | {"groups": [{**group, "fused_back_pass": None} for group in found["groups"]]}


@pytest.mark.need(8, 34)
@pytest.mark.parametrize("in_closure", [False, True])
def test_accumulated_under_hooks_is_the_ordinary_step(in_closure: bool) -> None:
    params, others = parameters(shapes=SHAPES), parameters(shapes=SHAPES)
    fused, ordinary = ProdigyPlusScheduleFree(params, fused_back_pass=True), ProdigyPlusScheduleFree(others)
    with fuse_backward(fused) as hooks:
        for step in range(4):

            def passes(step: int = step) -> None:
                for part in range(PARTS):
                    with hooks.accumulating(part < PARTS - 1):
                        loss_of(params, step, part).backward()

            if in_closure:
                fused.step(passes)
            else:
                passes()
                fused.step()
            assert all(param.grad is None for param in params)
            for part in range(PARTS):
                loss_of(others, step, part).backward()
            ordinary.step()
            ordinary.zero_grad()
            assert seen(fused, params) == seen(ordinary, others)


@pytest.mark.need(34)
def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    """Numbers that add up without rounding, so that d and everything else agree bit for bit."""

    def trained(parts: int) -> dict[str, Any]:
        params = [torch.nn.Parameter(torch.full((4,), 0.5)) for _ in range(2)]
        optimizer = ProdigyPlusScheduleFree(params, d0=2.0**-10)
        for _ in range(6):
            for part in range(parts):
                rows = torch.arange(8.0)[part * 8 // parts : (part + 1) * 8 // parts]
                sum((param * row).sum() for param in params for row in rows).backward()  # type: ignore[union-attr]
            optimizer.step()
            optimizer.zero_grad()
        return snapshot(optimizer, params)

    assert trained(1) == trained(4)


@pytest.mark.need(8)
def test_a_second_backward_pass_before_step_is_refused_and_moves_nothing() -> None:
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params, fused_back_pass=True)
    with fuse_backward(optimizer) as hooks:
        loss_of(params, 0, 0).backward()
        weights = [param.detach().clone() for param in params]
        with pytest.raises(RuntimeError, match="accumulating"):
            (params[0] ** 2).sum().backward()
        with hooks.accumulating(), pytest.raises(RuntimeError, match="accumulating"):
            (params[0] ** 2).sum().backward()
        assert all(torch.equal(*pair) for pair in zip(params, weights, strict=True))
        optimizer.step()
        optimizer.zero_grad()
        loss_of(params, 1, 0).backward()
        optimizer.step()
    assert optimizer.param_groups[0]["k"] == 3


@pytest.mark.need(8)
def test_hooks_that_are_removed_finish_nothing() -> None:
    (param,) = parameters(shapes=[(4,)])
    optimizer = ProdigyPlusScheduleFree([param], fused_back_pass=True)
    with fuse_backward(optimizer) as hooks, hooks.accumulating():
        (param**2).sum().backward()
    before = snapshot(optimizer, [param])
    with pytest.warns(UserWarning, match="moves nothing"):
        optimizer.step()
    assert snapshot(optimizer, [param]) == before
