"""Faults of a whole class that a run once did not notice, each planted in one that is right."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest
import torch

from ppsf_conformance import diagnosis, lockstep, problems, run
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
    first, *others = CHECKS["PPSF-D-008"](of(cls))
    assert first.ok is right
    assert all(finding.ok for finding in others if "with gradient" in finding.message)
    assert all(finding.ok for finding in others) is right


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


# ------------------------------------------------------------------------------------------------- saving and loading


class LoadsInTrainMode(ProdigyPlusScheduleFree):
    """Is in train mode after loading, whatever was saved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["train_mode"] = True


class LoadsWithoutMuon(ProdigyPlusScheduleFree):
    """Loads what every parameter keeps, and begins again what Muon keeps."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for kept in self.state.values():
            if "rms_sq" in kept:
                kept["rms_sq"].zero_()


class LoadsAnotherSeed(ProdigyPlusScheduleFree):
    """Loses the seed."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["rounding_seed"] = 0


class KeepsItsDecay(ProdigyPlusScheduleFree):
    """Goes on with the weight decay that it was constructed with."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        given = [group["weight_decay"] for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, decay in zip(self.param_groups, given, strict=True):
            group["weight_decay"] = decay


# ------------------------------------------------------------------------------------------------------------ rounding


class UnsignedZeros(ProdigyPlusScheduleFree):
    """Stochastic rounding that makes +0 of -0."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            for param in group["params"] if group["stochastic_rounding"] else ():
                if param in self.state:
                    self.state[param]["z"].add_(0.0)
        return loss


class CutsTheSeed(ProdigyPlusScheduleFree):
    """Takes the largest number of 32 bits for every larger seed."""

    def __init__(self, params: Any, rounding_seed: int = 0, **options: Any) -> None:
        super().__init__(params, rounding_seed=min(rounding_seed, 2**32 - 1), **options)


class TiesAway(ProdigyPlusScheduleFree):
    """Rounds ties in bfloat16 away from zero: adds half a unit, and cuts."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            for param in () if group["stochastic_rounding"] else group["params"]:
                param[param == 1.0] = 1 + 2.0**-7
        return loss


class Saturates(ProdigyPlusScheduleFree):
    """Holds float16 weights below infinity."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for param in (p for group in self.param_groups for p in group["params"] if p.dtype == torch.float16):
            param.clamp_(-65504, 65504)
        return loss


# ---------------------------------------------------------------------------------------------------- groups and steps


class CountsInFloat32(ProdigyPlusScheduleFree):
    """Has its step number in float32, as torch's own optimizers have it."""

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            group["k"] = int(np.float32(group["k"]))
        return loss


class KeepsTheRate(ProdigyPlusScheduleFree):
    """Notices an lr of 0, and no other change of it."""

    def step(self, closure: Any = None) -> Any:
        shown = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = group["lr"] and self.defaults["lr"]
        loss = super().step(closure)
        for group, lr in zip(self.param_groups, shown, strict=True):
            group["lr"] = lr
        return loss


class DropsKeys(ProdigyPlusScheduleFree):
    """Throws away what a trainer keeps in a group."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group({k: v for k, v in param_group.items() if k == "params" or k in self.defaults})


class KeepsAsideOfIdleGroups(ProdigyPlusScheduleFree):
    """Releases the samples of groups that moved, and not of all groups of a pool."""

    def step(self, closure: Any = None) -> Any:
        idle = [g for g in self.param_groups if all(p.grad is None for p in g["params"])]
        aside = {p: dict(self.state[p]) for group in idle for p in group["params"]}
        loss = super().step(closure)
        for param, kept in aside.items():
            self.state[param].update(kept)
        return loss


class ChecksAtConstruction(ProdigyPlusScheduleFree):
    """Takes any lr of a group that comes later."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        rate = param_group.get("lr")
        if not self.param_groups or not isinstance(rate, float):
            super().add_param_group(param_group)
            return
        super().add_param_group({**param_group, "lr": 1.0})
        self.param_groups[-1]["lr"] = rate


class AddsAndLooksThen(ProdigyPlusScheduleFree):
    """Refuses a group that it has added."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        try:
            super().add_param_group(param_group)
        except TypeError:
            self.param_groups += [dict(group) for group in self.param_groups[:1]]
            raise


class ReadsLater(ProdigyPlusScheduleFree):
    """Begins a fused step anew with every parameter."""

    def step_param(self, param: torch.Tensor, group: Any = None) -> None:
        super().step_param(param, group)
        if group is not None and group["lr"] != self.defaults["lr"]:
            with torch.no_grad():
                param.mul_(2.0)


class NeedsParameters(ProdigyPlusScheduleFree):
    """Asks the first parameter of a group on which device it is."""

    def step(self, closure: Any = None) -> Any:
        assert {group["params"][0].device for group in self.param_groups}
        return super().step(closure)


class StaleEstimate(ProdigyPlusScheduleFree):
    """Leaves d_prev as it is where the statistics are no numbers."""

    def step(self, closure: Any = None) -> Any:
        before = [(group["d_prev"], group["d_numerator"]) for group in self.param_groups]
        loss = super().step(closure)
        for group, (d_prev, numerator) in zip(self.param_groups, before, strict=True):
            if group["d_numerator"] == numerator:
                group["d_prev"] = d_prev
        return loss


class LooksAtNumeratorsOnly(ProdigyPlusScheduleFree):
    """Asks of the numerator alone whether it is a number."""

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        if any(torch.isinf(kept["s"]).any() for kept in self.state.values()):
            self.param_groups[0]["d_denom"] = float("inf")
        return loss


# ----------------------------------------------------------------------------------------------- steps without progress


class ReadsAllGradients(ProdigyPlusScheduleFree):
    """Rests if any gradient at all is NaN, also one that takes no part."""

    def step(self, closure: Any = None) -> Any:
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        dense = (grad for grad in grads if grad.layout == torch.strided)
        return None if closure is None and any(grad.isnan().any() for grad in dense) else super().step(closure)


class RefusesAllGradients(ProdigyPlusScheduleFree):
    """Refuses a sparse gradient also of a group whose lr is 0."""

    def step(self, closure: Any = None) -> Any:
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        if any(grad.is_sparse for grad in grads):
            raise TypeError("sparse")
        return super().step(closure)


class RefusesTooLate(ProdigyPlusScheduleFree):
    """Finds out about a gradient when its turn has come."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        first, *_, last = (p for group in self.param_groups for p in group["params"])
        if closure is None and first is not last and last.grad is not None and last.grad.is_sparse:
            first.mul_(0.5)
        return super().step(closure)


