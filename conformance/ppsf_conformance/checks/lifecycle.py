"""Areas L and R: modes, bad steps, resuming, closures, added groups, special values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ppsf_conformance.adapter import Group, Implementation, Session, Weights, offers
from ppsf_conformance.checks.chance import frequencies
from ppsf_conformance.checks.finding import (
    Check,
    Finding,
    averages,
    difference,
    gradients,
    outcome,
    poolings,
    revision_of,
    rounds_stochastically,
    run,
    same_formats,
    splits,
    two_groups,
    weights,
)
from ppsf_conformance.lockstep import judge, play
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_ref import State, load_revision
from ppsf_ref.clauses import errors, lifecycle, rounding
from ppsf_ref.options import Config, Options

ROUND_TRIPS = ("saved", "deepcopy", "pickle")


def _modes(implementation: Implementation) -> Iterator[Finding]:
    session = implementation.new(two_groups(), {})
    mode = True
    for call in ("train", "eval", "eval", "train", "train", "eval", "train"):
        before = session.snapshot().state
        session.eval() if call == "eval" else session.train()
        after = session.snapshot().state
        expected = lifecycle.mode_after(mode, "eval" if call == "eval" else "train", averages(implementation))
        yield Finding(after.train_mode == expected, f"{call}() leaves train mode {after.train_mode}, not {expected}")
        if expected == mode:
            yield Finding(not difference(before, after), f"repeated {call}() changes {difference(before, after)}")
        mode = expected
        if mode:
            run(session, 1)


def _eval_step(implementation: Implementation) -> Iterator[Finding]:
    session = implementation.new(two_groups(), {})
    run(session, 2)
    session.eval()
    grads, before = gradients(session, 9), session.snapshot().state
    got = outcome(session.step, grads)
    expected = outcome(errors.refuse_eval_mode, lifecycle.mode_after(True, "eval", averages(implementation)))
    yield Finding((expected == "accepted") == (got == "accepted"), f"step() after eval(): {got}, not {expected}")
    if got != "accepted":
        changed = difference(before, session.snapshot().state)
        yield Finding(not changed, f"a refused step changes {changed}")


#: Elements that spoil a gradient, and the largest number below that does not.
BAD = (
    np.nan,
    np.inf,
    -np.inf,
    lifecycle.TOO_LARGE,
    float(np.nextafter(np.float32(lifecycle.TOO_LARGE), np.float32(0))),
)


def _bad_steps(implementation: Implementation) -> Iterator[Finding]:
    for bad in BAD:
        for place in ((0, 0), (1, 2)):
            session = implementation.new(two_groups(), {})
            run(session, 2)
            grads = gradients(session, 3)
            spoiled = grads[place[0]][place[1]]
            assert spoiled is not None
            spoiled.flat[-1] = bad
            before = session.snapshot().state
            session.step(grads)
            stays = not lifecycle.all_finite([g for row in grads for g in row if g is not None])
            changed = difference(before, session.snapshot().state)
            yield Finding(stays == (not changed), f"a gradient with {bad} changes {changed or 'nothing'}")


def _round_trips(implementation: Implementation) -> Iterator[Finding]:
    for dtype in implementation.capabilities.dtypes:
        for pooling in poolings(implementation):
            for how in ROUND_TRIPS:
                session = implementation.new(two_groups(dtype), pooling)
                run(session, 4)
                yield from _round_trip(session, how, f"{dtype}, split_groups={splits(implementation, pooling)}")


def _round_trip(session: Session, how: str, case: str) -> Iterator[Finding]:
    before = session.snapshot()
    expected = lifecycle.reloaded(before.state)
    copy: list[Session] = []
    got = outcome(lambda: copy.append(session.copied(how)))  # type: ignore[arg-type]
    yield Finding(got == "accepted", f"{how} ({case}): {got}")
    if not copy:
        return
    after = copy[0].snapshot()
    changed = difference(expected, after.state)
    yield Finding(not changed, f"{how} ({case}): {changed} differs")
    yield Finding(same_formats(before, after), f"{how} ({case}): dtypes of the state change")
    run(session, 2, start=10)
    got = outcome(run, copy[0], 2, start=10)
    yield Finding(got == "accepted", f"step() after {how} ({case}): {got}")
    if got == "accepted":
        apart = difference(session.snapshot().state, copy[0].snapshot().state)
        yield Finding(not apart, f"two steps after {how} ({case}): {apart} differs from the uninterrupted run")


def _closures(implementation: Implementation) -> Iterator[Finding]:
    session = implementation.new(two_groups(), {})
    run(session, 2)
    grads, before = gradients(session, 3), session.snapshot().state
    events: list[str] = []

    def observe(event: str) -> None:
        moved = difference(before, session.snapshot().state)
        events.append("step" if moved and "step" not in events else event)
        if events[-1] == "step":
            events.append(event)

    returned = session.step_with_closure(grads, observe)
    if "step" not in events and difference(before, session.snapshot().state):
        events.append("step")
    if returned:
        events.append("return closure's value")
    expected = lifecycle.closure_protocol()
    yield Finding(tuple(events) == expected, f"closure: {', '.join(events)}; not {', '.join(expected)}")


def _added_groups(implementation: Implementation) -> Iterator[Finding]:
    for pooling in poolings(implementation):
        split = splits(implementation, pooling)
        session = implementation.new(two_groups(), pooling)
        fresh = implementation.new([Group(weights(3), {})], {}).snapshot().state.groups[0]
        run(session, 4)
        got = outcome(session.add_group, Group(weights(3), {}))
        yield Finding(got == "accepted", f"add_param_group with split_groups={split}: {got}")
        if got != "accepted":
            continue
        state = session.snapshot().state
        expected = lifecycle.added_group(fresh, state.groups[0], split)
        changed = difference(State((expected,)), State((state.groups[2],)))
        yield Finding(not changed, f"a group added with split_groups={split}: {changed}")
        got = outcome(run, session, 1)
        yield Finding(got == "accepted", f"step() after add_param_group with split_groups={split}: {got}")
        yield from _added_in_eval_mode(session, f"split_groups={split}", averages(implementation))


def _added_in_eval_mode(session: Session, case: str, averages: bool) -> Iterator[Finding]:
    """A group shows the mode of the optimizer, whatever it is; train() brings all of them back."""
    if not offers(session, "modes") or not session.modes():  # type: ignore[attr-defined]
        return
    session.eval()
    session.add_group(Group(weights(4), {}))
    mode = lifecycle.mode_after(True, "eval", averages)
    yield _all_show(session, mode, f"after eval() and with a group added then ({case})")
    session.train()
    yield _all_show(session, lifecycle.mode_after(mode, "train", averages), f"after train() once more ({case})")


def _all_show(session: Session, mode: bool, when: str) -> Finding:
    modes = session.modes()  # type: ignore[attr-defined]
    return Finding(set(modes) == {mode}, f"{when} the groups show train mode {', '.join(map(str, modes))}, not {mode}")


SPECIALS = np.array([np.nan, np.inf, -np.inf, 0.0, 1.5, -(2.0**-126), 3.0e38, 1.0 + 2.0**-7])


def _specials(implementation: Implementation) -> Iterator[Finding]:
    """With a zero gradient z' = z, so stochastic rounding sees the weights themselves."""
    if not rounds_stochastically(implementation):
        return
    group = Group((Weights(SPECIALS, "bfloat16"),), {})
    session = implementation.new([group], {"stochastic_rounding": True})
    before = session.snapshot().state.groups[0].params[0].y
    session.step([[np.zeros(SPECIALS.shape)]])
    after = session.snapshot().state.groups[0].params[0]
    config = Config((Options(),), (("bfloat16",),), load_revision("1.9"))
    bits = rounding.rounding_bits(config.rounding_seed, 1, 0, before.size)[1]
    with np.errstate(all="ignore"):
        expected = rounding.stochastic(np.asarray(before, np.float64), bits)
    same = np.array_equal(np.asarray(after.z), expected, equal_nan=True)
    yield Finding(same, f"{before} becomes {after.z}, not {expected}")


def neighbours(implementation: Implementation) -> Iterator[Finding]:
    """One step of a factored bfloat16 matrix: what is stored lies next to the exact result, whatever the bits."""
    if not rounds_stochastically(implementation):
        return
    spec = GroupSpec((ParamSpec((33, 40), "bfloat16"),))
    start = {"d0": 1e-2} if "d0" in implementation.capabilities.options else {}
    problem = Problem(
        {**start, "stochastic_rounding": True}, (spec,), "noise", steps=1, revision=revision_of(implementation).name
    )
    for transition in play(implementation, problem):
        verdict = judge(transition, implementation.capabilities)
        for comparison in verdict.comparisons:
            if comparison.output in {"raises", "y", "z"}:
                yield Finding(comparison.ok, comparison.detail)
    yield from frequencies(implementation)


#: By the clause each check holds.
LIFECYCLE_CHECKS: dict[str, Check] = {
    "PPSF-L-003": _modes,
    "PPSF-L-004": _bad_steps,
    "PPSF-L-005": _round_trips,
    "PPSF-L-006": _closures,
    "PPSF-L-007": _added_groups,
    "PPSF-R-005": _specials,
    "PPSF-X-004": _eval_step,
}
