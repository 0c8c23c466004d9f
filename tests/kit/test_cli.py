"""The command line as a stranger meets it: exit codes, files, and messages instead of tracebacks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ppsf_conformance import cli, peers, run, verdicts
from ppsf_conformance.commands.common import FAILS, HOLDS, MISUSED
from ppsf_conformance.report import Report

MODULE = """
import torch
from ppsf_fast import ProdigyPlusScheduleFree

class Mine(ProdigyPlusScheduleFree):
    pass

class Broken(ProdigyPlusScheduleFree):
    def step(self, closure=None):
        loss = super().step(closure)
        for kept in self.state.values():
            kept["z"].mul_(1.0001)
        return loss

class Stranger(torch.optim.SGD):
    pass

class Nothing:
    pass
"""
MAP = (resources.files("ppsf_conformance") / "adapters" / "ppsf_fast.toml").read_text("utf-8")
FEWER = re.sub(r"options = \[.*?\]", 'options = ["lr", "d0"]', MAP, flags=re.DOTALL).replace(', "bfloat16"', "")
OLD = "prodigyplus.prodigy_plus_schedulefree:ProdigyPlusScheduleFree"
#: Enough problems to reach every clause that a class with few options has.
ENOUGH, FEW = 20, 1


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's folder: a module with optimizers, and profiles that take no time."""
    (tmp_path / "stranger_optimizers.py").write_text(MODULE)
    (tmp_path / "fewer.toml").write_text(FEWER)
    (tmp_path / "map.toml").write_text(MAP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(run, "PROFILES", {"quick": FEW, "standard": ENOUGH, "nightly": ENOUGH})
    monkeypatch.setattr(verdicts, "_smallest", lambda survey, problem: problem)
    monkeypatch.delitem(sys.modules, "stranger_optimizers", raising=False)
    return tmp_path


def report_in(folder: Path) -> Report:
    return Report.from_json((folder / "report.json").read_text("utf-8"))


def verdicts_of(report: Report, index: int = 0) -> Mapping[str, str]:
    return {clause.id: clause.verdict for clause in report.implementations[index].clauses}


# ---------------------------------------------------------------------------------------------------------- exit codes


def test_a_class_that_holds_every_clause_exits_with_0(here: Path) -> None:
    assert cli.main(["run", "stranger_optimizers:Mine", "--map", "fewer.toml", "--profile", "standard"]) == HOLDS
    found = verdicts_of(report_in(here / "report"))
    assert set(found.values()) == {"pass", "unsupported"}  # what it does not offer is not held against it
    assert (found["PPSF-Z-003"], found["PPSF-D-009"], found["PPSF-R-004"]) == ("pass", "unsupported", "unsupported")


def test_a_class_that_breaks_a_clause_exits_with_1(here: Path, capsys: Any) -> None:
    assert cli.main(["run", "stranger_optimizers:Broken", "--profile", "quick"]) == FAILS == 1
    assert "fail" in verdicts_of(report_in(here / "report")).values()
    assert "Does not conform" in capsys.readouterr().out


def test_too_few_problems_decide_nothing_and_say_so(here: Path, capsys: Any) -> None:
    assert cli.main(["run", "stranger_optimizers:Mine", "--profile", "quick"]) == FAILS
    assert "not-run" in verdicts_of(report_in(here / "report")).values()
    assert "look harder with a larger --profile" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stranger_optimizers"], "write it as module:Class"),
        (["no_such_module:Class"], "No module named 'no_such_module'"),
        (["stranger_optimizers:Missing"], "has no attribute 'Missing'"),
        (["stranger_optimizers:Nothing"], "is not a torch.optim.Optimizer"),
        (["stranger_optimizers:Stranger"], "give it with --map"),
        (["stranger_optimizers:Mine", "--revision", "7"], "there is no revision '7'; there is update3, 1.9, 2.0"),
        (["stranger_optimizers:Mine", "--map", "missing.toml"], "cannot read the name map missing.toml"),
        (["stranger_optimizers:Mine", "--map", "stranger_optimizers.py"], "is not TOML"),
        (["stranger_optimizers:Stranger", "--map", "map.toml"], "the name map reads d from 'd' of a parameter group"),
        (["a:B@prodigyopt==0.0.1"], "-m pip install"),
        ([f"{OLD}@prodigy-plus-schedule-free==2.0.1", "--revision", "1.9"], "is judged by 2.0, not by revision '1.9'"),
        (["stranger_optimizers:Mine", "--out", "map.toml"], "File exists"),
    ],
)
def test_a_request_that_makes_no_sense_exits_with_2_and_says_why(
    here: Path, capsys: Any, arguments: list[str], said: str
) -> None:
    assert cli.main(["run", *arguments, "--profile", "quick"]) == MISUSED == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("ppsf-conformance: ")
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out.strip() == ""


