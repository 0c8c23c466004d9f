"""A soak adds up, stops at an alarm, goes on where it stopped, and a batch is the same whenever it is played."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from ppsf_conformance import soak_state, soaking
from ppsf_conformance.cli import main
from ppsf_conformance.commands.common import FAILS, HOLDS, MISUSED
from ppsf_conformance.run import OWN
from ppsf_conformance.sampling import Sampler, settings
from ppsf_conformance.soak_state import SCHEMA, State, ranges
from ppsf_conformance.soaking import Alarm, Batch, Found
from ppsf_ref import overriding
from ppsf_ref.options import load_revision
from tests.kit.stub import StubImplementation

RESULT = Path("conformance/results/soak.json")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of a few problems."""
    monkeypatch.setattr(soaking, "PROBLEMS", 2)


def batch(number: int, steps: int = 10, alarm: Alarm | None = None) -> Batch:
    found = Found(problems=2, steps=steps, transitions=steps, elements=100, undecided=1, seconds=0.5)
    found.worst["y"] = 0.1 * (number + 1)
    found.guards["denominator_positive"] = Counter({"true": 3, "open": number})
    found.options["lr"] = Counter({"1.0": 2})
    found.pairs["d0=1.0"] = {"lr=1.0", f"slice_p={number}"}
    return Batch(number, soaking.revision_of(number), found, alarm)


ALARM = Alarm({"options": {}}, "step", 3, "y is 1, the law says 2", ())


def soak(folder: Path, *arguments: str) -> int:
    return main(["soak", "--state", str(folder / "state.json"), "--out", str(folder / "soak.json"), *arguments])


# -------------------------------------------------------------------------------------------------------------- batches


def test_a_batch_is_a_pure_function_of_seed_and_number() -> None:
    one, again, other = (soaking.run_batch(*which) for which in ((0, 3), (0, 3), (1, 3)))
    for found in (one.found, again.found, other.found):
        assert found.seconds > 0
        found.seconds = 0.0
    assert one == again
    assert one.found.drawn != other.found.drawn
    assert one.alarm is None


def test_the_revisions_take_turns() -> None:
    assert [soaking.revision_of(number) for number in range(len(OWN))] == list(OWN)


def test_every_value_shape_and_regime_is_drawn() -> None:
    """Within a thousand problems of each revision; pairs of values too, nearly all."""
    for revision in OWN:
        made = soaking.own(revision)
        sampler, found = Sampler(made.capabilities, np.random.default_rng(0)), Found()
        for _ in range(1000):
            soaking._count_drawn(sampler.problem(), found)
        report = soak_state._coverage(State(0, found={revision: found}), made.capabilities)
        assert not report["values_unmet"], revision
        assert report["pairs_met"] > 0.9 * report["pairs"], revision
        assert {name: len(found.drawn[name]) for name in ("regime", "shape", "dtype")} == {
            "regime": 14,
            "shape": 27,
            "dtype": len(made.capabilities.dtypes),
        }


def test_no_value_is_drawn_that_a_revision_refuses() -> None:
    for revision in OWN:
        made = soaking.own(revision).capabilities
        assert {name for name, _ in settings(made)} == (made.options & load_revision(revision).options)


def test_a_wrong_implementation_raises_an_alarm_and_the_batch_ends() -> None:
    assert soaking.run_batch(0, 0, StubImplementation()).alarm is None
    wrong = soaking.run_batch(0, 0, StubImplementation({"PPSF-Z-003": lambda z, u, dlr: z + dlr * u}))
    assert wrong.alarm is not None
    assert wrong.alarm.kind == "step"
    assert wrong.alarm.problem["revision"] == "1.9"


# ---------------------------------------------------------------------------------------------------------------- state


