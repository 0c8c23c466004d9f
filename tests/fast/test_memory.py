"""What memory() foresees is what the state takes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import parameters, train
from tests.fast.revised import CASES, build

OF_1_9: list[dict[str, Any]] = [
    {},
    {"eps": None},
    {"factored": False},
    {"factored_fp32": False},
    {"use_speed": True},
    {"use_adopt": True},
    {"use_focus": True},
    {"use_muon_pp": True},
    {"use_muon_pp": True, "use_adopt": True},
    {"prodigy_steps": 2},
    {"prodigy_steps": 9},
    {"split_groups": False, "prodigy_steps": 9},
]
SHAPES = ((40, 12), (64, 64), (7,), (), (3, 2, 33), (0, 4), (4, 3, 35, 36))


def measured(optimizer: Any) -> dict[str, int]:
    found: Counter[str] = Counter()
    for state in optimizer.state.values():
        found.update({name: value.nbytes for name, value in state.items() if isinstance(value, torch.Tensor)})
    return dict(found)


def check(optimizer: Any, params: Any) -> None:
    foreseen = optimizer.memory()
    assert not optimizer.state
    train(optimizer, params, range(2))
    during = foreseen.after_window if optimizer.param_groups[0].get("prodigy_steps") == 2 else foreseen.by_kind
    assert measured(optimizer) == during
    assert optimizer.memory().by_kind == during
    assert foreseen.total == sum(foreseen.by_kind.values()) >= foreseen.total_after_window
    assert foreseen.parameters == sum(param.numel() for param in params)


@pytest.mark.need(14)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", OF_1_9, ids=str)
def test_memory_of_options(options: dict[str, Any], dtype: torch.dtype) -> None:
    params = parameters(dtype, SHAPES)
    check(ProdigyPlusScheduleFree(params, **options), params)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_memory_of_revisions(case: str, dtype: torch.dtype) -> None:
    params = parameters(dtype, SHAPES)
    check(build(case, params), params)


def test_the_end_of_the_window_frees_what_was_foreseen() -> None:
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params, prodigy_steps=3)
    foreseen = optimizer.memory()
    train(optimizer, params, range(3))
    assert measured(optimizer) == foreseen.after_window
    assert set(foreseen.by_kind) - set(foreseen.after_window) == {"p0", "s"}
    assert optimizer.memory().by_kind == foreseen.after_window


def test_options_that_change_on_the_way_are_seen() -> None:
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(2))
    before = measured(optimizer)
    optimizer.param_groups[0]["use_adopt"] = True
    foreseen = optimizer.memory()
    assert measured(optimizer) == before != foreseen.by_kind
    train(optimizer, params, [2])
    assert measured(optimizer) == foreseen.by_kind


def test_frozen_parameters_and_strides() -> None:
    frozen, trained = parameters(shapes=[(40, 12), (40, 12)])
    frozen.requires_grad_(False)
    transposed = torch.nn.Parameter(trained.detach().t())
    optimizer = ProdigyPlusScheduleFree([frozen, transposed])
    foreseen = optimizer.memory()
    train(optimizer, [transposed], range(2))
    assert foreseen.by_kind == measured(optimizer)
    assert foreseen.parameters == transposed.numel()


@pytest.mark.need(14)
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 4.8), (torch.bfloat16, 2.6)])
def test_bytes_per_parameter_of_large_matrices_at_defaults(dtype: torch.dtype, limit: float) -> None:
    foreseen = ProdigyPlusScheduleFree([torch.nn.Parameter(torch.empty(2048, 2048, dtype=dtype))]).memory()
    assert foreseen.total / foreseen.parameters < limit
