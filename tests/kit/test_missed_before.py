"""Faults of a whole class that a run once did not notice, each planted in one that is right."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest
import torch

from ppsf_conformance import lockstep, problems, run
from ppsf_conformance.checks import CHECKS, random_rounding
from ppsf_conformance.lockstep import Transition
from ppsf_conformance.name_map import read_name_map
from ppsf_conformance.problems import Problem
from ppsf_conformance.survey import Survey
from ppsf_conformance.torch_adapter import TorchImplementation, TorchSession
from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.backends import stacks
from ppsf_ref import BFLOAT16, FLOAT32, FLOAT64, Arithmetic, Bounded, numbers

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


class KeepsAside(ProdigyPlusScheduleFree):
    """Releases samples of parameters that have a gradient, and of no others."""

    def step(self, closure: Any = None) -> Any:
        aside = {p: dict(self.state[p]) for group in self.param_groups for p in group["params"] if p.grad is None}
        loss = super().step(closure)
        for param, kept in aside.items():
            self.state[param].update(kept)
        return loss


@pytest.mark.parametrize(("cls", "right"), [(ProdigyPlusScheduleFree, True), (KeepsAside, False)])
def test_a_sample_is_released_also_where_there_is_no_gradient(cls: type[Any], right: bool) -> None:
    first, second, third = CHECKS["PPSF-D-008"](of(cls))
    assert (first.ok, second.ok, third.ok) == (right, True, True)


# -------------------------------------------------------------------------------------------- groups added in eval mode


class AddsInTrainMode(ProdigyPlusScheduleFree):
    """A group that is added shows train mode whatever the optimizer is in."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1]["train_mode"] = True


@pytest.mark.parametrize(("cls", "right"), [(ProdigyPlusScheduleFree, True), (AddsInTrainMode, False)])
def test_a_group_that_is_added_in_eval_mode_shows_it(cls: type[Any], right: bool) -> None:
    assert all(finding.ok for finding in CHECKS["PPSF-L-007"](of(cls))) is right


def test_a_class_without_averaging_keeps_its_mode() -> None:
    made = run.implementation_for(run.OWN["prodigy"], revision="prodigy")
    assert all(finding.ok for finding in CHECKS["PPSF-L-007"](made))


# ------------------------------------------------------------------------------------------------ problems seldom drawn


@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_rare_problems_are_among_what_is_judged_if_a_class_takes_them(revision: str) -> None:
    capabilities = NAMES.under(revision).capabilities
    found = problems.rare(capabilities.dtypes, capabilities.options, revision)
    assert found == tuple(problem for problem in problems.RARE if problem.revision == revision)
    assert len(problems.rare(("float32",), capabilities.options - {"use_cautious"}, revision)) < len(found)


def test_parameters_of_many_elements_are_judged_from_the_standard_profile_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("check", "rare", "run"):
        monkeypatch.setattr(Survey, name, lambda *_: None)
    monkeypatch.setattr(problems, "LARGE", {"float32": (3, 4), "bfloat16": (5,), "float16": (2,)})
    made = of(ProdigyPlusScheduleFree)
    quick, standard = (run.survey_of(made, run.PROFILES[name], 0, lambda *_: None) for name in ("quick", "standard"))
    assert quick.problems == 0
    assert standard.problems == 6
    assert not standard.suspects


@pytest.mark.parametrize("dtype", problems.LARGE)
def test_our_own_optimizer_works_on_them_piece_by_piece(dtype: str) -> None:
    weights = torch.zeros(problems.LARGE[dtype], dtype=getattr(torch, dtype))
    assert weights.numel() > stacks._at_once(weights)


def test_a_mask_that_keeps_one_element_of_many_is_met_and_shows_what_it_counts_as() -> None:
    (problem, *_) = (p for p in problems.RARE if p.regime == "lone element")
    transition = played(problem)[0]
    gradient = transition.gradients[0][0]
    assert gradient is not None
    assert 0 < (gradient != 0).mean() < 1e-3
    assert holds(transition)

    def at_least_a_hundredth(decrease: Any, u: Any) -> Any:
        mask = numbers.indicator(decrease * u)
        return decrease * numbers.share(mask, numbers.maximum(numbers.mean(mask), 1e-2), most=200)

    assert not lockstep.judge(transition, NAMES.capabilities, {"PPSF-M-001": at_least_a_hundredth}).ok


def test_adopt_is_met_after_a_growth_and_without_clipping_that_would_hide_it() -> None:
    (problem,) = (p for p in problems.RARE if p.options.get("use_adopt"))
    assert problem.options["use_stableadamw"] is False
    pools = (t.before.state.groups[0] for t in played(problem))
    assert any(float(pool.d) > 1.01 * float(pool.d_prev) for pool in pools)


def test_a_class_of_other_names_tells_its_modes() -> None:
    names = replace(NAMES, group={**NAMES.group, "train_mode": "training"})

    class Renamed(torch.optim.SGD):
        def __init__(self, params: Any) -> None:
            super().__init__(params)
            self.param_groups[0]["training"] = False

    optimizer: Any = Renamed([torch.nn.Parameter(torch.ones(2))])
    assert TorchSession(optimizer, names).modes() == [False]


# ---------------------------------------------------------------------------------------------------- global generators


class Draws(ProdigyPlusScheduleFree):
    """Moves the generator that everybody shares, and uses nothing of it."""

    def step(self, closure: Any = None) -> Any:
        torch.rand(1)
        return super().step(closure)


@pytest.mark.parametrize(("cls", "moved"), [(ProdigyPlusScheduleFree, []), (Draws, ["torch"])])
def test_a_step_that_moves_a_global_generator_is_noticed(cls: type[Any], moved: list[str]) -> None:
    (finding,) = random_rounding._undisturbed(of(cls))
    assert finding.ok is (not moved)
    assert finding.message.endswith(", ".join(moved))


# ------------------------------------------------------------------------------------------- what torch does to float64


def test_torch_rounds_float64_twice_and_a_class_that_declares_it_may() -> None:
    """Just above a tie of bfloat16, which float32 does not tell from it."""
    exact = 1 + 2.0**-8 + 2.0**-40
    stored = float(torch.tensor(exact, dtype=torch.float64).to(torch.bfloat16))
    x = Bounded(np.array([exact]), np.zeros(1), FLOAT64, True, Arithmetic(FLOAT64))
    once, twice = numbers.round_nearest(x, BFLOAT16), lockstep.by_way_of_float32(x, BFLOAT16)
    assert stored == 1.0
    assert once.low == once.high == 1 + 2.0**-7
    assert (twice.low, twice.high) == (stored, once.high)
    assert lockstep.by_way_of_float32(x, FLOAT32).low == numbers.round_nearest(x, FLOAT32).low
    wide = replace(NAMES.capabilities, arithmetic=Arithmetic(FLOAT64))
    assert "PPSF-R-002" in lockstep.base_rules(wide)
    assert "PPSF-R-002" not in lockstep.base_rules(NAMES.capabilities)