def test_a_state_survives_its_file(tmp_path: Path) -> None:
    state = State(7)
    for number in (0, 1, 5, 2):
        state.take(batch(number))
    state.take(batch(9, alarm=ALARM))
    state.write(tmp_path / "state.json")
    assert State.read(tmp_path / "state.json", 7) == state
    assert state.steps == 40
    assert state.parts[0].batches == [[0, 2], [5, 5]]
    assert state.total().worst == {"y": pytest.approx(0.6)}
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_a_batch_with_an_alarm_comes_first_again_and_is_settled_when_it_passes() -> None:
    state = State(0)
    state.take(batch(0))
    state.take(batch(1, alarm=ALARM))
    waiting = state.waiting()
    assert [next(waiting) for _ in range(3)] == [1, 2, 3]
    assert state.steps == 10
    state.take(batch(1))
    assert not state.open_alarms
    assert state.alarms[0]["settled_by"] == soak_state.maker()["commit"]


def test_steps_are_booked_to_what_they_were_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    state, other = State(0), {**soak_state.maker(), "commit": "f" * 40}
    state.take(batch(0))
    monkeypatch.setattr(soak_state, "maker", lambda: other)
    state.take(batch(1, steps=5))
    assert [(part.steps, part.batches) for part in state.parts] == [(10, [[0, 0]]), (5, [[1, 1]])]
    assert state.parts[1].maker["commit"] == "f" * 40


def test_ranges_join_neighbours() -> None:
    assert ranges([3, 1, 2, 7, 9, 8]) == [[1, 3], [7, 9]]
    assert ranges([]) == []


# -------------------------------------------------------------------------------------------------------------- command


def test_a_soak_can_be_stopped_and_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak(tmp_path, "--minutes", "0") == HOLDS
    assert json.loads((tmp_path / "soak.json").read_text())["steps"] == 0
    assert soak(tmp_path, "--steps", "1") == HOLDS
    once = json.loads((tmp_path / "soak.json").read_text())
    assert once["steps"] >= 1
    assert soak(tmp_path, "--steps", str(once["steps"] + 1)) == HOLDS
    twice = json.loads((tmp_path / "soak.json").read_text())
    assert twice["steps"] > once["steps"]
    assert sum(part["batches"] for part in twice["made_with"]) == 2
    assert "steps/s  alarms 0  undecided" in capsys.readouterr().out


def test_an_interrupted_soak_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seed: int, numbers: Any, jobs: int) -> Any:
        yield batch(next(numbers))
        raise KeyboardInterrupt

    monkeypatch.setattr(soaking, "batches", interrupted)
    assert soak(tmp_path) == HOLDS
    assert json.loads((tmp_path / "soak.json").read_text())["steps"] == 10
    assert State.read(tmp_path / "state.json", 0).steps == 10


def test_another_seed_needs_another_file(tmp_path: Path) -> None:
    State(3).write(tmp_path / "state.json")
    assert soak(tmp_path) == MISUSED


def test_a_soak_stops_at_an_alarm_and_prints_the_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with overriding({"PPSF-L-002": lambda k: k + 2}):
        assert soak(tmp_path, "--steps", "100000") == FAILS
        assert soak(tmp_path, "--batch", "0") == FAILS
    printed = capsys.readouterr().out
    assert "ALARM in batch 0, revision 1.9" in printed
    assert '"regime": ' in printed
    assert json.loads((tmp_path / "soak.json").read_text())["alarms"] == 1
    assert soak(tmp_path, "--batch", "0") == HOLDS


@pytest.mark.nightly
def test_several_processes_find_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "PROBLEMS", 40)  # other processes have the usual number
    one = list(soaking.batches(0, iter(range(2)), jobs=1))
    several = sorted(soaking.batches(0, iter(range(2)), jobs=2), key=lambda outcome: outcome.number)
    for outcome in (*one, *several):
        outcome.found.seconds = 0.0
    assert several == one


# --------------------------------------------------------------------------------------------------------------- result


def test_the_stored_result_fits_its_schema_and_has_no_alarm() -> None:
    data: dict[str, Any] = json.loads(RESULT.read_text("utf-8"))
    jsonschema.validate(data, json.loads(SCHEMA.read_text("utf-8")))
    assert data["alarms"] == 0
    assert data["steps"] == sum(part["steps"] for part in data["made_with"])
    assert data["steps"] == sum(revision["steps"] for revision in data["revisions"].values())
    assert set(data["revisions"]) == set(OWN)
    for name, outcomes in data["guards"].items():
        assert {"true", "false"} <= set(outcomes), f"the guard {name} never went both ways"
