"""The judge itself: what it lets pass, what it refuses, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ppsf_conformance import lockstep
from ppsf_conformance import problems as pb
from ppsf_conformance.adapter import Gradients, Group, Snapshot
from ppsf_conformance.lockstep import Transition, Verdict
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.run import implementation_for
from ppsf_ref import FLOAT32, Allowed, ParamState, Running, State, clause_functions, step
from ppsf_ref.formats import down
from ppsf_ref.law import Rule
from ppsf_ref.options import revision_names
from tests.kit.stub import CAPABILITIES, StubImplementation, StubSession, capabilities_of

GROUPS = (
    GroupSpec((ParamSpec((5,)), ParamSpec((33, 40), "bfloat16"))),
    GroupSpec((ParamSpec((3, 4), layout="transposed"), ParamSpec(()))),
)
PLAIN = Problem({}, (GroupSpec((ParamSpec((5,)),)),), "growth", steps=2, seed=3)


def judged(transition: Transition, rules: Mapping[str, Rule] | None = None) -> Verdict:
    return lockstep.judge(transition, CAPABILITIES, rules)


def last(problem: Problem, rules: Mapping[str, Rule] | None = None) -> Transition:
    return list(lockstep.play(StubImplementation(rules or {}), problem))[-1]


def with_param(state: State, **changes: Any) -> State:
    """The state with its first parameter changed."""
    group = state.groups[0]
    params = (replace(group.params[0], **changes), *group.params[1:])
    return replace(state, groups=(replace(group, params=params), *state.groups[1:]))


def with_group(state: State, **changes: Any) -> State:
    return replace(state, groups=(replace(state.groups[0], **changes), *state.groups[1:]))


def then(transition: Transition, state: State) -> Transition:
    """The same transition, had it led to ``state``."""
    return replace(transition, after=replace(transition.after, state=state))


# ------------------------------------------------------------------------------------------------------------- passing


@pytest.mark.parametrize("regime", pb.REGIMES)
def test_the_law_itself_passes_in_every_regime(regime: str) -> None:
    problem = Problem({}, GROUPS, regime, steps=3, seed=1, missing=0.2, switches=True)
    for transition in lockstep.play(StubImplementation(), problem):
        verdict = judged(transition)
        assert verdict.ok, verdict.witness.detail


def test_an_empty_parameter_passes() -> None:
    problem = Problem({}, (GroupSpec((ParamSpec((0,)), ParamSpec((0, 33)))),), steps=2)
    assert all(judged(transition).ok for transition in lockstep.play(StubImplementation(), problem))


def test_state_that_a_pause_creates_ahead_may_stay_in_either_mode() -> None:
    """PPSF-L-001; a soak found it: all rates and gradients 0 in a step, then both modes."""
    options = {"lr": 1.0, "eps": 1e-12, "slice_p": 3, "growth_rate": 2.0, "total_training_steps": 4}
    problem = Problem(
        options, (GroupSpec((ParamSpec((23,), "float16", "small"),)),), "zero gradient", steps=8, seed=873338334,
        missing=0.3, pauses=0.2, switches=True, revision="prodigy",
    )  # fmt: skip
    ours = implementation_for("ppsf_fast:Prodigy")
    found = list(lockstep.play(ours, problem))
    assert all(lockstep.judge(transition, ours.capabilities).ok for transition in found)


def test_state_that_a_pause_creates_ahead_may_go_in_the_next_one() -> None:
    """PPSF-L-001: rates of 0 twice, first with gradients of 0 and then not."""
    problem = Problem({}, (GroupSpec((ParamSpec(()),)),), "sparse", steps=2, seed=1, pauses=0.9)
    ours = implementation_for("ppsf_fast:ProdigyPlusScheduleFree")
    first, second = lockstep.play(ours, problem)
    assert first.after.state.groups[0].params[0].z is not None
    assert second.after.state.groups[0].params[0].z is None
    assert all(lockstep.judge(transition, ours.capabilities).ok for transition in (first, second))


class Eager(StubSession):
    """Creates state before it knows that a step changes nothing; `off` is added to z."""

    off = 0.0

    def step(self, gradients: Gradients) -> None:
        before = self.state
        super().step(gradients)
        if self.state is before:
            nothing = [[None if g is None else 0 * np.nan_to_num(g) for g in row] for row in gradients]
            made = step(self.config, before, nothing)
            groups = zip(before.groups, made.groups, strict=True)
            self.state = replace(before, groups=tuple(replace(old, params=new.params) for old, new in groups))
            self.state = with_z(self.state, self.off)


def with_z(state: State, off: float) -> State:
    """The state with something added to every z that there is."""
    groups = tuple(
        replace(group, params=tuple(replace(p, z=None if p.z is None else p.z + off) for p in group.params))
        for group in state.groups
    )
    return replace(state, groups=groups)


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_a_step_that_changes_nothing_may_create_state_but_that_of_a_first_step(
    off: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PPSF-L-001, PPSF-L-004; a GPU found it: the host learns of a bad gradient when the step is over."""

    class Implementation(StubImplementation):
        def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> StubSession:
            session = Eager(self, groups, options)
            session.off = off
            return session

    def bad_at_first(problem: Problem, t: int, before: Snapshot) -> Gradients:
        given = drawn(problem, t, before)
        return [[g if g is None or t else np.full_like(g, np.inf) for g in row] for row in given]

    drawn = pb.gradients
    monkeypatch.setattr(pb, "gradients", bad_at_first)
    problem = Problem({}, (GroupSpec((ParamSpec((3, 4)), ParamSpec((5,)))),), "growth", steps=3, seed=3)
    first, *others = lockstep.play(Implementation(), problem)
    assert judged(first).ok
    assert first.after.state.groups[0].params[0].z is not None
    assert all(judged(transition).ok for transition in others) == (off == 0.0)


