"""Tests of one `xdist_group` run in one process: what they share is made once, and no two of them at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

GROUPED = """
import os
import time

import pytest

@pytest.mark.parametrize("number", range(4))
@pytest.mark.xdist_group("one")
def test_grouped(number):
    time.sleep(0.2)
    print("process", os.getpid())
"""


def test_a_group_stays_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-rP", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    processes = [line for line in done.stdout.splitlines() if line.startswith("process ")]
    assert len(processes) == 4, done.stdout
    assert len(set(processes)) == 1
