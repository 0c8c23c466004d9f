"""What is launched without asking Triton again is what Triton would launch: found by compiling, with a driver that only
takes notes."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from tests.fast.triton import uninterpreted


@pytest.fixture(scope="module")
def scenes() -> dict[str, dict[str, Any]]:
    """Found by a process that does not interpret."""
    done = uninterpreted.run("tests.fast.triton.launching")
    assert done.returncode == 0, done.stderr[-3000:]
    return {row.pop("scene"): row for row in map(json.loads, done.stdout.splitlines())}


pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is there on Linux only"),
    pytest.mark.xdist_group("launching"),
]


def test_any_arguments_find_the_compilation_that_triton_finds(scenes: dict[str, dict[str, Any]]) -> None:
    found = scenes["of_arguments"]
    assert found["functions"] > 1
    assert (found["different"], found["asked again"]) == (0, 0)


def test_hooks_are_called_and_the_present_stream_is_taken(scenes: dict[str, dict[str, Any]]) -> None:
    assert scenes["of_hooks"] == {"calls": [*["scale"] * 4, "before", "scale of 1"], "stream": 7}


def test_steps_launch_the_same_without_asking(scenes: dict[str, dict[str, Any]]) -> None:
    """Each launch is made a second time with nothing remembered, which asks; the first step asks for both."""
    found = scenes["of_steps"]
    assert found["different"] == 0
    assert found["asked"] == [8, 4, 4, 4]