#: What is kept only with a switch.
PLAIN_OPTIONS: Mapping[str, Any] = {}
SPEED: Mapping[str, Any] = {"use_speed": True}
DECAY: Mapping[str, Any] = {"cosine_decay": True}
MUON: Mapping[str, Any] = {"use_muon_pp": True}


def test_every_output_is_compared() -> None:
    seen: set[str] = set()
    plain = [(name, PLAIN_OPTIONS) for name in revision_names()]
    for revision, given in [*plain, ("1.9", MUON), ("2.0", SPEED), ("prodigy", DECAY)]:
        problem = Problem(given, GROUPS, "growth", steps=3, seed=1, switches=True, revision=revision)
        for transition in lockstep.play(StubImplementation(revision=revision), problem):
            verdict = lockstep.judge(transition, capabilities_of(revision))
            seen |= {comparison.output for comparison in verdict.comparisons}
    assert seen >= set(lockstep.OWNERS) - {"presence"}


def test_a_state_that_the_law_cannot_go_on_from_is_a_deviation() -> None:
    def rule(*args: object) -> None:
        raise ValueError("an axis that is not there")

    first, *_ = lockstep.play(StubImplementation(), Problem({}, GROUPS, "growth", seed=1))
    verdict = judged(first, {"PPSF-V-001": rule})
    assert verdict.witness.output == "presence"
    assert "cannot go on from this state: ValueError: an axis that is not there" in verdict.witness.detail


@pytest.mark.parametrize(("raised", "ok"), [("RuntimeError: so", True), ("ValueError: so", False), ("", False)])
def test_a_rule_may_expect_an_exception(raised: str, ok: bool) -> None:
    def rule(base: object) -> None:
        raise lockstep.Raises("RuntimeError")

    first, *_ = lockstep.play(StubImplementation(), Problem({}, GROUPS, "growth", seed=1))
    step = {"step": lambda *args: rule(args)}
    assert judged(replace(first, raised=raised), step).ok is ok


# ------------------------------------------------------------------------------------------------------ the last digit


