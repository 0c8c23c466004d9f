"""The life of one optimizer: events happen to it, and after each its state is held against the law.

What is judged is always one event, from the state that was observed before it. Where the law says "nothing" or "the
same", that is meant bit for bit; a step is judged in lockstep, inside its derived bound.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from ppsf_conformance import lockstep
from ppsf_conformance import problems as pb
from ppsf_conformance.adapter import Array, Gradients, Implementation, Session, Snapshot, offers
from ppsf_conformance.ahead import prepares, without_any
from ppsf_conformance.checks.finding import difference
from ppsf_ref import GroupState, ParamState, State
from ppsf_ref.clauses.lifecycle import Place
from ppsf_ref.law import Rule
from ppsf_ref.options import load_revision, options_of, whole_options


class Event(Protocol):
    """Something that happens, as data: what it prints as is what makes it happen again."""

    def happen(self, life: Life) -> None:
        """Make it happen, and hold what came of it against the law."""
        ...


def _told(data: Any) -> str:
    """What makes a dataclass again, without what it has by default."""
    if isinstance(data, tuple) and any(map(is_dataclass, data)):
        return f"({', '.join(map(_told, data))},)"
    if not is_dataclass(data):
        return repr(data)
    unusual = [each for each in fields(data) if getattr(data, each.name) != _default(each)]
    return f"{type(data).__name__}({', '.join(f'{each.name}={_told(getattr(data, each.name))}' for each in unusual)})"


def _default(each: Any) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


class Deviation(AssertionError):
    """An event did something else than the law says.

    Attributes:
        clause: the one that says it.
        what: the deviation.
        problem, events: what :func:`ppsf_conformance.events.replay` takes to make it happen again.
    """

    def __init__(self, clause: str, what: str, problem: pb.Problem, events: Sequence[Event]) -> None:
        self.clause, self.what, self.problem, self.events = clause, what, problem, tuple(events)
        lines = "".join(f"    {_told(event)},\n" for event in events)
        super().__init__(f"{clause}: {what}\nreplay(implementation, {_told(problem)}, [\n{lines}])")


@dataclass(frozen=True)
class Running:
    """A fused step that has begun: the state and the learning rates it began with, and the gradients that have come."""

    start: Snapshot
    rates: tuple[float, ...]
    come: Mapping[Place, Array]


@dataclass(frozen=True)
class Checkpoint:
    """What was saved, and what the law knows of the state then."""

    saved: object
    snapshot: Snapshot
    rates: tuple[float, ...]
    known: frozenset[Place]


@dataclass
class Life:
    """An optimizer under judgement, and what has happened to it so far.

    Args:
        implementation: makes the optimizer.
        problem: options, groups as they are now, and where gradients come from.
        rules: clauses that a release is known to do otherwise.

    Attributes:
        now: the state as last observed.
        known: parameters that have taken part in some step.
        elder: a session that was copied and left behind, with its state then.
        over: whether nothing more is said: weights have left the finite numbers, or a step that prepares an optimizer
            has created state ahead.
    """

    implementation: Implementation
    problem: pb.Problem
    rules: Mapping[str, Rule] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    frozen: set[Place] = field(default_factory=set)
    known: set[Place] = field(default_factory=set)
    running: Running | None = None
    checkpoint: Checkpoint | None = None
    elder: tuple[Session, Snapshot] | None = None
    over: bool = False

    def __post_init__(self) -> None:
        self.first = self.problem
        self.session: Session = self.implementation.new(pb.constructor_groups(self.problem), self.problem.options)
        self.rates = lockstep.given_rates(self.problem)
        self.now = self.session.snapshot()

    # --- what is there -----------------------------------------------------------------------------------------

    @property
    def places(self) -> list[Place]:
        """All parameters."""
        return [(i, j) for i, group in enumerate(self.problem.groups) for j in range(len(group.params))]

    @property
    def fused(self) -> bool:
        """Whether parameters are stepped one by one."""
        return bool(self.problem.options.get("fused_back_pass", False))

    @property
    def splits(self) -> bool:
        """Whether each group has an estimate of its own."""
        whole = whole_options(load_revision(self.problem.revision), self.problem.options)
        return bool(whole.get("split_groups", True))

    @property
    def averages(self) -> bool:
        """Whether weights are averaged in any group."""
        usual = options_of(load_revision(self.problem.revision)).use_schedulefree
        given = self.problem.options.get("use_schedulefree", usual)
        return any(group.options.get("use_schedulefree", given) for group in self.problem.groups)

    def offers(self, event: str) -> bool:
        """Whether the session has an event beyond the usual ones."""
        return offers(self.session, event)

    def gradients(self, t: int) -> list[list[Array | None]]:
        """Gradients number ``t`` for the weights as they are, none for frozen parameters."""
        rows = pb.gradients(self.problem, t, self.now)
        return [[None if (i, j) in self.frozen else g for j, g in enumerate(row)] for i, row in enumerate(rows)]

    # --- what happens ------------------------------------------------------------------------------------------

    def happen(self, event: Event) -> None:
        """Let an event happen, and judge it.

        Raises:
            Deviation: it did something else than the law says.
        """
        if self.over:
            return
        self.events.append(event)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            event.happen(self)
            if not self.over:
                self._hold()
        finite = all(np.isfinite(p.y).all() for group in self.now.state.groups for p in group.params)
        self.over = self.over or not finite

    def _hold(self) -> None:
        """What holds after every event."""
        if self.offers("modes"):
            modes = self.session.modes()  # type: ignore[attr-defined]
            self.expect("PPSF-L-003", len(set(modes)) <= 1, f"the groups show different modes: {modes}")
        for i, j in self.places:
            if (i, j) not in self.known:
                p = self.now.state.groups[i].params[j]
                has = [name for name in ParamState.__dataclass_fields__ if name != "y" and getattr(p, name) is not None]
                self.expect("PPSF-L-001", not has, f"parameter {(i, j)} has never taken part, and has {has}")
        if self.elder is not None:
            session, then = self.elder
            changed = difference(then.state, session.snapshot().state)
            self.expect("PPSF-L-005", not changed, f"what happens to a copy changes {changed} of its original")

    def attempt(self, call: Callable[..., Any], *args: Any) -> str:
        """Make a call that may be refused; returns what it raised, or nothing."""
        try:
            call(*args)
        except Exception as error:  # any: the question is whether it raises
            first, *_ = str(error).splitlines() or [""]
            return f"{type(error).__name__}: {first}"
        return ""

    def do(self, clause: str, call: Callable[..., Any], *args: Any) -> Any:
        """Make a call that must not be refused; returns what it returned."""
        found: list[Any] = []
        raised = self.attempt(lambda: found.append(call(*args)))
        self.expect(clause, not raised, f"raises {raised}")
        return found[0]

    def observe(self) -> tuple[Snapshot, Snapshot]:
        """The state before and after what was just done."""
        before, self.now = self.now, self.session.snapshot()
        return before, self.now

    # --- judging -----------------------------------------------------------------------------------------------

    def expect(self, clause: str, holds: bool, what: str) -> None:
        """Raise a deviation unless something holds."""
        if not holds:
            raise Deviation(clause, what, self.first, self.events)

    def same(self, clause: str, before: Snapshot, after: Snapshot, what: str) -> None:
        """Hold that two states are the same, bit for bit and format for format."""
        changed = difference(before.state, after.state)
        self.expect(clause, not changed, f"{what} changes {changed}")
        self.expect(clause, before.formats == after.formats, f"{what} changes the dtypes of the state")

    def lawful(
        self,
        kind: Literal["step", "eval", "train"],
        before: Snapshot,
        after: Snapshot,
        gradients: Gradients = (),
        rates: tuple[float, ...] = (),
    ) -> None:
        """Hold a transition against the law, in lockstep."""
        rates = rates or self.rates
        problem = replace(self.problem, groups=self.problem.groups[: len(rates)])
        transition = lockstep.Transition(problem, kind, 0, rates, before, gradients, after)
        verdict = lockstep.judge(transition, self.implementation.capabilities, self.rules)
        if not verdict.ok:
            witness = verdict.witness
            self.expect(lockstep.OWNERS[witness.output], False, witness.detail)

    def stepped(self, before: Snapshot, after: Snapshot, gradients: Gradients) -> None:
        """Hold an ordinary step against the law; where the law does nothing, bit for bit."""
        kept = [g for i, row in enumerate(gradients) for g in row if g is not None and self.rates[i] != 0]
        if not self.fused and not all(np.isfinite(g).all() for g in kept):
            self.same("PPSF-L-004", before, after, "a step with a gradient that is not finite")
            return
        if not kept:
            if prepares(before, self.rates, gradients):
                bare = without_any(after)
                self.over, after = bool(difference(bare.state, after.state)), Snapshot(bare.state, before.formats)
            self.same("PPSF-G-001", before, after, "a step in which nothing takes part")
            return
        self.lawful("step", before, after, gradients)
        pairs = [((i, j), g) for i, row in enumerate(gradients) for j, g in enumerate(row)]
        came = {place for place, g in pairs if g is not None and self.rates[place[0]] != 0 and np.isfinite(g).all()}
        self.known |= came
        self._bystanders(before, after, came)

    def _bystanders(self, before: Snapshot, after: Snapshot, came: set[Place]) -> None:
        """Who took no part is as before, but for what the end of adaptation releases."""
        for i, j in set(self.places) - came:
            old, new = (snapshot.state.groups[i].params[j] for snapshot in (before, after))
            gone = {name: None for name in ("s", "x0") if getattr(new, name) is None}
            changed = difference(_alone(replace(old, **gone)), _alone(new))
            self.expect("PPSF-G-001", not changed, f"of {(i, j)}, which takes no part, the step changes {changed}")

    # --- fused steps -------------------------------------------------------------------------------------------

    def end(self, after: Snapshot) -> None:
        """Hold the end of a running step against the law; ``after`` is the state that it left."""
        running, self.running = self.running, None
        if running is None:
            return
        rows: list[list[Array | None]] = [[None] * len(g.params) for g in running.start.state.groups]
        for (i, j), gradient in running.come.items():
            rows[i][j] = gradient
        finite = {place for place, gradient in running.come.items() if np.isfinite(gradient).all()}
        if not finite:
            self.same("PPSF-L-010", running.start, after, "a fused step in which all sit out")
            return
        self.lawful("step", running.start, after, rows, running.rates)

    def ended_unseen(self, before: Snapshot, after: Snapshot) -> Snapshot:
        """The state in between, where an event ended a running step and then changed parameters.

        Parameters moved as they came, so they are those from before; numbers move when a step ends, and by nothing
        that ends one, so they are those from after. What the end of the step released is missing after it.
        """

        def param(p: ParamState, later: ParamState) -> ParamState:
            gone = {name: None for name in ("s", "x0") if getattr(later, name) is None}
            return replace(p, **gone)

        def group(old: GroupState, new: GroupState) -> GroupState:
            return replace(new, params=tuple(map(param, old.params, new.params)))

        groups = map(group, before.state.groups, after.state.groups)
        return Snapshot(State(tuple(groups), before.state.train_mode), before.formats)

    def interrupted(self, clause: str, before: Snapshot, after: Snapshot, what: str) -> None:
        """Hold that a call changed nothing but to end a running step."""
        if self.running is not None:
            self.end(after)
        else:
            self.same(clause, before, after, what)


def _alone(param: ParamState) -> State:
    """A state of one parameter."""
    zero = np.float64(0)
    return State((GroupState(zero, zero, zero, zero, zero, 1, (param,)),))
