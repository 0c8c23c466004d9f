"""Areas L and R: modes, bad steps, resuming, closures, added groups, special values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Array, Group, Implementation, Session, Weights, offers
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
    if "missing_gradients" not in implementation.capabilities.limits:
        got = outcome(session.step, [[None] * len(row) for row in grads])
        agree = (expected == "accepted") == (got == "accepted")
        yield Finding(agree, f"step() after eval() without gradients: {got}, not {expected}")


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
    if "changing_lr" not in implementation.capabilities.limits:
        yield from _bad_but_unread(implementation)


def _bad_but_unread(implementation: Implementation) -> Iterator[Finding]:
    """Of a group whose lr is 0 no gradient is read, so that a bad one is none (PPSF-G-001)."""
    session = implementation.new(two_groups(), {})
    run(session, 2)
    session.set_lr(1, 0.0)
    grads, before = gradients(session, 3), session.snapshot().state
    spoiled = grads[1][0]
    assert spoiled is not None
    spoiled.flat[0] = np.nan
    session.step(grads)
    after = session.snapshot().state
    moves = bool(difference(State(before.groups[:1]), State(after.groups[:1])))
    yield Finding(moves, "a gradient with nan of a group whose lr is 0 keeps another group from moving")


#: What changes what is kept, or what a step needs of it.
KEPT: tuple[Mapping[str, Any], ...] = (
    {"use_muon_pp": True},
    {"use_focus": True},
    {"factored_fp32": False},
    {"use_speed": True},
    {"use_schedulefree": False},
    {"prodigy_steps": 2},
    {"rounding_seed": 7},
    {"cosine_decay": True, "peak_patience": 1, "total_training_steps": 8},
    {"bf16_state": True},
)


def _round_trips(implementation: Implementation) -> Iterator[Finding]:
    capabilities = implementation.capabilities
    for dtype in capabilities.dtypes:
        for pooling in poolings(implementation):
            for how in ROUND_TRIPS:
                session = implementation.new(two_groups(dtype), pooling)
                run(session, 4)
                yield from _round_trip(session, how, f"{dtype}, split_groups={splits(implementation, pooling)}")
    dtype = "bfloat16" if "bfloat16" in capabilities.dtypes else capabilities.dtypes[0]
    for given in KEPT:
        if capabilities.options.issuperset(given):
            for how in ROUND_TRIPS:
                session = implementation.new(two_groups(dtype), given)
                run(session, 4)
                yield from _round_trip(session, how, f"{dtype}, {dict(given)}")
    for how in ROUND_TRIPS:
        decays = "weight_decay" in capabilities.options and "own_options" not in capabilities.limits
        own = {"weight_decay": 0.1} if decays else {}
        session = implementation.new(two_groups(dtype, **own), {})
        run(session, 4)
        session.eval()
        yield from _round_trip(session, how, f"{dtype}, in eval mode, {own} in a group")


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
    for each in (session, copy[0]):
        each.train()
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
    yield from _returned_all_the_same(implementation)


def _returned_all_the_same(implementation: Implementation) -> Iterator[Finding]:
    """Also a step that turns out to change nothing returns the closure's value."""
    for what, bad in (("with nan in every gradient", np.nan), ("without gradients", None)):
        if bad is None and "missing_gradients" in implementation.capabilities.limits:
            continue
        session = implementation.new(two_groups(), {})
        rows = [
            [None if bad is None or g is None else np.full_like(g, bad) for g in row] for row in gradients(session, 0)
        ]
        returned = session.step_with_closure(rows, lambda _: None)
        yield Finding(returned, f"step() {what} does not return the closure's value")


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


SPECIALS = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -(2.0**-126), 3.0e38, 1.0 + 2.0**-7])


def _specials(implementation: Implementation) -> Iterator[Finding]:
    """With a zero gradient and no decay z' = z, so stochastic rounding sees the weights themselves."""
    if not rounds_stochastically(implementation):
        return
    at_random, to_nearest = (_unmoved(implementation, rounds) for rounds in (True, False))
    before, after = at_random
    config = Config((Options(),), (("bfloat16",),), load_revision("1.9"))
    bits = rounding.rounding_bits(config.rounding_seed, 1, 0, before.size)[1]
    with np.errstate(all="ignore"):
        expected = rounding.stochastic(np.asarray(before, np.float64), bits)
    same = np.array_equal(after, expected, equal_nan=True)
    step = f"after a step with gradient 0 and without decay z is {after}, not the weights {before}"
    yield Finding(same, f"{step}: an update that is 0 leaves every z, and stochastic rounding has nothing to round")
    zeros = before == 0  # of the sign that arithmetic leaves them
    signed = np.array_equal(np.signbit(after[zeros]), np.signbit(to_nearest[1][zeros]))
    yield Finding(signed, "a zero changes its sign with stochastic rounding, and not without")


def _unmoved(implementation: Implementation, rounds: bool) -> tuple[Array, Array]:
    """Weights before, and z after, a step whose gradient is 0."""
    group = Group((Weights(SPECIALS, "bfloat16"),), {})
    session = implementation.new([group], {"stochastic_rounding": rounds})
    before = np.asarray(session.snapshot().state.groups[0].params[0].y)
    session.step([[np.zeros(SPECIALS.shape)]])
    return before, np.asarray(session.snapshot().state.groups[0].params[0].z)


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
