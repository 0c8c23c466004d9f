"""The commands as people use them: smallest inputs that run again, comparisons, expected errata, forms."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from conformance.suite.wrong import LAWFUL, MAP
from ppsf_conformance import cli, name_map, run, survey
from ppsf_conformance.checks import Finding
from ppsf_conformance.commands.common import FAILS, HOLDS, MISUSED, STOPPED
from ppsf_conformance.problem_files import Stored, problem_of, read, text_of
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.report import Report

#: One wrong class, and classes that behave oddly, beside the right one.
MODULE = """
import sys
from lawful import Lawful

class Stale(Lawful):
    def step(self, closure=None):
        loss = super().step(closure)
        for kept in self.state.values():
            kept["s"].mul_(1.01)
        return loss

class Loud(Lawful):
    def __init__(self, *args, **kwargs):
        print("hello"); print("world", file=sys.stderr)
        super().__init__(*args, **kwargs)

class Leaves(Lawful):
    def step(self, closure=None):
        sys.exit("enough")

class Bare(Lawful):
    state_dict = None

class Stopped(Stale):
    steps = 0
    def step(self, closure=None):
        Stopped.steps += 1
        if Stopped.steps == 9:
            raise KeyboardInterrupt
        return super().step(closure)
"""
PROBLEM = Problem(
    {"lr": 0.1, "weight_decay": 0.3},
    (GroupSpec((ParamSpec((5,)), ParamSpec((3, 4)))), GroupSpec((ParamSpec((12,)),), {"eps": None})),
    "growth",
    steps=4,
)
Run = Callable[..., int]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the classes, their map and a problem; few problems are drawn, and none is large."""
    (tmp_path / "lawful.py").write_text(LAWFUL.read_text("utf-8"))
    (tmp_path / "odd.py").write_text(MODULE)
    (tmp_path / "map.toml").write_text(MAP.read_text("utf-8"))
    (tmp_path / "problem.json").write_text(text_of(Stored(PROBLEM, target="odd:Stale")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(run, "PROFILES", {"quick": 2, "standard": 2, "nightly": 2})
    monkeypatch.setattr(survey.Survey, "large", lambda _: None)  # of one a diagnosis takes a minute
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("odd", "lawful"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def main(*arguments: str, name_map: str = "map.toml") -> int:
    return cli.main([*arguments, "--map", name_map])


# ------------------------------------------------------------------------------------------------------- replay, shrink


def test_a_report_holds_problems_that_run_again(here: Path, capsys: Any) -> None:
    assert main("run", "odd:Stale", "--profile", "quick") == FAILS
    commands = [line for line in capsys.readouterr().out.splitlines() if "ppsf-conformance replay" in line]
    command = next(line for line in commands if "PPSF-D-003" in line)
    arguments = command.split()[1:]
    assert cli.main(arguments) == FAILS
    shown = capsys.readouterr().out
    assert "odd:Stale leaves the law" in shown
    assert "PPSF-D-003" in shown
    assert cli.main([*arguments, "--target", "lawful:Lawful"]) == HOLDS
    assert "agrees with the law" in capsys.readouterr().out


def test_shrinking_prints_data_and_writes_a_script(here: Path, capsys: Any) -> None:
    given = ("problem.json", "--out", "small.json", "--script", "show.py", "--quiet")
    assert main("shrink", "odd:Stale", *given) == FAILS
    found = read(here / "small.json").problem
    assert found == Problem({}, (GroupSpec((ParamSpec((1,)),)),), steps=1)
    out = capsys.readouterr().out
    assert json.JSONDecoder().raw_decode(out)[0] == json.loads((here / "small.json").read_text())
    assert "PPSF-D-003" in out
    done = subprocess.run([sys.executable, "show.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "the law says" in done.stdout
    (here / "show.py").write_text(
        (here / "show.py").read_text().replace("from odd import Stale", "from lawful import Lawful as Stale")
    )
    assert subprocess.run([sys.executable, "show.py"], capture_output=True, check=False).returncode == 0


def test_what_agrees_is_not_shrunk(here: Path, capsys: Any) -> None:
    assert main("shrink", "lawful:Lawful", "problem.json") == HOLDS
    assert "agrees with the law" in capsys.readouterr().out


def test_problems_survive_the_way_through_a_file(here: Path) -> None:
    problem = Problem(
        {"betas": (0.9, 0.99), "eps": None}, (GroupSpec((ParamSpec((2, 3)),), {"d0": 1e-3}),), revision="2.0"
    )
    (here / "p.json").write_text(text_of(Stored(problem)))
    assert read(here / "p.json").problem == problem == problem_of(problem.as_data())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"regime": "calm"}, "there is noise"),
        ({"revision": "7"}, "there is update3"),
        ({"options": {"speed": 1}}, "has no option 'speed'"),
        ({"steps": 0}, "$.problem.steps"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_file_that_is_no_problem_is_refused(here: Path, capsys: Any, changes: Any, said: str) -> None:
    data = json.loads((here / "problem.json").read_text())
    data["problem"] |= changes
    (here / "bad.json").write_text(json.dumps(data))
    assert main("replay", "bad.json") == MISUSED
    assert said in capsys.readouterr().err


def test_a_check_is_run_again_too(here: Path, capsys: Any) -> None:
    (here / "check.json").write_text(text_of(Stored(None, check="PPSF-L-005", target="odd:Bare")))
    assert main("replay", "check.json") == FAILS
    assert "PPSF-L-005 Saving and loading" in capsys.readouterr().out
    assert main("replay", "check.json", "--target", "lawful:Lawful") == HOLDS
    assert main("shrink", "odd:Bare", "check.json") == MISUSED


# -------------------------------------------------------------------------------------------------------------- compare


def test_two_classes_are_compared_from_the_same_states(here: Path, capsys: Any) -> None:
    maps = ("--map-a", "map.toml", "--map-b", "map.toml", "--problems", "4")
    assert cli.main(["compare", "odd:Stale", "lawful:Lawful", *maps, "--json"]) == FAILS
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "comparison-1"
    assert found["steps_from_one_state"] == found["steps"] > 4  # the second goes on from the first one's state
    assert found["kept_differently"] == {}
    first = found["differences"][0]
    assert (first["output"], first["follows"]) == ("s", "second")
    assert [(row["clause"], row["follows"]) for row in found["clauses"]] == [("PPSF-D-003", "second")]
    assert problem_of(first["problem"]).steps > 0


def test_classes_that_differ_by_rounding_only_are_the_same(here: Path, capsys: Any) -> None:
    maps = ("--map-a", "map.toml", "--problems", "4")
    assert cli.main(["compare", "lawful:Lawful", "ppsf_fast:ProdigyPlusScheduleFree", *maps]) == HOLDS
    assert "No difference beyond rounding." in capsys.readouterr().out


def test_classes_of_two_revisions_are_not_compared(here: Path, capsys: Any) -> None:
    assert cli.main(["compare", "ppsf_fast:ProdigyPlusScheduleFree", "ppsf_fast:Prodigy"]) == MISUSED
    assert "--revision" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------- xfail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[expected]]\nerratum = 'ERR-0999'\nreason = 'x'", "there is no erratum 'ERR-0999'"),
        ("[[expected]]\nerratum = 'ERR-0007'", "has erratum, not erratum, reason"),
        ("[[expected]]\nerratum = 'ERR-0007'\nreason = ' '", "the reason is empty"),
        ("[[expected]]\nclause = 'PPSF-D-003'\nreason = 'x'", "has clause, reason"),
        ("clauses = ['PPSF-D-003']", "clauses: not known here"),
        ("[[expected]]\nerratum = 'ERR-0007'\nreason = 'x'\n" * 2, "is there 2 times"),
        ("expected = 3", "not a list of tables"),
    ],
)
def test_only_errata_can_be_expected(here: Path, capsys: Any, text: str, said: str) -> None:
    (here / "x.toml").write_text(text)
    assert main("run", "lawful:Lawful", "--xfail", "x.toml") == MISUSED
    assert said in capsys.readouterr().err


def test_an_expected_erratum_that_does_not_show_is_an_error(here: Path, capsys: Any) -> None:
    (here / "x.toml").write_text("[[expected]]\nerratum = 'ERR-0010'\nreason = 'we thought so'")
    assert main("run", "lawful:Lawful", "--xfail", "x.toml", "--quiet") == FAILS
    (failed,) = [c for c in report_in(here).implementations[0].clauses if c.verdict == "fail"]
    assert failed.message.startswith("ERR-0010 does not show any more: take it out of the expected ones")


LAWFUL_NUMERATOR = 'beta3 * group["d_numerator"] + (item if d > group["d0"] else max(item, 0.0))'
THEIR_NUMERATOR = 'theirs(beta3 * group["d_numerator"], item, d > group["d0"])'
THEIRS = """

def theirs(decayed, item, grown):
    return decayed + item if not item < 0 else min(decayed, item) if grown else decayed
"""


def test_a_class_that_departs_as_an_expected_erratum_says_gets_its_verdict(here: Path) -> None:
    text = LAWFUL.read_text("utf-8")
    assert LAWFUL_NUMERATOR in text
    (here / "lawful.py").write_text(text.replace(LAWFUL_NUMERATOR, THEIR_NUMERATOR) + THEIRS)
    (here / "x.toml").write_text("[[expected]]\nerratum = 'ERR-0010'\nreason = 'until the next release'")
    main("run", "lawful:Lawful", "--xfail", "x.toml", "--quiet")
    clauses = {c.id: c for c in report_in(here).implementations[0].clauses}
    assert (clauses["PPSF-D-005"].verdict, clauses["PPSF-D-005"].errata) == ("erratum", ("ERR-0010",))
    assert "fail" not in {c.verdict for c in clauses.values()}


def report_in(folder: Path) -> Report:
    return Report.from_json((folder / "report" / "report.json").read_text("utf-8"))


# ---------------------------------------------------------------------------------------------------------------- forms


def test_the_formats_can_be_chosen(here: Path) -> None:
    main("run", "lawful:Lawful", "--format", "junit", "--quiet")
    assert [path.name for path in (here / "report").iterdir()] == ["junit.xml"]
    with pytest.raises(SystemExit):
        main("run", "lawful:Lawful", "--format", "pdf")


def test_programs_get_the_report_and_nothing_else(here: Path, capsys: Any) -> None:
    main("run", "odd:Loud", "--json")
    shown = capsys.readouterr()
    assert Report.from_json(shown.out).implementations[0].class_ == "odd:Loud"
    assert shown.err == ""


def test_quiet_is_one_line(here: Path, capsys: Any) -> None:
    main("run", "odd:Loud", "--quiet", "--no-color")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_help_tells_the_exit_codes_and_the_version(capsys: Any) -> None:
    for arguments in (["--help"], ["run", "--help"], ["compare", "--help"]):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        assert "exit codes:" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("ppsf-conformance ")


# ---------------------------------------------------------------------------------------------------------- odd classes


def test_a_class_that_ends_the_process_is_told_so(here: Path) -> None:
    main("run", "odd:Leaves", "--quiet")
    failed = [c.message for c in report_in(here).implementations[0].clauses if c.verdict == "fail"]
    assert failed
    assert all("sys.exit('enough')" in message for message in failed)


def test_a_run_that_is_stopped_leaves_a_report(here: Path, capsys: Any) -> None:
    assert main("run", "odd:Stopped", "--profile", "quick") == STOPPED
    report = report_in(here)
    assert report.run.interrupted
    assert not report.implementations[0].summary.passed
    assert report.implementations[0].suspects == ("PPSF-D-003",)
    assert "Stopped before the end" in capsys.readouterr().err


def test_stored_verdicts_that_are_stopped_end_quietly(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(survey.Survey, "run", stopped)
    assert cli.main(["verdicts", "--quiet"]) == STOPPED
    assert capsys.readouterr().err == "ppsf-conformance: stopped\n"


def test_a_fault_of_the_judge_is_not_put_to_the_class(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(implementation: Any) -> Any:
        yield Finding(True, "")
        raise ZeroDivisionError("mine")

    def raising(implementation: Any) -> Any:
        yield Finding(True, "")
        implementation.new([], {"nonsense": 1})

    monkeypatch.setattr(survey, "CHECKS", {"PPSF-L-003": broken, "PPSF-L-005": raising})
    main("run", "lawful:Lawful", "--quiet")
    clauses = {c.id: c for c in report_in(here).implementations[0].clauses}
    assert clauses["PPSF-L-003"].verdict == "not-run"
    assert clauses["PPSF-L-003"].message.startswith("the judge failed: ZeroDivisionError: mine, test_tool.py:")
    assert clauses["PPSF-L-005"].verdict == "fail"


def test_a_second_survey_diagnoses_again(here: Path) -> None:
    sys.path.insert(0, str(here))
    implementation = run.implementation_for("odd:Stale", here / "map.toml")
    judged = survey.Survey(implementation, survey.KnownDeviations(()))
    for explained in (1, 2):
        judged.judge_problem(PROBLEM)
        judged.diagnose()
        assert judged.clauses["PPSF-D-003"].explains >= explained
    assert name_map.is_target(implementation.cls, "odd:Stale")


# --------------------------------------------------------------------------------------------------------------- pytest


def test_the_kit_is_a_pytest_suite_for_any_class(here: Path) -> None:
    """One test per clause, named by its id; what the class does not offer is skipped, and never passed."""
    (here / "conftest.py").write_text(
        "from ppsf_conformance import run\nrun.PROFILES = {'quick': 1, 'standard': 1, 'nightly': 1}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "ppsf_conformance.pytest_plugin"]
    command += ["--pyargs", "ppsf_conformance.suite", "--ppsf-target", "odd:Stale", "--ppsf-map", "map.toml"]
    command += ["--rootdir", str(here), "-c", "/dev/null", "-rA", "-k", "PPSF-D", "--confcutdir", "/"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "FAILED" in done.stdout, done.stdout + done.stderr
    assert "test_clause[PPSF-D-003]" in done.stdout
    assert "Outside the window: the class does not offer what this clause is about" in done.stdout
    assert "PPSF-L" not in done.stdout


def test_the_schemas_are_schemas() -> None:
    folder = Path(run.__file__).parent
    for path in (folder / "problem.schema.json", folder / "report" / "schema.json"):
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text("utf-8")))
