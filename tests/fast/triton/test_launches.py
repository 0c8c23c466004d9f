"""How much is launched and moved: numbers, whatever the number of parameters; and no value is read on the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree, plan
from ppsf_fast.backends.triton import geometry, launch, table
from ppsf_fast.backends.triton.traffic import traffic
from tests.fast.helpers import give_gradients, parameters
from tests.fast.revised import build

#: What a step at defaults launches, whatever the number of parameters.
DEFAULT = {"look": 1, "begin": 1, "factors": 1, "reduce": 1, "finish_sums": 1, "apply": 1, "end": 1}


@contextmanager
def counted() -> Iterator[Counter[str]]:
    found: Counter[str] = Counter()
    with launch.observed(lambda name, programs: found.update([name])):
        yield found


def launches(optimizer: Any, params: list[torch.Tensor]) -> dict[str, int]:
    give_gradients(params, 0)
    with counted() as found:
        optimizer.step()
    return dict(found)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_at_defaults_is_seven_launches(dtype: torch.dtype, number: int) -> None:
    params = parameters(dtype, [(33, 8), (5,), (), (3, 2, 40)] * number)
    assert launches(ProdigyPlusScheduleFree(params), params) == DEFAULT


def test_groups_add_none() -> None:
    params = parameters(shapes=[(33, 8)] * 4)
    groups = [{"params": [param], "lr": 1.0 / (index + 1)} for index, param in enumerate(params)]
    assert launches(ProdigyPlusScheduleFree(groups), params) == DEFAULT


def test_a_bucket_of_its_own_adds_what_goes_over_its_tiles() -> None:
    """Mixed dtypes: numbers of groups and pools are found once."""
    params = [*parameters(torch.float32, [(33, 8)]), *parameters(torch.bfloat16, [(33, 8)])]
    once = {"begin": 1, "end": 1}
    assert launches(ProdigyPlusScheduleFree(params), params) == {name: once.get(name, 2) for name in DEFAULT}


@pytest.mark.parametrize(
    ("case", "most"), [("2.0", 8), ("2.0 without averaging", 8), ("update3", 8), ("prodigy", 8), ("schedulefree", 8)]
)
def test_other_revisions_need_few_launches(case: str, most: int) -> None:
    params = parameters(shapes=[(33, 8), (5,), (3, 2, 40)])
    optimizer = build(case, params)
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0
    assert sum(launches(optimizer, params).values()) <= most


def predicted(dtype: torch.dtype, shape: tuple[int, int], **options: Any) -> dict[str, float]:
    """Bytes per parameter."""
    params = [torch.nn.Parameter(torch.empty(shape, dtype=dtype))]
    params[0].grad = torch.empty_like(params[0])
    optimizer = ProdigyPlusScheduleFree(params, **options)
    work = plan.gather(optimizer.param_groups, optimizer._rules(), optimizer.state, optimizer._ledger)
    plan.equip(work, optimizer.param_groups, optimizer._rules(), optimizer.state, optimizer._ledger)
    return {name: count / params[0].numel() for name, count in traffic(work).items()}


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_large_matrices_move_seven_times_their_width_and_little_more(dtype: torch.dtype, width: int) -> None:
    """Three passes over g, and y and z read and written: 28 bytes per parameter in float32, 14 in bfloat16."""
    found = predicted(dtype, (1024, 1024))
    samples = -(-(1024**2) // 11) * (width + 2 * 4) / 1024**2
    partial = 8 * 2 / 256
    assert found["look"] == width + partial
    assert found["reduce (norm)"] == width
    assert found["apply"] == 5 * width + samples
    assert sum(found.values()) < 7 * width + samples + 2.5 * partial


def test_without_clipping_one_pass_is_saved() -> None:
    found = predicted(torch.float32, (1024, 1024), use_stableadamw=False)
    assert set(found) == {"look", "factors", "apply"}


def test_no_scratch_is_of_the_size_of_the_parameters() -> None:
    by = geometry.cut()
    side = 512
    params = [torch.nn.Parameter(torch.empty(side, side))]
    params[0].grad = torch.empty_like(params[0])
    optimizer = ProdigyPlusScheduleFree(params)
    rules = optimizer._rules()
    work = plan.gather(optimizer.param_groups, rules, optimizer.state, optimizer._ledger)
    plan.equip(work, optimizer.param_groups, rules, optimizer.state, optimizer._ledger)
    entry = table.entry_of(work.items[0], rules[0], 0, by)
    (bucket,) = table.buckets_of([(entry, rules[0])], by)
    layout = table.layout_of(bucket, by)
    scratch = 8 * layout.parts + 4 * layout.roots + 8 * layout.means
    assert scratch < 0.02 * 4 * side * side
