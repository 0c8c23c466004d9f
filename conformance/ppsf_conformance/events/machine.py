"""Sequences of events, drawn by Hypothesis.

They are shortened here (``shrinking``) rather than there: an event judged in lockstep takes milliseconds, and leaving
events out finds a script of a few lines in some dozen tries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ppsf_conformance import problems as pb
from ppsf_conformance.adapter import Implementation
from ppsf_conformance.checks.finding import rounds_stochastically
from ppsf_conformance.events.changes import (
    Added,
    Copied,
    Disturbed,
    Edited,
    Frozen,
    Mode,
    Moved,
    Rate,
    Restore,
    Save,
)
from ppsf_conformance.events.life import Deviation, Event, Life
from ppsf_conformance.events.shrinking import shortest
from ppsf_conformance.events.steps import Accumulated, Alone, Bad, Closure, Elsewhere, End, Scaled, Step
from ppsf_conformance.seeded import by_seed_alone
from ppsf_ref.clauses.lifecycle import Place
from ppsf_ref.law import Rule

NO_RULES: Mapping[str, Rule] = MappingProxyType({})
#: Small, and of every kind: factored or not, sampled once or several times, without dimensions, empty.
SHAPES: tuple[tuple[int, ...], ...] = ((5,), (3, 4), (), (23,), (33, 2), (2, 3, 33), (0,))
#: Groups that an optimizer has at most.
MOST_GROUPS = 5

BAD: st.SearchStrategy[Bad] = st.sampled_from(("nan", "inf", "-inf"))
NUMBERS = st.integers(0, 7)
TIMES = st.integers(1, 2)
#: What may come while a fused step runs.
INTERRUPTIONS: tuple[Event, ...] = (
    Mode("eval"), Mode("train"), Copied("saved"), Copied("deepcopy"), Copied("pickle"), Added((5,)), Closure(), End(),
)  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """How hard to look: sequences, events in each, and whether new processes are drawn rather than only given."""

    examples: int
    length: int
    new_processes: bool = False


PROFILES: Mapping[str, Profile] = {
    "quick": Profile(15, 20),
    "standard": Profile(200, 30),
    "nightly": Profile(2500, 50, new_processes=True),
}


@st.composite
def starts(draw: pb.Draw, implementation: Implementation) -> pb.Problem:
    """How a life begins."""
    capabilities = implementation.capabilities
    given = dict(capabilities.always)
    if rounds_stochastically(implementation) and not capabilities.knows_bits:
        given["stochastic_rounding"] = False  # bits that nobody knows are not the same twice
    drawn = pb.problems(
        capabilities.dtypes, capabilities.options, revision=capabilities.revision, always=given, shapes=SHAPES
    )
    problem: pb.Problem = draw(drawn)
    if "fused_back_pass" in capabilities.options and draw(st.booleans()):
        problem = replace(problem, options={**problem.options, "fused_back_pass": True})
    regime = draw(st.sampled_from(("noise", *pb.GROWING)))
    return replace(problem, regime=regime, steps=0, missing=0.0, pauses=0.0, switches=False)


class EventMachine(RuleBasedStateMachine):
    """What may happen to an optimizer; :func:`machine_of` says to which one."""

    implementation: Implementation
    profile: Profile
    overrides: Mapping[str, Rule] = NO_RULES
    life: Life

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.life = Life(self.implementation, data.draw(starts(self.implementation), "problem"), self.overrides)

    def happen(self, event: Event) -> None:
        self.life.happen(event)

    def place(self, number: int) -> Place:
        places = self.life.places
        return places[number % len(places)]

    def rests(self) -> bool:
        """Whether no fused step runs."""
        return self.life.running is None

    def offered(self, event: str) -> bool:
        return self.life.offers(event)

    # --- steps -------------------------------------------------------------------------------------------------

    @precondition(rests)
    @rule(t=NUMBERS, count=st.integers(1, 3))
    def step(self, t: int, count: int) -> None:
        for number in range(count):
            self.happen(Step(t + number))

    @precondition(rests)
    @rule(t=NUMBERS, missing=st.sets(NUMBERS, min_size=1))
    def partial_step(self, t: int, missing: set[int]) -> None:
        self.happen(Step(t, tuple(sorted(map(self.place, missing)))))

    @precondition(rests)
    @rule(t=NUMBERS, bad=BAD, spoiled=st.sets(NUMBERS, min_size=1, max_size=2))
    def bad_step(self, t: int, bad: Bad, spoiled: set[int]) -> None:
        self.happen(Step(t, bad=bad, spoiled=tuple(sorted(map(self.place, spoiled)))))

    @precondition(rests)
    @rule(t=NUMBERS, scale=st.sampled_from((None, 4.0, 0.5)), found=st.sampled_from((False, False, True)))
    def scaled_step(self, t: int, scale: float | None, found: bool) -> None:
        self.happen(Scaled(t, scale, found))

    @precondition(lambda self: self.life.now.state.train_mode)
    @rule(t=NUMBERS)
    def closure(self, t: int) -> None:
        self.happen(Closure(t))

    @precondition(lambda self: self.life.now.state.train_mode and not self.life.fused)
    @precondition(lambda self: self.offered("step_accumulated"))
    @rule(t=NUMBERS)
    def accumulated(self, t: int) -> None:
        self.happen(Accumulated(t))

    @precondition(lambda self: self.profile.new_processes and self.life.now.state.train_mode)
    @precondition(lambda self: self.offered("stepped_elsewhere"))
    @rule(t=NUMBERS)
    def elsewhere(self, t: int) -> None:
        self.happen(Elsewhere(t))

    @precondition(lambda self: self.life.fused)
    @rule(calls=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6))
    def alone(self, calls: list[tuple[int, int]]) -> None:
        """Parameter after parameter."""
        for number, t in calls:
            self.happen(Alone(self.place(number), t))

    @precondition(lambda self: self.life.fused and self.life.now.state.train_mode)
    @rule(calls=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3), event=st.sampled_from(INTERRUPTIONS))
    def interrupted(self, calls: list[tuple[int, int]], event: Event) -> None:
        self.alone(calls)
        self.happen(event)

    @precondition(lambda self: self.life.fused)
    @rule(number=NUMBERS, t=NUMBERS, bad=BAD)
    def alone_and_bad(self, number: int, t: int, bad: Bad) -> None:
        self.happen(Alone(self.place(number), t, bad))

    @precondition(lambda self: self.life.fused)
    @rule()
    def end(self) -> None:
        self.happen(End())

    # --- between steps -----------------------------------------------------------------------------------------

    @rule(call=st.sampled_from(("eval", "train")), times=TIMES)
    def mode(self, call: Literal["eval", "train"], times: int) -> None:
        self.happen(Mode(call, times))

    @rule(how=st.sampled_from(("saved", "deepcopy", "pickle")))
    def copied(self, how: Literal["saved", "deepcopy", "pickle"]) -> None:
        self.happen(Copied(how))

    @precondition(lambda self: self.offered("checkpoint"))
    @rule()
    def save(self) -> None:
        self.happen(Save())

    @precondition(lambda self: self.life.checkpoint is not None)
    @rule()
    def restore(self) -> None:
        self.happen(Restore())

    @precondition(lambda self: self.offered("move") and self.offered("disturb"))
    @rule(event=st.sampled_from((Moved("storage"), Moved("state_dict"), Disturbed())))
    def moved(self, event: Event) -> None:
        self.happen(event)

    @precondition(lambda self: self.rests() and self.offered("edit"))
    @rule(number=NUMBERS, how=st.sampled_from(("clamp", "swap")))
    def edited(self, number: int, how: Literal["clamp", "swap"]) -> None:
        self.happen(Edited(self.place(number), how))

    @rule(number=NUMBERS, lr=st.sampled_from((0.0, 1.0, 0.25)))
    def rate(self, number: int, lr: float) -> None:
        self.happen(Rate(number % len(self.life.problem.groups), lr))

    @rule(number=NUMBERS, frozen=st.booleans())
    def frozen(self, number: int, frozen: bool) -> None:
        self.happen(Frozen(self.place(number), frozen))

    @precondition(lambda self: len(self.life.problem.groups) < MOST_GROUPS)
    @rule(shape=st.sampled_from(SHAPES), number=NUMBERS, lr=st.sampled_from((None, 0.5)))
    def added(self, shape: tuple[int, ...], number: int, lr: float | None) -> None:
        dtypes = self.implementation.capabilities.dtypes
        self.happen(Added(shape, dtypes[number % len(dtypes)], lr))


def machine_of(
    implementation: Implementation, profile: Profile, rules: Mapping[str, Rule] = NO_RULES
) -> type[EventMachine]:
    """A state machine for one implementation.

    Args:
        rules: clauses that it is known to do otherwise.
    """
    bound: dict[str, Any] = {"implementation": implementation, "profile": profile, "overrides": rules}
    return type("Events", (EventMachine,), bound)


def search(
    implementation: Implementation,
    profile: Profile = PROFILES["standard"],
    seed: int = 0,
    rules: Mapping[str, Rule] = NO_RULES,
    progress: Callable[[], None] = lambda: None,
) -> Deviation | None:
    """Look for a sequence of events that an implementation does not do as the law says.

    Args:
        seed: the same sequences for the same seed.
        progress: called after each sequence.

    Returns:
        the deviation, its sequence as short as could be found, or None.
    """
    machine = machine_of(implementation, profile, rules)
    machine.teardown = lambda self: progress()  # type: ignore[method-assign]
    looking = settings(
        max_examples=profile.examples,
        stateful_step_count=profile.length,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    with by_seed_alone():
        try:
            run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=looking)
        except Deviation as deviation:
            return shortest(implementation, deviation, rules)
    return None
