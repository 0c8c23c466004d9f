"""The fused backward pass: parameters one by one, where a step ends, and what must not hold half of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Array, Group, Implementation, Session
from ppsf_conformance.checks.errors import KINDS
from ppsf_conformance.checks.finding import (
    Check,
    Finding,
    agrees,
    averages,
    difference,
    gradients,
    outcome,
    poolings,
    rounds_stochastically,
    run,
    two_groups,
    weights,
)
from ppsf_conformance.checks.lifecycle import BAD
from ppsf_ref.clauses import errors, lifecycle
from ppsf_ref.clauses.lifecycle import Place

PLACES: tuple[Place, ...] = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
#: Calls for single parameters, None where step() is called: in any order, of some only, twice, without step().
SERIES: Sequence[Sequence[Place | None]] = (
    (*reversed(PLACES), None, *PLACES, None),
    (*PLACES[1:4], None, None, PLACES[0], PLACES[5], None, *PLACES, None),
    (*PLACES, *reversed(PLACES), *PLACES[2:], *PLACES, None),
    (PLACES[4], PLACES[1], PLACES[4], PLACES[4], PLACES[0], None),
)


def _offered(implementation: Implementation) -> bool:
    return "fused_back_pass" in implementation.capabilities.options


def _pair(implementation: Implementation, dtype: str = "float32", **options: Any) -> tuple[Session, Session]:
    """The same optimizer twice, once fused and once not; what nobody knows is left out."""
    if rounds_stochastically(implementation) and not implementation.capabilities.knows_bits:
        options["stochastic_rounding"] = False
    fused = implementation.new(two_groups(dtype), {**options, "fused_back_pass": True})
    return fused, implementation.new(two_groups(dtype), options)


def _shuffled(seed: int) -> list[Place]:
    order = np.random.default_rng(seed).permutation(len(PLACES))
    return [PLACES[index] for index in order]


def _one_parameter(implementation: Implementation) -> Iterator[Finding]:
    if not _offered(implementation):
        return
    for dtype in implementation.capabilities.dtypes:
        fused, ordinary = _pair(implementation, dtype)
        for t in range(3):
            grads = gradients(ordinary, t)
            ordinary.step(grads)
            for place in _shuffled(t):
                before = fused.snapshot().state
                fused.step_alone(place, grads[place[0]][place[1]])
                expected = lifecycle.moved_alone(before, ordinary.snapshot().state, place)
                changed = difference(expected, fused.snapshot().state)
                yield Finding(not changed, f"parameter {place} stepped alone ({dtype}): {changed}")
            fused.end_step()
    if "changing_lr" not in implementation.capabilities.limits:
        yield _begun(implementation)


def _begun(implementation: Implementation) -> Finding:
    """Options count as they stood when the step began."""
    fused, ordinary = _pair(implementation)
    grads = gradients(ordinary, 0)
    ordinary.step(grads)
    for i, j in PLACES:
        fused.step_alone((i, j), grads[i][j])
        fused.set_lr(0, 0.5)
        fused.set_lr(1, 0.5)
    fused.end_step()
    apart = difference(ordinary.snapshot().state, fused.snapshot().state)
    return Finding(not apart, f"a fused step during which lr is set to 0.5: {apart}")


def _end_of_step(implementation: Implementation) -> Iterator[Finding]:
    if not _offered(implementation):
        return
    for dtype in implementation.capabilities.dtypes:
        for pooling in poolings(implementation):
            for number, calls in enumerate(SERIES):
                fused, ordinary = _pair(implementation, dtype, **pooling)
                _play(fused, ordinary, calls)
                apart = difference(ordinary.snapshot().state, fused.snapshot().state)
                yield Finding(not apart, f"calls {number} of fused steps ({dtype}, {dict(pooling)}): {apart}")
    yield from _closure(implementation)


def _play(fused: Session, ordinary: Session, calls: Sequence[Place | None]) -> None:
    """Make the calls, and take the ordinary steps that the law finds in them; every call has a gradient of its own."""
    given = [gradients(fused, number) for number, call in enumerate(calls) if call is not None]
    numbers = iter(range(len(given)))
    for call in calls:
        if call is None:
            fused.end_step()
        else:
            fused.step_alone(call, given[next(numbers)][call[0]][call[1]])
    numbers = iter(range(len(given)))
    for step in lifecycle.fused_steps(calls):
        rows: list[list[Array | None]] = [[None] * 3, [None] * 3]
        for i, j in step:
            rows[i][j] = given[next(numbers)][i][j]
        ordinary.step(rows)


def _closure(implementation: Implementation) -> Iterator[Finding]:
    expected = tuple(event for event in lifecycle.closure_protocol() if event != "step")
    fused, _ = _pair(implementation)
    for running in (True, False):
        if running:
            fused.step_alone(PLACES[0], gradients(fused, 0)[0][0])
        events: list[str] = []
        if fused.end_step(events.append):
            events.append("return closure's value")
        yield Finding(tuple(events) == expected, f"closure of a fused step: {events}, not {expected}")


def _bad_gradients(implementation: Implementation) -> Iterator[Finding]:
    if not _offered(implementation):
        return
    for bad in BAD:
        for spoiled in (PLACES[:1], PLACES[3:], PLACES):
            fused, ordinary = _pair(implementation)
            run(fused, 2)
            run(ordinary, 2)
            grads = gradients(ordinary, 2)
            for i, j in spoiled:
                gradient = grads[i][j]
                assert gradient is not None
                gradient.flat[-1] = bad
            for i, j in _shuffled(len(spoiled)):
                fused.step_alone((i, j), grads[i][j])
            fused.end_step()
            ordinary.step([[None if g is None or lifecycle.sits_out(g) else g for g in row] for row in grads])
            apart = difference(ordinary.snapshot().state, fused.snapshot().state)
            yield Finding(not apart, f"{bad} in {len(spoiled)} of {len(PLACES)} gradients of a fused step: {apart}")


def _interruptions(implementation: Implementation) -> Iterator[Finding]:
    if not _offered(implementation):
        return
    for call in ("saved", "deepcopy", "pickle", "add_group", "eval", "train"):
        interrupted, _ = _pair(implementation)
        twin, _ = _pair(implementation)
        for session in (interrupted, twin):
            run(session, 2)
            _some(session, PLACES[:4], 5)
        changes_mode = call == "eval" and averages(implementation)
        ends, k = lifecycle.ends_step(call, changes_mode), interrupted.snapshot().state.groups[0].k
        if ends:
            twin.end_step()
        interrupted = _interrupted(interrupted, call)
        ended = interrupted.snapshot().state.groups[0].k > k
        yield Finding(ended == ends, f"{call} during a fused step ends it: {ended}, not {ends}")
        if call in {"add_group", "eval"}:
            twin = _interrupted(twin, call)
        apart = difference(twin.snapshot().state, interrupted.snapshot().state)
        yield Finding(not apart, f"{call} during a fused step: {apart}")
        for session in (interrupted, twin):
            session.train()
            _some(session, PLACES[2:], 6)
            session.end_step()
        apart = difference(twin.snapshot().state, interrupted.snapshot().state)
        yield Finding(not apart, f"the step after {call} during a fused step: {apart}")


def _some(session: Session, places: Sequence[Place], seed: int) -> None:
    grads = gradients(session, seed)
    for i, j in places:
        session.step_alone((i, j), grads[i][j])


def _interrupted(session: Session, call: str) -> Session:
    if call == "add_group":
        session.add_group(Group(weights(3), {}))
    elif call in {"eval", "train"}:
        session.eval() if call == "eval" else session.train()
    else:
        return session.copied(call)  # type: ignore[arg-type]
    return session


def _alone(implementation: Implementation) -> Iterator[Finding]:
    if not _offered(implementation):
        return
    fused, ordinary = _pair(implementation)
    averaged, _ = _pair(implementation)
    cases = ((ordinary, False, False), (fused, True, True), (averaged, True, False))
    for session, is_fused, is_stranger in cases:
        run(session, 2)
        if session is averaged:
            session.eval()
        before = session.snapshot().state
        expected = outcome(errors.refuse_alone, is_fused, before.train_mode, not is_stranger)
        call = (lambda s: s.step_alone_with_stranger()) if is_stranger else (lambda s: _some(s, PLACES[:1], 3))
        got = outcome(call, session)
        case = f"fused_back_pass={is_fused}, train mode {before.train_mode}, a stranger: {is_stranger}"
        yield Finding(agrees(expected, got, KINDS), f"step_param with {case}: {got}, not {expected}")
        if expected != "accepted":
            changed = difference(before, session.snapshot().state)
            yield Finding(not changed, f"a refused step_param with {case} changes {changed}")


#: By the clause each check holds.
FUSED_CHECKS: dict[str, Check] = {
    "PPSF-L-008": _one_parameter,
    "PPSF-L-009": _end_of_step,
    "PPSF-L-010": _bad_gradients,
    "PPSF-L-011": _interruptions,
    "PPSF-X-020": _alone,
}
