"""The ceiling of the estimate, and what a group shows of its step size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Implementation, Lacking, Snapshot
from ppsf_conformance.checks.finding import (
    Check,
    Finding,
    Overwritable,
    gradients,
    poolings,
    revision_of,
    run,
    splits,
    two_groups,
)
from ppsf_conformance.lockstep import Transition, config_of, lifted, play
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_ref import Running
from ppsf_ref.clauses import distance
from ppsf_ref.reading import effective_lrs

#: Just below the ceiling, and the steps that take the estimate far beyond it where there is none.
HIGH, CLIMB = 2.0**39.5, 12
#: What changes a step size beside the estimate, where an implementation has it.
FACTORS: tuple[Mapping[str, Any], ...] = (
    {},
    {"use_bias_correction": True},
    {"split_groups_mean": True},
    {"warmup_steps": 5},
    {"cosine_decay": True, "peak_patience": 0, "total_training_steps": 6},
)


def _ceiling(implementation: Implementation) -> Iterator[Finding]:
    if revision_of(implementation).ceiling == "none":
        return
    session = implementation.new(two_groups(), {"d0": HIGH, "d_coef": 10.0})
    run(session, CLIMB)
    most = float(distance.ceiling(np.float64(2.0**60)))
    for i, group in enumerate(session.snapshot().state.groups):
        yield Finding(float(group.d) == most, f"the estimate of group {i} climbs to {float(group.d)}, not to {most}")


def _shown(implementation: Implementation) -> Iterator[Finding]:
    groups = (GroupSpec((ParamSpec((5,)), ParamSpec((3, 4)))), GroupSpec((ParamSpec((7,)),)))
    for factors in FACTORS:
        if set(factors) <= implementation.capabilities.options:
            name = revision_of(implementation).name
            for transition in play(implementation, Problem(factors, groups, "growth", revision=name)):
                yield from _as_told(implementation, transition, factors)


def _as_told(implementation: Implementation, transition: Transition, factors: Mapping[str, Any]) -> Iterator[Finding]:
    lift = Running(implementation.capabilities.arithmetic)
    config = config_of(transition.problem, transition.rates)
    told = effective_lrs(config, lifted(config, transition.after.state, lift), lift)
    for i, (law, shown) in enumerate(zip(told, transition.after.shown, strict=False)):
        got = shown["effective_lr"]
        inside = bool(law.low <= got <= law.high)
        yield Finding(
            inside, f"effective_lr of group {i} with {dict(factors)} is {got}, the law says {float(law.value)}"
        )


#: Arrays, and what is put into them.
SPOILED = ((("y", "z"), np.nan), (("y", "z"), np.inf), (("s",), np.inf))


def _with_one(snapshot: Snapshot, names: tuple[str, ...], value: float) -> Snapshot:
    """The same with this as the first element of these arrays of the first parameter, as far as it has them."""
    first, *rest = snapshot.state.groups
    one, *others = first.params

    def spoiled(kept: Any) -> Any:
        values = np.array(kept)
        values.flat[0] = value
        return values

    one = replace(one, **{name: spoiled(kept) for name in names if (kept := getattr(one, name)) is not None})
    groups = (replace(first, params=(one, *others)), *rest)
    return replace(snapshot, state=replace(snapshot.state, groups=groups))


def _no_numbers(implementation: Implementation) -> Iterator[Finding]:
    """Weights or sums that somebody has spoiled: the gradients are finite, and the statistics are not."""
    if revision_of(implementation).estimate == "none":
        return
    for names, spoiled in SPOILED:
        session = implementation.new(two_groups(), {})
        if not isinstance(session, Overwritable):
            raise Lacking("nobody else can write its state")
        run(session, 3)
        before = session.snapshot()
        session.put(_with_one(before, names, spoiled))
        run(session, 1, start=3)
        old, new = before.state.groups[0], session.snapshot().state.groups[0]
        numbers = {"d", "d_numerator", "d_denom", "d_max"} & set(revision_of(implementation).scalars)
        changed = [name for name in sorted(numbers) if float(getattr(old, name)) != float(getattr(new, name))]
        stays = not distance.are_numbers(np.float64(spoiled), np.float64(1.0))
        case = f"with {spoiled} in {' and '.join(names)}"
        yield Finding(stays == (not changed), f"{case}, {', '.join(changed) or 'nothing'} changes")
        yield Finding(new.k == old.k + 1, f"{case}, k is {new.k} after {old.k}")
        if "d_prev" in revision_of(implementation).scalars:
            caught_up = float(new.d_prev) == float(old.d)
            yield Finding(caught_up, f"{case}, d_prev is {float(new.d_prev)} after a step that used {float(old.d)}")


def _released(implementation: Implementation) -> Iterator[Finding]:
    """At the end of the window the samples of a whole pool go, also of parameters without a gradient in that step."""
    capabilities, steps = implementation.capabilities, 2
    if "prodigy_steps" not in capabilities.options or "missing_gradients" in capabilities.limits:
        return
    releases = distance.window(steps, steps).releases
    for pooling in poolings(implementation):
        session = implementation.new(two_groups(), {**pooling, "prodigy_steps": steps})
        idle = {(0, 0)} if splits(implementation, pooling) else {(0, 0), (1, 0), (1, 1), (1, 2)}
        for number in range(1, steps + 1):
            rows = gradients(session, number)
            for i, j in idle if number == steps else ():
                rows[i][j] = None
            session.step(rows)
        for i, group in enumerate(session.snapshot().state.groups):
            for j, param in enumerate(group.params):
                kept = [name for name in ("x0", "s") if getattr(param, name) is not None]
                told = f"{'without' if (i, j) in idle else 'with'} gradient in group {i} ({dict(pooling)})"
                yield Finding(
                    releases == (not kept),
                    f"after the last step of the window a parameter {told} keeps {', '.join(kept) or 'nothing'}",
                )


ESTIMATE_CHECKS: Mapping[str, Check] = {
    "PPSF-D-008": _released,
    "PPSF-D-031": _ceiling,
    "PPSF-D-033": _no_numbers,
    "PPSF-G-010": _shown,
}
