"""The benchmark runs, and says what it claims to say."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from benchmarks import gpu_step
from benchmarks.__main__ import main
from benchmarks.contenders import UPSTREAM, YARDSTICK
from benchmarks.workloads import SHAPES, model
from ppsf_fast.backends import CHOICE


def test_a_quick_run_stores_and_draws_its_results(tmp_path: Path) -> None:
    main(["--quick", "--workload", "lora", "--dtype", "bfloat16", "--out", str(tmp_path)])
    (path,) = tmp_path.glob("*.json")
    assert path.with_suffix(".svg").stat().st_size > 0
    (result,) = json.loads(path.read_text("utf-8"))["results"]
    assert result["rows"][YARDSTICK]["ratio"][YARDSTICK]["median"] == 1
    assert result["rows"][UPSTREAM]["operations"] > 20 * result["tensors"]
    assert 4 <= result["rows"][YARDSTICK]["state_bytes_per_parameter"] < 4.01  # two moments, and a count per tensor


def test_the_shapes_of_a_model_have_as_many_elements_as_it_is_said_to_have() -> None:
    for path in SHAPES.glob("*.json"):
        said = json.loads(path.read_text("utf-8"))["parameters"]
        assert model(path.stem, 1).numel == said
        assert math.isclose(model(path.stem, 2).numel, said / 4, rel_tol=0.3)


def test_what_measures_a_gpu_can_be_rehearsed_without_one(tmp_path: Path) -> None:
    """All of its control flow, so that the first run on a GPU does not end with a slip."""
    pytest.importorskip("triton", reason="Triton is there on Linux only")
    assert gpu_step.main(["--dry-run", "--workload", "gpt2", "--dtype", "bfloat16", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    found = json.loads(path.read_text("utf-8"))
    assert found["rehearsal"]
    assert found["captured_step"] == "held"
    assert all(count > 0 for count in found["held"].values())
    (result,) = found["results"]
    ours = result["rows"][gpu_step.OURS]
    assert sum(ours["launches"].values()) <= 8
    assert ours["lines"]
    assert ours["waits"] == 0
    assert os.environ.get(CHOICE) != "triton"  # nobody else's steps are taken by Triton


def test_a_gpu_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_step, "INTERPRETED", False)
    monkeypatch.setattr(gpu_step.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="--dry-run"):
        gpu_step.main([])
