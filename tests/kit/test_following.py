"""Each release agrees with the reference under its errata, on options drawn from all that its constructor takes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ppsf_conformance import following, lockstep, peers
from ppsf_conformance.cli import main
from ppsf_conformance.commands.common import FAILS, HOLDS
from ppsf_conformance.errata import KnownDeviations, errata_of
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.run import implementation_for

FEW = 12
#: Those of other packages are followed when their verdicts are reached again (test_stored.py).
RELEASED = {
    **{
        str(release): f"{cls}@{release}"
        for release, cls in peers.known().items()
        if release.distribution not in {"pytorch-optimizer", "optax"}
    },
    "schedulefree RAdam": "schedulefree.radam_schedulefree:RAdamScheduleFree@schedulefree==1.4.1",
}
each_release = pytest.mark.parametrize("target", RELEASED.values(), ids=RELEASED)


@cache
def followed(target: str) -> following.Following:
    return following.follow(implementation_for(target), FEW, seed=7)


@each_release
def test_a_release_is_followed_over_its_options(target: str) -> None:
    found = followed(target)
    assert (found.deviations, found.unnamed) == ([], ())
    assert (found.combinations, found.left_out) == (FEW, 0)
    assert found.steps >= 3 * FEW
    assert found.worst > 0.1, "bounds that no release comes near judge nothing"
    assert found.undecided < 0.2


@each_release
def test_without_its_errata_it_is_not(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "errata_for", lambda implementation: ())
    found = following.follow(implementation_for(target), FEW, seed=7)
    assert found.deviations


@each_release
def test_every_argument_of_the_constructor_is_drawn_or_listed_with_a_reason(target: str) -> None:
    implementation = implementation_for(target)
    assert following.unnamed(implementation) == ()
    assert all(implementation.names.beside.values())
    known = KnownDeviations(following.errata_for(implementation))
    drawn = implementation.capabilities.options - set(following.not_yet(implementation, known))
    assert set(followed(target).values) <= drawn | set(implementation.capabilities.always)


def _release(implementation: Any) -> tuple[str, str]:
    return implementation.names.distribution, implementation.version


def test_an_argument_that_nobody_names_is_found() -> None:
    implementation = implementation_for(RELEASED["prodigyopt==1.1.2"])

    class Grown(implementation.cls):  # type: ignore[misc]
        def __init__(self, params: Any, lr: float = 1.0, new_switch: bool = False) -> None:
            super().__init__(params, lr=lr)

    implementation.cls = Grown
    assert following.unnamed(implementation) == ("new_switch",)


def test_combinations_differ_in_what_constructor_or_groups_are_given() -> None:
    group = GroupSpec((ParamSpec((5,)),))
    plain = Problem({"lr": 1.0}, (group,))
    same = Problem({"lr": 1.0}, (GroupSpec((ParamSpec((3, 4)),)),), "growth", steps=7, seed=5)
    others = [
        Problem({"lr": 2.0}, (group,)),
        Problem({"lr": 1.0}, (GroupSpec(group.params, {"lr": 1.0}),)),
        Problem({"lr": 1.0}, (group, group)),
    ]
    assert following.combination(plain) == following.combination(same)
    assert len({following.combination(problem) for problem in (plain, *others)}) == 4


MATRICES = (GroupSpec((ParamSpec((3, 4)), ParamSpec((2, 3, 4)), ParamSpec((12,)))),)


@pytest.mark.parametrize(
    ("release", "options", "override"),
    [
        ("1.9.2", {"use_muon_pp": True, "use_focus": True}, "muon_dropped_by_constructor"),
        ("1.9.2", {"use_muon_pp": True}, "muon_in_bfloat16"),
        ("1.9.2", {"use_muon_pp": True}, "muon_memory_in_bfloat16"),
        ("1.9.2", {"use_muon_pp": True, "use_speed": True}, "muon_scaled_by_first_update"),
        ("1.9.2", {"use_muon_pp": True, "use_orthograd": True}, "muon_of_projected_gradient"),
        ("2.0.1", {"use_focus": True}, "focus_average_of_squared_d"),
        ("2.0.1", {"use_orthograd": True}, "orthograd_projects_update"),
        ("2.0.1", {"use_adopt": True, "use_schedulefree": False}, "adopt_steps_by_squared_d"),
    ],
)
def test_a_release_is_followed_with_the_override_and_not_without(
    release: str, options: dict[str, Any], override: str
) -> None:
    implementation = implementation_for(RELEASED[f"prodigy-plus-schedule-free=={release}"])
    known = KnownDeviations(errata_of(*_release(implementation)))
    own = {"use_focus": False} if override == "muon_dropped_by_constructor" else {}
    groups = tuple(replace(group, options=own) for group in MATRICES)
    problem = Problem(
        {**options, "d0": 1e-2}, groups, "growth", 1.0, 3, 1, revision=implementation.capabilities.revision
    )
    assert not known.excludes(problem)
    played = list(lockstep.play(implementation, problem))
    for rules, agrees in ((known.rules, True), (known.rules_without(override), False)):
        verdicts = [lockstep.judge(t, implementation.capabilities, rules) for t in played]
        assert all(verdict.ok for verdict in verdicts) == agrees


def test_the_command_says_what_was_played_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "followed.json"
    target = RELEASED["schedulefree==1.4.1"]
    assert main(["follow", target, "--combinations", "5", "--out", str(out)]) == HOLDS
    printed, written = capsys.readouterr().out, json.loads(out.read_text("utf-8"))
    assert "combinations of options  5, left out 0" in printed
    assert (written["combinations"], written["left_out"], written["deviations"]) == (5, 0, [])
    assert written["beside"].keys() == {"foreach"}


def test_the_command_fails_where_something_deviates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(following, "errata_for", lambda implementation: ())
    assert main(["follow", RELEASED["prodigy-plus-schedule-free==2.0.1"], "--combinations", "8"]) == FAILS
    assert "the law says" in capsys.readouterr().out