def edge_of_z(transition: Transition) -> np.float32:
    """The largest float32 number that the law allows for the first element of z."""
    config = lockstep.config_of(transition.problem, transition.rates)
    lift = Running(CAPABILITIES.arithmetic)
    expected = step(config, lockstep.lifted(config, transition.before.state, lift), transition.gradients, lift)
    z = expected.groups[0].params[0].z
    assert isinstance(z, Allowed)
    return np.float32(down(z.high, FLOAT32)[0])


@pytest.mark.parametrize(("ulps", "ok"), [(0, True), (1, False)])
def test_the_bound_decides_to_the_last_digit(ulps: int, ok: bool) -> None:
    transition = last(PLAIN)
    number = edge_of_z(transition)
    for _ in range(ulps):
        number = np.nextafter(number, np.float32(np.inf))
    after = transition.after.state
    z = np.array(after.groups[0].params[0].z)
    z[0] = number
    verdict = judged(then(transition, with_param(after, z=z)))
    assert verdict.ok is ok
    assert max(c.ratio for c in verdict.comparisons if c.output == "z") > 0.5


# ---------------------------------------------------------------------------------------------------------- deviations


def test_a_deviation_says_where_what_and_how_far() -> None:
    transition = last(PLAIN)
    after = transition.after.state
    verdict = judged(then(transition, with_param(after, z=np.asarray(after.groups[0].params[0].z) + 1)))
    assert verdict.witness.output == "z"
    assert verdict.witness.detail.startswith("groups[0].params[0].z[")
    assert "5 of 5 outside" in verdict.witness.detail


def test_a_step_that_raises_is_a_deviation_with_the_state_it_leaves() -> None:
    transition = list(lockstep.play(StubImplementation(raises=1), PLAIN))[-1]
    assert transition.raised == "ArithmeticError: out of luck"
    assert transition.after.state.groups[0].k == 3
    verdict = judged(transition)
    assert [comparison.output for comparison in verdict.comparisons if not comparison.ok] == ["raises"]
    assert "out of luck" in verdict.witness.detail


def test_a_step_that_raises_ends_the_problem() -> None:
    problem = replace(PLAIN, steps=5)
    assert len(list(lockstep.play(StubImplementation(raises=1), problem))) == 2


def test_an_exception_is_told_before_what_it_left_undone() -> None:
    transition = last(PLAIN)
    halfway = replace(then(transition, transition.before.state), raised="KeyError: 'exp_avg'")
    assert "KeyError: 'exp_avg'" in judged(halfway).witness.detail


def test_another_shape_is_a_deviation() -> None:
    transition = last(PLAIN)
    verdict = judged(then(transition, with_param(transition.after.state, s=np.zeros((2,)))))
    assert "of shape (2,), the law says of shape (1,)" in verdict.witness.detail


def test_another_format_is_a_deviation() -> None:
    transition = last(PLAIN)
    formats = (({**transition.after.formats[0][0], "s": "bfloat16"},),)
    verdict = judged(replace(transition, after=replace(transition.after, formats=formats)))
    assert "format is bfloat16, the law says float32" in verdict.witness.detail


@pytest.mark.parametrize(("changes", "said"), [({"s": None}, "not kept"), ({"v_row": np.zeros(5)}, "is kept")])
def test_what_is_kept_has_to_be_what_the_law_keeps(changes: dict[str, Any], said: str) -> None:
    transition = last(PLAIN)
    verdict = judged(then(transition, with_param(transition.after.state, **changes)))
    assert verdict.witness.output == "presence"
    assert said in verdict.witness.detail


def test_what_a_parameter_without_a_gradient_keeps_is_its_own_affair() -> None:
    transition = last(replace(PLAIN, missing=1.0, steps=1))
    assert transition.gradients == [[None]]
    kept = {"z": np.zeros(5), "v": np.zeros(5), "s": np.zeros(1), "x0": np.zeros(1)}
    assert judged(then(transition, with_param(transition.after.state, **kept))).ok


