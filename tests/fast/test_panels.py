"""The step without a kernel: the same bits however it is cut, and little memory beside the parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from benchmarks.measure import temporary_bytes
from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.backends import stacks, usual
from ppsf_fast.numerics import total
from tests.fast.helpers import give_gradients, parameters, snapshot, train

#: In panels and whole; factored axes that follow each other, and with others behind and between them.
SHAPES = ((1100, 260), (180, 170), (180, 170), (40, 33), (96, 96, 3, 3), (3, 150, 4, 160), (12,))
OPTIONS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1},
    {"revision": "2.0"},
    {"use_stableadamw": False, "stochastic_rounding": False},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_usual_step_in_place_is_the_general_one(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, options: dict[str, Any]
) -> None:
    def outcome() -> tuple[object, int]:
        params = parameters(dtype, SHAPES)
        optimizer = ProdigyPlusScheduleFree(params, **{"d0": 1e-2, **options})
        train(optimizer, params, range(3))
        return snapshot(optimizer, params), len(moved)

    moved: list[object] = []
    move = usual.move

    def noted(*args: Any) -> None:
        moved.append(args[0])
        move(*args)

    monkeypatch.setattr(usual, "move", noted)
    in_place, count = outcome()
    assert count >= 3 * (len(set(SHAPES)) - 1)
    monkeypatch.setattr(usual, "serves", lambda *_: False)
    assert outcome() == (in_place, count)


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_parameter_moves_alone_as_it_does_in_a_stack(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, options: dict[str, Any]
) -> None:
    """Also the largest that are stacked: of one element more torch may share a sum between threads."""
    largest = stacks._MOST
    shapes = [(181, 181), (largest,), (7, largest // 7), (17, 9, 3, 3), (20, 20, 9, 9)] * 3
    assert all(math.prod(shape) <= largest for shape in shapes)

    def outcome() -> object:
        params = parameters(dtype, shapes)
        optimizer = ProdigyPlusScheduleFree(params, **{"d0": 1e-2, **options})
        train(optimizer, params, range(3))
        return snapshot(optimizer, params)

    stacked = outcome()
    monkeypatch.setattr(stacks, "_MOST", 0)
    assert outcome() == stacked


@pytest.mark.usefixtures("three_threads")
def test_a_sum_of_what_is_stacked_has_the_bits_that_it_has_alone() -> None:
    """In float64, where no rounding to fewer digits hides another order."""
    values = torch.randn(5, stacks._MOST, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(total(values)[:1], total(values[:1]))
    for shape in ((7, stacks._MOST // 7), (181, 181)):
        matrices = values[:, : math.prod(shape)].reshape(-1, *shape)
        for axis in (1, 2):
            assert torch.equal(matrices.sum(axis)[:1], matrices[:1].sum(axis))
    longer = torch.cat([values, values], 1)
    assert not torch.equal(total(longer)[:1], total(longer[:1])), "longer ones might be stacked as well"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_beside_the_parameters_does_not_grow_with_them(dtype: torch.dtype) -> None:
    def held(rows: int) -> int:
        params = parameters(dtype, [(rows, 1024)])
        optimizer = ProdigyPlusScheduleFree(params)
        train(optimizer, params, range(2))
        give_gradients(params, 2)
        return temporary_bytes(optimizer)

    # What grows are the sums and the factors of the rows: less than ten float64 numbers for each.
    assert held(4096) <= held(1024) + 8 * 10 * (4096 - 1024)