class ReturnsWhatMoved(ProdigyPlusScheduleFree):
    """Returns a loss only if the step counts."""

    def step(self, closure: Any = None) -> Any:
        before = [group["k"] for group in self.param_groups]
        loss = super().step(closure)
        return loss if [group["k"] for group in self.param_groups] != before else None


class StepsInEvalMode(ProdigyPlusScheduleFree):
    """Asks for the mode only if there is something to do."""

    def step(self, closure: Any = None) -> Any:
        idle = all(p.grad is None for group in self.param_groups for p in group["params"])
        return None if idle and closure is None else super().step(closure)


@pytest.mark.parametrize(
    ("clause", "cls", "said"),
    [
        ("PPSF-L-005", LoadsInTrainMode, "in eval mode"),
        ("PPSF-L-005", LoadsWithoutMuon, "use_muon_pp"),
        ("PPSF-L-005", LoadsAnotherSeed, "rounding_seed"),
        ("PPSF-L-005", KeepsItsDecay, "weight_decay"),
        ("PPSF-R-005", UnsignedZeros, "a zero changes its sign"),
        ("PPSF-R-004", CutsTheSeed, "seed 4294967297"),
        ("PPSF-R-002", Saturates, "65504.0, not inf"),
        ("PPSF-R-002", TiesAway, "1.00390625, a tie in bfloat16, becomes 1.0078125 in y"),
        ("PPSF-D-008", KeepsAsideOfIdleGroups, "without gradient in group 1 ({'split_groups': False})"),
        ("PPSF-X-002", ChecksAtConstruction, "add_param_group with lr=0.0: accepted"),
        ("PPSF-X-006", AddsAndLooksThen, "float64 parameter leaves 2 and 3 groups"),
        ("PPSF-L-002", CountsInFloat32, "after step 16777216 k is 16777216"),
        ("PPSF-O-003", KeepsTheRate, "lr is set to 0.3"),
        ("PPSF-O-003", DropsKeys, "initial_lr"),
        ("PPSF-G-001", NeedsParameters, "no parameters: IndexError"),
        ("PPSF-D-033", StaleEstimate, "d_prev"),
        ("PPSF-D-033", LooksAtNumeratorsOnly, "inf in s"),
        ("PPSF-L-004", ReadsAllGradients, "whose lr is 0"),
        ("PPSF-X-005", RefusesAllGradients, "whose lr is 0"),
        ("PPSF-X-005", RefusesTooLate, "changes groups[0]"),
        ("PPSF-L-008", ReadsLater, "during which lr is set to 0.5"),
        ("PPSF-L-006", ReturnsWhatMoved, "does not return"),
        ("PPSF-X-004", StepsInEvalMode, "without gradients"),
    ],
)
def test_a_check_notices_it_and_says_where(clause: str, cls: type[Any], said: str) -> None:
    assert all(finding.ok for finding in CHECKS[clause](of(ProdigyPlusScheduleFree)))
    wrong = [finding.message for finding in CHECKS[clause](of(cls)) if not finding.ok]
    assert wrong
    assert said in wrong[0]


def test_a_class_that_keeps_more_than_can_be_written_is_not_asked_for_changed_options() -> None:
    class KeepsAsideToo(KeepsTheRate):
        """What it steps with is nowhere in its groups."""

        def step(self, closure: Any = None) -> Any:
            self.drift = getattr(self, "drift", 0.0) + sum(
                float(p.grad.sum()) for g in self.param_groups for p in g["params"] if p.grad is not None
            )
            loss = super().step(closure)
            with torch.no_grad():
                self.param_groups[0]["params"][0].add_(self.drift)
            return loss

    assert all(finding.ok for finding in CHECKS["PPSF-O-003"](of(KeepsAsideToo)))


def _rare(**options: Any) -> Problem:
    (problem,) = (p for p in problems.RARE if p.revision == "1.9" and p.options.items() >= options.items())
    return problem


@pytest.mark.parametrize(
    ("options", "clause", "manner"),
    [
        ({"use_speed": True}, "PPSF-M-012", "growth not capped"),
        ({"use_bias_correction": True}, "PPSF-W-002", "times dlr"),
        ({"eps": None}, "PPSF-V-005", "factored mean plus 1e 30"),
    ],
)
def test_what_drawing_seldom_meets_shows_a_known_fault(options: dict[str, Any], clause: str, manner: str) -> None:
    transitions = played(_rare(**options))
    assert all(map(holds, transitions))
    (rules,) = (h.rules for h in diagnosis._known_faults() if (h.clause, h.what) == (clause, manner))
    assert not all(lockstep.judge(transition, NAMES.capabilities, rules).ok for transition in transitions)
