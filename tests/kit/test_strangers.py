"""Classes that nobody would write for a judge: each is told what is wrong with it, and harms nothing beside itself."""

from __future__ import annotations

import os
import re
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from ppsf_conformance import cli, patience, run, verdicts
from ppsf_conformance.commands.common import FAILS, MISUSED
from ppsf_conformance.name_map import read_name_map
from ppsf_conformance.patience import NoAnswer, limited
from ppsf_conformance.report import Report
from ppsf_conformance.surroundings import flushed, put_back
from ppsf_conformance.survey import Survey

MODULE = """
import os, time, torch
from ppsf_fast import ProdigyPlusScheduleFree as Ours

class Outer:
    class Inner(Ours):
        pass

class NeedsMore(Ours):
    def __init__(self, params, config, **options):
        super().__init__(params, **options)

class GivesNothing(Ours):
    def __new__(cls, *args, **options):
        return None

class KeepsText(Ours):
    def __init__(self, params, **options):
        super().__init__(params, **options)
        self.param_groups[0]["d"] = "large"

class Hangs(Ours):
    def step(self, closure=None):
        while True:
            time.sleep(0.01)

class Wanders(Ours):
    def step(self, closure=None):
        os.chdir("/")
        torch.set_flush_denormal(True)
        torch.set_default_dtype(torch.float64)
        try:
            return super().step(closure)
        finally:
            torch.set_default_dtype(torch.float32)

def make(params):
    return Ours(params)
"""
MAP = (resources.files("ppsf_conformance") / "adapters" / "ppsf_fast.toml").read_text("utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of such classes."""
    (tmp_path / "odd_optimizers.py").write_text(MODULE)
    (tmp_path / "leaves.py").write_text("import sys; sys.exit('no licence')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(run, "PROFILES", {"quick": 1, "standard": 1, "nightly": 1})
    for name in ("check", "rare", "large"):  # they take seconds or minutes, and are not what is tested
        monkeypatch.setattr(Survey, name, lambda *_: None)
    monkeypatch.setattr(verdicts, "_smallest", lambda survey, problem: problem)
    monkeypatch.setattr(patience, "_seconds", patience.PATIENCE)
    monkeypatch.delitem(sys.modules, "odd_optimizers", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("odd_optimizers.NeedsMore", "Is odd_optimizers:NeedsMore meant?"),
        ("odd_optimizers:NeedMore", "It has NeedsMore"),
        ("odd_optimizers.py:NeedsMore", "folder/name.py is folder.name"),
        ("nowhere_at_all:X", "PYTHONPATH"),
        ("odd_optimizers:make", "through a class of your own"),
        ("leaves:X", "SystemExit: no licence"),
        ("odd_optimizers:NeedsMore", "missing 1 required positional argument: 'config'. A class that needs more"),
        ("odd_optimizers:GivesNothing", "it gives None, which is no torch.optim.Optimizer"),
        ("odd_optimizers:KeepsText", "keeps 'large' there, which is no number"),
    ],
)
def test_what_cannot_be_judged_is_told_what_to_do(
    here: Path, capsys: pytest.CaptureFixture[str], target: str, told: str
) -> None:
    assert cli.main(["run", target, "--quiet"]) == MISUSED
    assert told in capsys.readouterr().err


def test_a_class_within_a_class_is_found(here: Path) -> None:
    sys.path.insert(0, str(here))
    assert run.implementation_for("odd_optimizers:Outer.Inner").target == "odd_optimizers:Outer.Inner"


def test_a_step_that_does_not_return_is_a_failure_and_the_last_thing_tried(here: Path) -> None:
    arguments = ["run", "odd_optimizers:Hangs", "--quiet", "--patience", "1.5"]
    assert cli.main(arguments) == FAILS
    (found,) = Report.from_json((here / "report" / "report.json").read_text("utf-8")).implementations
    failing = {clause.id: clause.message for clause in found.clauses if clause.verdict == "fail"}
    assert list(failing) == ["PPSF-L-001"]
    assert "NoAnswer: no return after 1.5 s" in failing["PPSF-L-001"]
    assert found.summary.problems == 1


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_patience_that_is_no_time_is_refused_and_not_put_to_the_class(
    capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "odd_optimizers:Hangs", "--patience", seconds])
    assert stopped.value.code == MISUSED
    assert "argument --patience" in capsys.readouterr().err


def _for_ever() -> None:
    with limited():
        while True:
            pass


def test_patience_ends_with_the_call() -> None:
    patience.set_patience(0.05)
    try:
        with pytest.raises(NoAnswer):
            _for_ever()
        with limited():
            pass
        torch.ones(3).sum()
    finally:
        patience.set_patience(patience.PATIENCE)


def test_a_report_comes_where_it_was_wanted_whatever_the_class_does_to_the_folder(here: Path) -> None:
    assert cli.main(["run", "odd_optimizers:Wanders", "--quiet", "--out", "repört"]) == FAILS  # subnormals are lost
    assert Path.cwd() == here
    assert (here / "repört" / "index.html").exists()
    assert not flushed()


def test_settings_and_generators_are_put_back() -> None:
    before = Path.cwd(), torch.get_default_dtype(), torch.get_rng_state(), np.random.get_state()[1].tobytes()  # type: ignore[index, union-attr]
    with put_back():
        os.chdir("/")
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        torch.set_flush_denormal(True)
        torch.rand(3)
        np.random.random_sample(3)
    after = Path.cwd(), torch.get_default_dtype(), torch.get_rng_state(), np.random.get_state()[1].tobytes()  # type: ignore[index, union-attr]
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    assert before[3] == after[3]
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert not flushed()


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "taken").write_text("a file")
    assert cli.main(["run", "odd_optimizers:Hangs", "--out", "taken"]) == MISUSED
    assert "name a folder that can be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (r'^d_prev = .*\n', "group: it has no d_prev, which a group of revision 1.9 keeps"),
        (r'^n_max = .*\n', "group: it has no n_max, which a group of revision 2.0 keeps"),
        (r'^x0 = .*\n', "state: it has no x0, which revision 1.9 keeps under options of the map"),
        (r'^v_col = .*\n', "state: it has no v_col"),
    ],
)  # fmt: skip
def test_a_map_without_a_name_that_a_revision_needs_is_refused(line: str, told: str) -> None:
    assert read_name_map(MAP, "whole.toml").group["d_prev"] == "d_prev"
    with pytest.raises(ValueError, match=re.escape(told)):
        read_name_map(re.sub(line, "", MAP, flags=re.MULTILINE), "map.toml")


def test_where_nothing_is_kept_under_a_name_the_other_names_are_told(here: Path) -> None:
    (here / "map.toml").write_text(MAP.replace('z = "z"', 'z = "base"'))
    arguments = ["run", "odd_optimizers:Outer.Inner", "--quiet", "--map", "map.toml", "--format", "json"]
    assert cli.main(arguments) == FAILS
    (found,) = Report.from_json((here / "report" / "report.json").read_text("utf-8")).implementations
    (message,) = [clause.message for clause in found.clauses if clause.verdict == "fail"]
    assert message.endswith("; the name map reads it from 'base', and has no name for z")
