"""What is shown of an optimizer: each group, whatever it is called, and lines that every reader of JSON reads."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.trainers import JsonLog, rates


def optimizer_of(*names: str | None) -> ProdigyPlusScheduleFree:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(3))], **({"name": name} if name else {})} for name in names]
    for index, group in enumerate(groups, 1):
        group["d0"] = index * 1e-3  # type: ignore[assignment]
    return ProdigyPlusScheduleFree(groups)


@pytest.mark.need(17)
@pytest.mark.parametrize(
    ("names", "prefixes"),
    [
        ((None,), ("",)),
        (("unet",), ("unet/",)),
        ((None, "unet"), ("group 0/", "unet/")),
        (("unet", "text", "unet"), ("unet, group 0/", "text/", "unet, group 2/")),
    ],
)
def test_each_group_is_shown(names: tuple[str | None, ...], prefixes: tuple[str, ...]) -> None:
    found = rates(optimizer_of(*names))
    assert [found[f"{prefix}d"] for prefix in prefixes] == [index * 1e-3 for index in range(1, len(names) + 1)]
    assert len(found) == 3 * len(names)


def test_a_line_is_json_whatever_the_loss_is(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log.jsonl")
    for step, loss in enumerate((0.5, math.nan, -math.inf, torch.tensor(0.25))):
        log.write(optimizer_of(None), step, loss=loss)  # type: ignore[arg-type]

    def refuse(word: str) -> None:
        raise ValueError(word)

    lines = (tmp_path / "log.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [line["loss"] for line in found] == [0.5, None, None, 0.25]
    assert [line["step"] for line in found] == [0, 1, 2, 3]
