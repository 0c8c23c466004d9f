"""Faults of a whole class that a run once did not notice, each planted in one that is right."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
import torch

from ppsf_conformance import lockstep, problems
from ppsf_conformance.checks import CHECKS
from ppsf_conformance.lockstep import Transition
from ppsf_conformance.name_map import read_name_map
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.torch_adapter import TorchImplementation, TorchSession
from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_ref import ParamState

NAMES = read_name_map(
    (resources.files("ppsf_conformance") / "adapters" / "ppsf_fast.toml").read_text("utf-8"), "ppsf_fast.toml"
)


def of(cls: type[Any]) -> TorchImplementation:
    return TorchImplementation(cls, NAMES)


def played(problem: Problem, cls: type[Any] = ProdigyPlusScheduleFree) -> list[Transition]:
    return list(lockstep.play(of(cls), problem))


def holds(transition: Transition) -> bool:
    return lockstep.judge(transition, NAMES.capabilities).ok


# -------------------------------------------------------------------------------- state of what takes no part in a step

WINDOW = Problem({"prodigy_steps": 2}, (GroupSpec((ParamSpec((5,)), ParamSpec((3, 4)))),), steps=3, seed=1, missing=0.5)


def released_aside(transition: Transition) -> bool:
    """Whether the first parameter, without a gradient, loses its sample in this step."""
    before, after = (state.state.groups[0].params[0] for state in (transition.before, transition.after))
    return transition.gradients[0][0] is None and before.s is not None and after.s is None


def test_a_sample_is_released_also_where_there_is_no_gradient() -> None:
    problem = next(
        p for p in (replace(WINDOW, seed=seed) for seed in range(2, 40)) if any(map(released_aside, played(p)))
    )
    transition = next(filter(released_aside, played(problem)))
    assert holds(transition)
    (group,) = transition.after.state.groups
    first, second = group.params
    kept: ParamState = replace(first, s=transition.before.state.groups[0].params[0].s)
    state = replace(transition.after.state, groups=(replace(group, params=(kept, second)),))
    formats = ((transition.before.formats[0][0], transition.after.formats[0][1]),)
    assert not holds(replace(transition, after=replace(transition.after, state=state, formats=formats)))


# -------------------------------------------------------------------------------------------- groups added in eval mode


class AddsInTrainMode(ProdigyPlusScheduleFree):
    """A group that is added shows train mode whatever the optimizer is in."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1]["train_mode"] = True


@pytest.mark.parametrize(("cls", "right"), [(ProdigyPlusScheduleFree, True), (AddsInTrainMode, False)])
def test_a_group_that_is_added_in_eval_mode_shows_it(cls: type[Any], right: bool) -> None:
    assert all(finding.ok for finding in CHECKS["PPSF-L-007"](of(cls))) is right


# ------------------------------------------------------------------------------------------------ problems seldom drawn


@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_rare_problems_are_among_what_is_judged_if_a_class_takes_them(revision: str) -> None:
    capabilities = NAMES.under(revision).capabilities
    found = problems.rare(capabilities.dtypes, capabilities.options, revision)
    assert found == tuple(problem for problem in problems.RARE if problem.revision == revision)
    assert len(problems.rare(("float32",), capabilities.options - {"use_cautious"}, revision)) < len(found)


def test_a_mask_that_keeps_one_element_of_many_is_met() -> None:
    (problem, *_) = (p for p in problems.RARE if p.regime == "lone element")
    gradient = played(problem)[0].gradients[0][0]
    assert gradient is not None
    assert 0 < (gradient != 0).mean() < 1e-3


def test_a_class_of_other_names_tells_its_modes() -> None:
    names = replace(NAMES, group={**NAMES.group, "train_mode": "training"})

    class Renamed(torch.optim.SGD):
        def __init__(self, params: Any) -> None:
            super().__init__(params)
            self.param_groups[0]["training"] = False

    optimizer: Any = Renamed([torch.nn.Parameter(torch.ones(2))])
    assert TorchSession(optimizer, names).modes() == [False]
