"""Laws of limits: with some options, what one revision does is what another one does.

The two formulas differ, so that no step can be compared on its own. Here the bound is that of the whole run: the
reference goes through all steps in numbers that carry their bounds along, from the same weights and gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.adapter import ARRAYS, Array, Gradients, Implementation
from ppsf_conformance.checks.finding import Finding, revision_of
from ppsf_conformance.laws.law import OTHER, PLAIN, law, within
from ppsf_conformance.laws.side_by_side import STEPS
from ppsf_conformance.lockstep import config_of, given_rates
from ppsf_conformance.problems import Problem, constructor_groups, gradients
from ppsf_ref import Allowed, Arithmetic, Bounded, ParamState, Running, State, initial_state, step

LR = 2.0**-5


def _carried(state: State, arithmetic: Arithmetic) -> State:
    """What is stored, with the bound of what has led to it."""

    def array(value: Any) -> Any:
        if not isinstance(value, Allowed):
            return value
        radius = np.maximum(value.high - value.value, value.value - value.low)
        return Bounded(value.value, radius, arithmetic.array, True, arithmetic)

    def param(p: ParamState) -> ParamState:
        return replace(p, **{name: array(getattr(p, name)) for name in ARRAYS})

    return replace(state, groups=tuple(replace(g, params=tuple(map(param, g.params))) for g in state.groups))


def _run(problem: Problem, given: list[Gradients], arithmetic: Arithmetic) -> list[Bounded]:
    """The weights at the end, with the bound of the whole run."""
    lift, config = Running(arithmetic), config_of(problem, given_rates(problem))
    weights = [[p.values for p in group.params] for group in constructor_groups(problem)]
    state = initial_state(config, weights, lift)
    with np.errstate(all="ignore"):
        for grads in given:
            state = _carried(step(config, state, grads, lift), arithmetic)
    return [p.y for group in state.groups for p in group.params]


def _in_the_limit(
    implementation: Implementation, options: dict[str, Any] | None, revision: str, theirs: Mapping[str, Any]
) -> Iterator[Finding]:
    """Compare a run with the reference of another revision."""
    if options is None:
        return
    problem = Problem(options, (PLAIN, OTHER), "growth", seed=4, revision=revision_of(implementation).name)
    other = replace(problem, options=theirs, revision=revision)
    session, given = implementation.new(constructor_groups(problem), problem.options), []
    for t in range(STEPS):
        given.append(gradients(problem, t, session.snapshot()))
        session.step(given[-1])
    arithmetic = implementation.capabilities.arithmetic
    ours = [np.asarray(p.y, np.longdouble) for group in session.snapshot().state.groups for p in group.params]
    ends = zip(ours, _run(problem, given, arithmetic), _run(other, given, arithmetic), strict=True)
    for number, (y, own, limit) in enumerate(ends):
        distance: Array = np.abs(y - limit.value)
        inside = bool(np.all(distance <= own.bound + limit.bound))
        yield Finding(inside, f"parameter {number} ends {float(distance.max()):.3g} from revision {revision}")


@law("frozen estimate", "PPSF-N-010")
def frozen_estimate(implementation: Implementation) -> Iterator[Finding]:
    """With the estimate frozen from the first step on, a run is one of AdamW Schedule-Free with RAdam's rectification.

    Scope: revisions that estimate and average, without clipping and factoring. Reason: the second moment is then never
    rescaled, and d0 times lr takes the place of the learning rate.
    """
    options = within(
        implementation,
        d0=LR,
        prodigy_steps=1,
        use_bias_correction=True,
        betas=(0.9, 0.99),
        weight_decay=0.1,
        use_stableadamw=False,
        factored=False,
        use_schedulefree=True,
        eps=1e-8,
    )
    if revision_of(implementation).bias_correction == "radam_in_moment":
        theirs = {"lr": LR, "use_bias_correction": True, "betas": (0.9, 0.99), "weight_decay": 0.1, "eps": 1e-8}
        yield from _in_the_limit(implementation, options, "schedulefree", theirs)


@law("no averaging", "PPSF-N-011")
def no_averaging(implementation: Implementation) -> Iterator[Finding]:
    """Without averaging a run is one of Prodigy.

    Scope: revisions that can do without; one pool, no limiter, no clipping, no factoring, an eps too small to be seen.
    Reason: what is left of them is Prodigy's estimate and Adam in units of d.
    """
    same = {"d0": 2.0**-10, "betas": (0.9, 0.999), "weight_decay": 0.1, "eps": 1e-30}
    if "use_schedulefree" in implementation.capabilities.options:
        without = {"use_schedulefree": False, "use_stableadamw": False, "factored": False, "d_limiter": False}
        options = within(implementation, **same, **without, split_groups=False, use_bias_correction=False)
        yield from _in_the_limit(implementation, options, "prodigy", {**same, "slice_p": 11})
