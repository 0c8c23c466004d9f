"""Laws of repetition: there and back, twice at once, and the same in parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Array, Implementation, Session, Snapshot, offers
from ppsf_conformance.checks.finding import Finding, averages, difference, rounds_stochastically
from ppsf_conformance.laws.law import cases, law
from ppsf_conformance.laws.side_by_side import STEPS
from ppsf_conformance.lockstep import config_of, given_rates, lifted
from ppsf_conformance.problems import Problem, constructor_groups, gradients
from ppsf_ref import Allowed, Running, evaluate, train

#: Round trips.
TRIPS = 30


def _known(implementation: Implementation) -> dict[str, Any]:
    """Options under which two runs are the same: no random bits, unless they are known."""
    unknown = rounds_stochastically(implementation) and not implementation.capabilities.knows_bits
    return {"stochastic_rounding": False} if unknown else {}


@law("replicas", "PPSF-R-004")
def replicas(implementation: Implementation) -> Iterator[Finding]:
    """Two optimizers with the same weights and gradients stay the same, bit for bit.

    Scope: all options, stochastic rounding included if its bits are those of the specification. Between the steps of
    one of them others draw from the global random generators. Reason: a step is a function of state and gradients.
    """
    for problem in cases(implementation, **_known(implementation)):
        one, other = (implementation.new(constructor_groups(problem), problem.options) for _ in range(2))
        for t in range(STEPS):
            given = gradients(problem, t, one.snapshot())
            one.step(given)
            if offers(other, "disturb"):
                other.disturb()  # type: ignore[attr-defined]
            other.step(given)
        apart = difference(one.snapshot().state, other.snapshot().state)
        yield Finding(not apart, f"({dict(problem.options)}) two replicas: {apart}")


@law("accumulation", "PPSF-L-006", "PPSF-G-001")
def accumulation(implementation: Implementation) -> Iterator[Finding]:
    """Gradients that autograd accumulates over several backward passes give the step with their sum.

    Scope: ordinary steps. The parts are small whole numbers, so that their sum is exact in every dtype. Reason: a step
    reads gradients once, when it is called.
    """
    for problem in cases(implementation, **_known(implementation)):
        one, other = (implementation.new(constructor_groups(problem), problem.options) for _ in range(2))
        if not offers(other, "step_accumulated"):
            return
        for t in range(STEPS):
            parts = [_whole(one.snapshot(), t, part) for part in range(3)]
            total = [[np.add.reduce(arrays) for arrays in zip(*rows, strict=True)] for rows in zip(*parts, strict=True)]
            one.step(total)
            other.step_accumulated(parts)  # type: ignore[attr-defined]
        apart = difference(one.snapshot().state, other.snapshot().state)
        yield Finding(not apart, f"({dict(problem.options)}) one big batch and its parts: {apart}")


def _whole(snapshot: Snapshot, t: int, part: int) -> list[list[Array]]:
    rng = np.random.default_rng([t, part])
    return [[rng.integers(-4, 5, p.y.shape).astype(float) for p in group.params] for group in snapshot.state.groups]


@law("there and back", "PPSF-Z-004", "PPSF-Z-005")
def there_and_back(implementation: Implementation) -> Iterator[Finding]:
    """eval() and train() give the weights back within the bound of two roundings, and do not drift.

    Scope: wherever weights are averaged. Reason: the two interpolations are inverse to one another, so a round trip
    moves weights by the rounding of x and of y and no more. Where the bounds leave one number for x and one for y,
    these two are a cycle: no later round trip moves them any more.
    """
    if not averages(implementation):
        return
    for problem in cases(implementation, **_known(implementation)):
        session = implementation.new(constructor_groups(problem), problem.options)
        for t in range(4):
            session.step(gradients(problem, t, session.snapshot()))
        yield from _round_trips(implementation, problem, session)


def _round_trips(implementation: Implementation, problem: Problem, session: Session) -> Iterator[Finding]:
    lift, config = Running(implementation.capabilities.arithmetic), config_of(problem, given_rates(problem))

    def switched(switch: Any, snapshot: Snapshot) -> list[Allowed]:
        state = switch(config, lifted(config, snapshot.state, lift), lift)
        return [p.y if isinstance(p.y, Allowed) else _exactly(p.y) for group in state.groups for p in group.params]

    snapshots = [session.snapshot()]
    for switch in (session.eval, session.train):
        switch()
        snapshots.append(session.snapshot())
    start, there, back = snapshots
    away, home, again = switched(evaluate, start), switched(train, there), switched(evaluate, back)
    fixed = []
    for before, x, after, *found in zip(_ys(start), _ys(there), _ys(back), away, home, again, strict=True):
        once, returned, twice = found
        moved = np.abs(after - before)
        # The way back shrinks the rounding of x by beta1 < 1, and adds its own.
        inside = bool(np.all(moved <= _radius(once) + _radius(returned)))
        yield Finding(inside, f"({dict(problem.options)}) a round trip moves weights by {float(moved.max()):.3g}")
        single = (returned.low == returned.high) & (twice.low == twice.high)
        fixed.append(single & (returned.low == after) & (twice.low == x))
    for _ in range(TRIPS):
        session.eval()
        session.train()
    rows = zip(_ys(session.snapshot()), _ys(back), fixed, strict=True)
    drifting = any(np.any(end[still] != once[still]) for end, once, still in rows)
    yield Finding(not drifting, f"({dict(problem.options)}) {TRIPS} round trips move weights that one left in place")


def _radius(allowed: Allowed) -> Array:
    return np.asarray(np.maximum(allowed.high - allowed.value, allowed.value - allowed.low))


def _exactly(y: Any) -> Allowed:
    return Allowed(y.value, y.low, y.high)


def _ys(snapshot: Snapshot) -> list[Array]:
    return [np.asarray(p.y, np.longdouble) for group in snapshot.state.groups for p in group.params]
