"""Steps of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ppsf_conformance.adapter import Array, Lacking, Snapshot
from ppsf_conformance.checks.finding import difference
from ppsf_conformance.events.life import Life, Running
from ppsf_ref.clauses import lifecycle
from ppsf_ref.clauses.lifecycle import Place
from ppsf_ref.formats import FORMATS, nearest

Bad = Literal["", "nan", "inf", "-inf"]


def spoiled(gradient: Array | None, bad: Bad) -> Array | None:
    """A gradient whose last element is not finite, if it has one."""
    if gradient is None or not bad or not gradient.size:
        return gradient
    copy = gradient.copy()
    copy.flat[-1] = float(bad)
    return copy


@dataclass(frozen=True)
class Step:
    """``step()`` with gradients number ``t``.

    Attributes:
        missing: parameters without gradient.
        bad: what the gradients of the parameters in ``spoiled`` hold in one element.
    """

    t: int = 0
    missing: tuple[Place, ...] = ()
    bad: Bad = ""
    spoiled: tuple[Place, ...] = ()

    def gradients(self, life: Life) -> list[list[Array | None]]:
        """Its gradients, per group and parameter."""
        return [
            [
                None if (i, j) in self.missing else spoiled(g, self.bad if (i, j) in self.spoiled else "")
                for j, g in enumerate(row)
            ]
            for i, row in enumerate(life.gradients(self.t))
        ]

    def happen(self, life: Life) -> None:
        """In eval mode it is refused."""
        gradients = self.gradients(life)
        raised = life.attempt(life.session.step, gradients)
        before, after = life.observe()
        if _taken(life, raised, before, after):
            life.stepped(before, after, gradients)


def _taken(life: Life, raised: str, before: Snapshot, after: Snapshot) -> bool:
    """Whether a step was to be taken, and was: in eval mode it is refused."""
    if before.state.train_mode:
        life.expect("PPSF-L-001", not raised, f"step() raises {raised}")
        return True
    life.expect("PPSF-X-004", bool(raised), "a step in eval mode is not refused")
    life.same("PPSF-X-004", before, after, "a refused step")
    return False


@dataclass(frozen=True)
class Scaled:
    """A step with gradients number ``t``, of which a scaler tells what it knows.

    Attributes:
        scale: by which they are still multiplied; None: the scaler has undone it.
        found: whether it has found an infinity.
    """

    t: int = 0
    scale: float | None = None
    found: bool = False

    def happen(self, life: Life) -> None:
        """It is the step with what they are without the scale, or none at all."""
        given = [
            [self._stored(g, spec.dtype) for g, spec in zip(row, group.params, strict=True)]
            for row, group in zip(life.gradients(self.t), life.problem.groups, strict=True)
        ]
        lacking: list[Lacking] = []

        def step() -> None:
            try:
                life.session.step_scaled(given, self.scale, float(self.found))
            except Lacking as error:
                lacking.append(error)

        raised = life.attempt(step)
        before, after = life.observe()
        if lacking or not _taken(life, raised, before, after):
            return
        if lifecycle.skipped(float(self.found)):
            life.same("PPSF-L-013", before, after, "a step in which a scaler has found an infinity")
            return
        meant = [[None if g is None else lifecycle.unscaled(g, self.scale) for g in row] for row in given]
        life.stepped(before, after, meant)

    def _stored(self, gradient: Array | None, dtype: str) -> Array | None:
        """A gradient as it comes out of the backward pass, or of the scaler."""
        if gradient is None or self.scale is None:
            return gradient
        return nearest(gradient * self.scale, FORMATS[dtype])


@dataclass(frozen=True)
class Closure:
    """``step(closure)``; the closure sets gradients number ``t``, or, of a fused optimizer, does nothing."""

    t: int = 0

    def happen(self, life: Life) -> None:
        """The closure is called once, before anything changes."""
        events: list[str] = []

        def observe(event: str) -> None:
            moved = difference(life.now.state, life.session.snapshot().state)
            events.extend(("step", event) if moved and not life.fused else (event,))

        gradients = life.gradients(self.t)
        if life.fused:
            returned = life.do("PPSF-L-006", life.session.end_step, observe)
        else:
            returned = life.do("PPSF-L-006", life.session.step_with_closure, gradients, observe)
        events += ["return closure's value"] * returned
        expected = tuple(event for event in lifecycle.closure_protocol() if event != "step")
        life.expect("PPSF-L-006", tuple(events) == expected, f"closure: {events}, not {expected}")
        before, after = life.observe()
        if life.fused:
            life.interrupted("PPSF-L-009", before, after, "step() where no fused step runs")
        else:
            life.stepped(before, after, gradients)


@dataclass(frozen=True)
class Accumulated:
    """A step whose gradients arrive in two parts by way of autograd; small whole numbers, so that sums are exact."""

    t: int = 0

    def happen(self, life: Life) -> None:
        """It is the step with their sum."""
        first, second = self._part(life, 0), self._part(life, 1)
        rows = zip(first, second, strict=True)
        total = [[None if g is None or h is None else g + h for g, h in zip(*row, strict=True)] for row in rows]
        life.do("PPSF-L-001", life.session.step_accumulated, (first, second))  # type: ignore[attr-defined]
        before, after = life.observe()
        life.stepped(before, after, total)

    def _part(self, life: Life, part: int) -> list[list[Array | None]]:
        rng = np.random.default_rng([self.t, part])
        rows = life.gradients(self.t)
        return [[None if g is None else rng.integers(-4, 5, g.shape).astype(float) for g in row] for row in rows]


@dataclass(frozen=True)
class Elsewhere:
    """A step with gradients number ``t`` in a new process, by way of files, and the same step here."""

    t: int = 0

    def happen(self, life: Life) -> None:
        """Both leave the same state, bit for bit; the life goes on with the optimizer that was away."""
        gradients = life.gradients(self.t)
        away = life.do("PPSF-L-005", life.session.stepped_elsewhere, gradients)  # type: ignore[attr-defined]
        before, after = life.observe()
        life.interrupted("PPSF-L-005", before, after, "saving")
        life.do("PPSF-L-001", life.session.step, gradients)
        before, after = life.observe()
        life.stepped(before, after, gradients)
        life.same("PPSF-L-005", after, away.snapshot(), "a step in a new process instead of this one")
        life.session = away


@dataclass(frozen=True)
class Alone:
    """``step_param`` for one parameter, with its gradient number ``t``."""

    place: Place
    t: int = 0
    bad: Bad = ""

    def happen(self, life: Life) -> None:
        """It moves this parameter and nothing else; if it has come before, a step ends first."""
        i, j = self.place
        gradient = spoiled(life.gradients(self.t)[i][j], self.bad)
        raised = life.attempt(life.session.step_alone, self.place, gradient)
        before, after = life.observe()
        if gradient is None:
            life.same("PPSF-L-008", before, after, f"parameter {self.place}, which has no gradient,")
            return
        if not before.state.train_mode:
            life.expect("PPSF-X-020", bool(raised), "step_param in eval mode is not refused")
            life.same("PPSF-X-020", before, after, "a refused step_param")
            return
        life.expect("PPSF-L-008", not raised, f"step_param raises {raised}")
        self._came(life, before, after, gradient)

    def _came(self, life: Life, before: Snapshot, after: Snapshot, gradient: Array) -> None:
        running = life.running
        again = running is not None and self.place in running.come
        rates = life.rates if running is None or again else running.rates
        if rates[self.place[0]] == 0:
            life.same("PPSF-L-008", before, after, "a parameter that takes no part")
            return
        start = before
        if again:
            start = life.ended_unseen(before, after)
            life.end(start)
            running = None
        here = running or Running(start, life.rates, {})
        life.running = Running(here.start, here.rates, {**here.come, self.place: gradient})
        if lifecycle.sits_out(gradient):
            life.same("PPSF-L-010", start, after, f"parameter {self.place}, whose gradient is not finite,")
            return
        life.known.add(self.place)
        expected = lifecycle.moved_alone(start.state, after.state, self.place)
        changed = difference(expected, after.state)
        life.expect("PPSF-L-008", not changed, f"parameter {self.place} stepped alone changes {changed}")


@dataclass(frozen=True)
class End:
    """``step()`` of a fused optimizer: the end of the running step."""

    def happen(self, life: Life) -> None:
        """Where none runs it changes nothing; in eval mode it is refused."""
        raised = life.attempt(life.session.end_step)
        before, after = life.observe()
        refused = not before.state.train_mode
        what = f"step() in train mode {not refused}: {raised or 'accepted'}"
        life.expect("PPSF-X-004", bool(raised) == refused, what)
        life.interrupted("PPSF-L-009", before, after, "step() where no fused step runs")
