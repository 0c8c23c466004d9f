"""The table of docs/judge.md can be measured again: a short form of it, and what is stored belongs to these faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from . import not_allclose as measured
from .patches import SOURCE, Patch


def test_a_right_implementation_passes_here_and_not_side_by_side() -> None:
    found = measured.first_noticed(measured.with_fault(None, Path()), problems=1, steps=8)
    assert (found["bound"], found["side by side"]) == (None, 6)
    assert 0.01 < found["closest"] <= 1


@pytest.mark.parametrize("patch", measured.FAULTS[:3], ids=lambda patch: patch.what)
def test_gross_faults_are_noticed_in_the_first_step(patch: Patch, tmp_path: Path) -> None:
    assert measured.first_noticed(measured.with_fault(patch, tmp_path), problems=1, steps=1)["bound"] == 1


def test_weights_that_never_move_are_close_step_by_step(tmp_path: Path) -> None:
    still = measured.with_fault(measured.FAULTS[0], tmp_path)
    assert measured.first_noticed(still, problems=1, steps=8)["lockstep"] is None


def test_what_is_stored_is_of_these_faults() -> None:
    stored = json.loads(measured.RESULT.read_text("utf-8"))
    assert list(stored["rows"]) == ["none", *(patch.what for patch in measured.FAULTS)]
    assert stored["settings"]["problems"] == measured.PROBLEMS
    assert stored["settings"]["steps"] == measured.STEPS
    for patch in measured.FAULTS:
        assert (SOURCE / patch.file).read_text("utf-8").count(patch.old) == 1
