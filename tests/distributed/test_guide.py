"""The code of the guide for several processes runs as printed, block after block, in two of them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import torch.distributed as dist

from tests.distributed.harness import ONE_AT_A_TIME, run

pytestmark = ONE_AT_A_TIME

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "distributed.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def played(folder: str) -> list[float]:
    """The estimate after each block that leaves an optimizer."""
    os.chdir(folder)
    space: dict[str, Any] = {"__name__": "page"}
    found = []
    with mock.patch.object(dist, "init_process_group"):  # the processes are connected already
        for number, block in enumerate(BLOCK.findall(PAGE.read_text("utf-8")), start=1):
            exec(compile(block, f"{PAGE.name}, block {number}", "exec"), space)
            optimizer = getattr(space.get("optimizer"), "optim", space.get("optimizer"))
            found += [optimizer.param_groups[0]["d"]] if optimizer else []
    return found


def test_the_code_of_the_page_runs_and_all_processes_find_one_estimate(tmp_path: Path) -> None:
    first, second = run(2, played, str(tmp_path))
    assert first == second
    assert all(d > 1e-6 for d in first)
    assert (tmp_path / "step-25" / ".metadata").is_file()
