"""Groups without parameters, keys of trainers, options that a scheduler changes, and counters of very long runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ppsf_conformance.adapter import Group, Implementation, Session, offers
from ppsf_conformance.checks.finding import (
    Check,
    Finding,
    Overwritable,
    at_step,
    difference,
    gradients,
    outcome,
    run,
    two_groups,
)
from ppsf_ref import State
from ppsf_ref.clauses import lifecycle

#: What a scheduler may set, other than what the steps before it had.
SCHEDULED: Mapping[str, Any] = {
    "lr": 0.3,
    "betas": (0.8, 0.95),
    "beta3": 0.5,
    "weight_decay": 0.2,
    "eps": 1e-2,
    "d_coef": 3.0,
    "schedulefree_c": 20.0,
    "growth_rate": 1.1,
}
#: Keys that trainers put into a group for themselves.
FOREIGN: Mapping[str, Any] = {"name": "decoder", "initial_lr": 0.5}
#: Steps after which a counter in float32, and one of 32 bits, counts no further.
LATE = (2**24, 2**32)


def _without_parameters(implementation: Implementation) -> Iterator[Finding]:
    """A group without parameters is legal."""
    run(implementation.new(two_groups(), {}), 1)  # one that never steps says so by itself
    made: list[Session] = []
    got = outcome(lambda: made.append(implementation.new([Group((), {}), *two_groups()], {})))
    yield Finding(got == "accepted", f"constructor with a group that has no parameters: {got}")
    for session in made:
        before = session.snapshot().state.groups[1:]
        got = outcome(run, session, 2)
        yield Finding(got == "accepted", f"step() beside a group that has no parameters: {got}")
        moved = bool(difference(State(before), State(session.snapshot().state.groups[1:])))
        yield Finding(moved, "beside a group that has no parameters the others do not move")


def _options_of_groups(implementation: Implementation) -> Iterator[Finding]:
    """Keys that are no options are kept; options are read at every step."""
    offered, limits = implementation.capabilities.options, implementation.capabilities.limits
    plain = implementation.new(two_groups(), {})
    if "own_options" in limits or not (offers(plain, "set_option") and isinstance(plain, Overwritable)):
        return
    session = implementation.new(two_groups(**FOREIGN), {})
    run(session, 1)
    kept = {key: session.option(0, key) for key in FOREIGN}  # type: ignore[attr-defined]
    yield Finding(kept == FOREIGN, f"of {dict(FOREIGN)} in a group, which are no options, it keeps {kept}")
    if _apart(implementation, {}, other=10):  # it keeps more than can be written into it
        return
    for name, value in SCHEDULED.items():
        if name in offered and not (name == "lr" and "changing_lr" in limits):
            apart = _apart(implementation, {name: value})
            what = f"{name} is set to {value!r} in every group, and the next step does not use it"
            yield Finding(not apart, f"{what}: {apart}")


def _apart(implementation: Implementation, given: Mapping[str, Any], other: int = 0) -> str:
    """How what is given options after 3 steps goes on otherwise than what had them always, from the same state.

    Args:
        other: of which steps the latter had its gradients before it was brought there.
    """
    late, always = implementation.new(two_groups(), {}), implementation.new(two_groups(), given)
    run(late, 3)
    run(always, 3, start=other)
    always.put(late.snapshot())  # type: ignore[attr-defined]
    for group in range(2):
        for name, value in given.items():
            late.set_option(group, name, value)  # type: ignore[attr-defined]
    rows = gradients(late, 3)
    for session in (late, always):
        session.step(rows)
    return difference(always.snapshot().state, late.snapshot().state)


def _counts_on(implementation: Implementation) -> Iterator[Finding]:
    """However many steps there were, one more is counted."""
    for late in LATE:
        session = implementation.new(two_groups(), {})
        if not isinstance(session, Overwritable):
            return
        run(session, 1)
        session.put(at_step(session.snapshot(), late))
        run(session, 1, start=1)
        k = session.snapshot().state.groups[0].k
        law = lifecycle.next_count(late)
        yield Finding(k == law, f"after step {late} k is {k}, not {law}")


#: By the clause each check holds.
GROUP_CHECKS: Mapping[str, Check] = {
    "PPSF-G-001": _without_parameters,
    "PPSF-O-003": _options_of_groups,
    "PPSF-L-002": _counts_on,
}