@pytest.mark.parametrize(("changes", "output"), [({"k": 9}, "k"), ({"d": np.float64(0.5)}, "d")])
def test_numbers_of_a_group_are_compared(changes: dict[str, Any], output: str) -> None:
    transition = last(PLAIN)
    verdict = judged(then(transition, with_group(transition.after.state, **changes)))
    assert verdict.witness.output == output


def test_the_mode_is_compared() -> None:
    transition = last(PLAIN)
    verdict = judged(then(transition, replace(transition.after.state, train_mode=False)))
    assert verdict.witness.output == "mode"


def test_nan_where_a_number_belongs_is_a_deviation() -> None:
    transition = last(PLAIN)
    verdict = judged(then(transition, with_param(transition.after.state, y=np.full(5, np.nan))))
    assert "y" in {comparison.output for comparison in verdict.comparisons if not comparison.ok}


def test_play_stops_when_weights_are_not_finite() -> None:
    def spoil(state: State) -> State:
        return with_param(state, y=np.full(5, np.inf))

    problem = replace(PLAIN, steps=6)
    assert len(list(lockstep.play(StubImplementation(tamper=spoil), problem))) == 1


def test_a_constructor_that_raises_refuses() -> None:
    class Refusing(StubImplementation):
        def new(self, *_: Any) -> Any:
            raise LookupError("no such thing")

    with pytest.raises(lockstep.Refused, match="LookupError: no such thing"):
        next(lockstep.play(Refusing(), PLAIN))


# -------------------------------------------------------------------------------------------------------------- guards


def undecided() -> Transition:
    """A step in which D is one subnormal number that may round to 0, with N > 0: d jumps to pi / 2, or stays."""
    problem = replace(PLAIN, regime="zero gradient", steps=1)
    session = StubImplementation().new(pb.constructor_groups(problem), problem.options)
    session.step([[np.zeros(5)]])
    param: ParamState = session.state.groups[0].params[0]
    session.state = with_param(session.state, s=np.full_like(np.asarray(param.s), 2.0**-149))
    session.state = with_group(session.state, d_numerator=np.float64(1e-3))
    before = session.snapshot()
    session.step([[np.zeros(5)]])
    return Transition(problem, "step", 1, (1.0,), before, [[np.zeros(5)]], session.snapshot())


def test_the_guard_is_undecided() -> None:
    decisions = judged(undecided()).decisions
    assert [decision.guard for decision in decisions if not decision.certain] == ["denominator_positive"]


@pytest.mark.parametrize(("d", "ok"), [(np.pi / 2, True), (1e-6, True), (0.5, False), (2e-6, False), (1.6, False)])
def test_either_outcome_of_an_undecided_guard_is_right_and_nothing_else(d: float, ok: bool) -> None:
    transition = undecided()
    assert judged(then(transition, with_group(transition.after.state, d=np.float64(d)))).ok is ok


def test_a_certain_guard_has_one_outcome() -> None:
    stays = {"PPSF-D-006": lambda numerator, denominator, d_coef: 0 * numerator}
    verdict = judged(last(replace(PLAIN, options={"d0": 1e-3}, steps=4), stays))
    assert all(decision.certain for decision in verdict.decisions)
    assert verdict.witness.output == "d"


# --------------------------------------------------------------------------------------------------------------- rules


def test_overriding_rules_judge_by_another_law() -> None:
    wrong = {"PPSF-Z-003": lambda z, u, dlr: z + dlr * u}
    transition = last(PLAIN, wrong)
    assert not judged(transition).ok
    assert lockstep.judge(transition, CAPABILITIES, wrong).ok


def test_random_bits_of_its_own_are_held_to_the_two_neighbours() -> None:
    law = clause_functions()["PPSF-R-003"]
    other_bits = {"PPSF-R-003": lambda x, bits: law(x, bits ^ np.uint32(0x5A5A))}
    problem = Problem({"d0": 1e-2}, (GroupSpec((ParamSpec((33, 40), "bfloat16"),)),), steps=1, seed=2)
    transition = last(problem, other_bits)
    assert not judged(transition).ok
    assert lockstep.judge(transition, replace(CAPABILITIES, knows_bits=False)).ok
