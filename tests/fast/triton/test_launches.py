"""How much is launched and moved: numbers, whatever the number of parameters; and no value is read on the host."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu_step import workloads
from ppsf_fast import ProdigyPlusScheduleFree, plan
from ppsf_fast.backends.triton import geometry, launch
from ppsf_fast.backends.triton.traffic import scratch, tables, traffic
from tests.fast.helpers import give_gradients, parameters
from tests.fast.revised import build

#: What a step at defaults launches, whatever the number of parameters: all of it, and without small or large ones.
DEFAULT = {"look": 1, "begin": 1, "factors": 1, "reduce": 1, "finish_sums": 1, "apply": 1, "whole": 1, "end": 1}
LARGE = {name: 1 for name in DEFAULT if name != "whole"}
SMALL = {"look": 1, "begin": 1, "whole": 1, "end": 1}


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
def test_a_step_at_defaults_is_eight_launches(dtype: torch.dtype, number: int) -> None:
    params = parameters(dtype, [(33, 8), (5,), (), (3, 2, 40)] * number)
    assert launches(ProdigyPlusScheduleFree(params), params) == DEFAULT


def test_large_tensors_are_seven_and_small_ones_four() -> None:
    for shapes, expected in (([(33, 8), (40, 12)], LARGE), ([(33, 4), (5,), ()], SMALL)):
        params = parameters(shapes=shapes)
        assert launches(ProdigyPlusScheduleFree(params), params) == expected


def test_groups_add_none() -> None:
    params = parameters(shapes=[(33, 8)] * 4)
    groups = [{"params": [param], "lr": 1.0 / (index + 1)} for index, param in enumerate(params)]
    assert launches(ProdigyPlusScheduleFree(groups), params) == LARGE


def test_a_bucket_of_its_own_adds_what_goes_over_its_tiles() -> None:
    """Mixed dtypes: numbers of groups and pools are found once."""
    params = [*parameters(torch.float32, [(33, 8)]), *parameters(torch.bfloat16, [(33, 8)])]
    once = {"begin": 1, "end": 1}
    assert launches(ProdigyPlusScheduleFree(params), params) == {name: once.get(name, 2) for name in LARGE}


#: One more than at defaults where a parameter's share of the estimate is more than a sum.
@pytest.mark.parametrize(
    ("case", "most"), [("2.0", 9), ("2.0 without averaging", 9), ("update3", 8), ("prodigy", 8), ("schedulefree", 8)]
)
def test_other_revisions_need_few_launches(case: str, most: int) -> None:
    params = parameters(shapes=[(33, 8), (5,), (3, 2, 40)])
    optimizer = build(case, params)
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0
    assert sum(launches(optimizer, params).values()) <= most


# ------------------------------------------------------------------------------------------------- predictions of bytes


def planned(dtype: torch.dtype, shapes: Sequence[tuple[int, ...]], **options: Any) -> plan.Plan:
    """Of tensors without memory."""
    params = [torch.nn.Parameter(torch.empty(shape, dtype=dtype, device="meta")) for shape in shapes]
    for param in params:
        param.grad = torch.empty_like(param)
    optimizer = ProdigyPlusScheduleFree(params, **options)
    work = plan.gather(optimizer.param_groups, optimizer._rules(), optimizer.state, optimizer._ledger)
    plan.equip(work, optimizer.param_groups, optimizer._rules(), optimizer.state, optimizer._ledger)
    return work


def predicted(dtype: torch.dtype, shape: tuple[int, int], **options: Any) -> dict[str, float]:
    """Bytes per parameter."""
    found = traffic(planned(dtype, [shape], **options))
    return {name: count / math.prod(shape) for name, count in found.items()}


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_large_matrices_move_seven_times_their_width_and_little_more(dtype: torch.dtype, width: int) -> None:
    """Three passes over g, and y and z read and written: 28 bytes per parameter in float32, 14 in bfloat16."""
    found = predicted(dtype, (1024, 1024))
    samples = -(-(1024**2) // 11) * (width + 2 * 4) / 1024**2
    partial = 4 * 2 / 256
    assert found["look"] == width + partial
    assert found["reduce (norm)"] == width
    assert found["apply"] == 5 * width + samples
    assert sum(found.values()) < 7 * width + samples + 3 * partial


def test_without_clipping_one_pass_is_saved() -> None:
    found = predicted(torch.float32, (1024, 1024), use_stableadamw=False)
    assert set(found) == {"look", "factors", "apply"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("side", "number"), [(4096, 6), (8192, 15)])
def test_scratch_is_below_a_hundredth_of_large_matrices(dtype: torch.dtype, side: int, number: int) -> None:
    work = planned(dtype, [(side, side)] * number)
    weights = sum(item.param.numel() * item.param.element_size() for item in work.items)
    assert scratch(work) < 0.01 * weights
    assert tables(work) < 0.001 * weights


@pytest.mark.parametrize(("shape", "share"), [((1280, 1280), 0.02), ((640, 640, 3, 3), 0.03), ((16, 640), 0.15)])
def test_scratch_is_little_of_anything(shape: tuple[int, ...], share: float) -> None:
    """Few tensors are cut finely, to keep a GPU busy; and a narrow matrix has a long row, in its state too."""
    work = planned(torch.bfloat16, [shape] * 4)
    assert scratch(work) < share * sum(2 * item.param.numel() for item in work.items)


PAGE = Path(__file__).parents[3] / "docs/kernels.md"
ROWS = [
    [cell.strip() for cell in line.strip("| \n").split("|")]
    for line in PAGE.read_text("utf-8").splitlines()
    if re.match(r"\| \w+ \| (float32|bfloat16) ", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:2]))
def test_the_page_says_what_the_tables_predict(monkeypatch: pytest.MonkeyPatch, row: list[str]) -> None:
    monkeypatch.setattr(geometry, "SMALL", 16384)
    name, dtype, *said, share = row
    workload = next(each for each in workloads() if each.key == name)
    work = planned(getattr(torch, dtype), workload.shapes)
    found = traffic(work)
    launches = [found[each] / workload.numel for each in ("look", "factors", "reduce (norm)", "apply", "whole")]
    assert [f"{each:.2f}" for each in (*launches, sum(found.values()) / workload.numel)] == said
    width = getattr(torch, dtype).itemsize
    assert f"{100 * scratch(work) / width / workload.numel:.1f} %" == share


def test_the_page_has_its_table() -> None:
    assert {row[0] for row in ROWS} == {"large", "lora", "gpt2"}
