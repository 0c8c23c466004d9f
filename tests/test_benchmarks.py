"""The benchmark runs, and says what it claims to say."""

from __future__ import annotations

import json
import math
from pathlib import Path

from benchmarks.__main__ import main
from benchmarks.contenders import UPSTREAM, YARDSTICK
from benchmarks.workloads import SHAPES, model


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