@pytest.mark.parametrize("arguments", [[], ["judge"], ["run"], ["run", "a:B", "--profile", "hasty"]])
def test_unknown_arguments_exit_with_2(here: Path, capsys: Any, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == MISUSED
    assert "usage: ppsf-conformance" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------------- peers


def test_two_releases_of_one_class_stand_side_by_side(here: Path) -> None:
    targets = [f"{OLD}@prodigy-plus-schedule-free=={version}" for version in ("1.9.0", "1.9.2")]
    cli.main(["run", *targets, "--profile", "quick"])
    first, second = report_in(here / "report").implementations
    assert [first.version, second.version] == ["1.9.0", "1.9.2"]
    assert [first.class_, second.class_] == targets


def test_the_list_of_peers_says_which_are_missing(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    assert cli.main(["peers"]) == HOLDS
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(peers.known())
    assert all(line.startswith("installed ") for line in lines)
    monkeypatch.setenv(peers.HOME, str(tmp_path))
    cli.main(["peers"])
    assert all(line.startswith("missing ") for line in capsys.readouterr().out.splitlines())


def test_only_what_is_missing_is_installed(tmp_path: Path, monkeypatch: Any) -> None:
    wanted: list[str] = []
    monkeypatch.setattr(peers, "install", lambda release: wanted.append(str(release)))
    assert cli.main(["peers", "--install"]) == HOLDS
    assert wanted == []
    monkeypatch.setenv(peers.HOME, str(tmp_path))
    cli.main(["peers", "--install"])
    assert wanted == [str(release) for release in peers.known()]


# --------------------------------------------------------------------------------------------------------------- files


def test_the_report_is_written_in_three_forms(here: Path, capsys: Any) -> None:
    cli.main(["run", "stranger_optimizers:Mine", "--profile", "quick", "--out", "a/b", "--seed", "5"])
    report = report_in(here / "a" / "b")
    assert (report.run.seed, report.run.profile) == (5, "quick")
    assert report.implementations[0].class_ == "stranger_optimizers:Mine"
    assert json.loads((here / "a/b/report.json").read_text("utf-8"))
    assert "<html" in (here / "a/b/index.html").read_text("utf-8")
    assert ElementTree.parse(here / "a/b/junit.xml").getroot().tag == "testsuites"
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("report.json", "index.html", "junit.xml"))


def test_classes_of_one_name_stand_side_by_side(here: Path) -> None:
    (here / "other_optimizers.py").write_text(MODULE)
    targets = ["stranger_optimizers:Mine", "other_optimizers:Mine", "stranger_optimizers:Mine"]
    cli.main(["run", *targets, "--profile", "quick"])
    first, second = report_in(here / "report").implementations
    assert [first.name, second.name] == targets[:2]
    assert first.clauses == second.clauses  # the same seed, the same verdicts


# ------------------------------------------------------------------------------------------------------------- process


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False)


def test_help_comes_from_a_process_of_its_own() -> None:
    done = in_a_process("-m", "ppsf_conformance", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(command in done.stdout for command in ("run", "audit", "mutants"))


def test_where_only_the_optimizer_is_installed_the_command_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['rich'] = None; from ppsf_conformance.__main__ import main; sys.exit(main())"
    done = in_a_process("-c", hidden)
    assert (done.returncode, done.stdout) == (2, "")
    assert "module 'rich" in done.stderr
    assert "pip install '.[conformance]'" in done.stderr
    assert "Traceback" not in done.stderr
