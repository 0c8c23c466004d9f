"""Whether bits that nobody knows are spent: stochastic rounding judged by its frequencies.

Where the random bits are the implementation's own, every result is one of two neighbours and both are right, so that
rounding to nearest would pass. But the share of elements that go away from zero has to be what their distances say.

The bound is Hoeffding's: of n independent roundings with chances f_i the number U that goes away from zero satisfies
P(|U - sum f_i| >= t) <= 2 exp(-2 t^2 / n). It is evaluated separately for elements nearer to the one neighbour and for
those nearer to the other, since rounding to nearest has the right mean over both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Array, Implementation
from ppsf_conformance.checks.finding import Finding, revision_of
from ppsf_conformance.lockstep import Transition, config_of, lifted, play
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_ref import BFLOAT16, Bounded, Running, numbers, overriding, step
from ppsf_ref.formats import nearest

#: A correct implementation is rejected once in this many runs at most.
ODDS = 2.0**64
#: Elements of the one parameter.
SIDE = 72


def frequencies(implementation: Implementation) -> Iterator[Finding]:
    """One step of a bfloat16 matrix from a state whose rounding is left to chance."""
    start = {"d0": 1e-2} if "d0" in implementation.capabilities.options else {}
    spec = GroupSpec((ParamSpec((SIDE, SIDE), "bfloat16"),))
    name = revision_of(implementation).name
    problem = Problem({**start, "stochastic_rounding": True}, (spec,), "noise", steps=1, revision=name)
    for transition in play(implementation, problem):
        if not transition.raised:
            yield from _frequencies(implementation, transition)


def _frequencies(implementation: Implementation, transition: Transition) -> Iterator[Finding]:
    after = transition.after.state.groups[0].params[0]
    exact = _before_rounding(implementation, transition)
    for what, stored in (("y", after.y), ("z", after.z)):
        values = exact.get(what)
        if stored is None or values is None or values.shape != stored.shape:
            continue
        chances, away, doubts = _roundings(values, stored)
        for side, chosen in (("below", chances < 0.5), ("above", chances >= 0.5)):
            n, found, expected = int(chosen.sum()), int(away[chosen].sum()), float(chances[chosen].sum())
            slack = math.sqrt(n * math.log(2 * ODDS) / 2) + float(doubts[chosen].sum())
            yield Finding(
                abs(found - expected) <= slack,
                f"of {n} elements of {what} that lie {side} the middle of two bfloat16 numbers {found} were rounded "
                f"away from zero, where stochastic rounding makes it {expected:.0f}, give or take {slack:.0f}",
            )


def _before_rounding(implementation: Implementation, transition: Transition) -> dict[str, Bounded]:
    """What the law stores as y and z, before it is rounded."""
    seen: list[Any] = []

    def keep(x: Any, bits: Any) -> Any:
        seen.append(x)
        return numbers.round_either_way(x, BFLOAT16)

    lift = Running(implementation.capabilities.arithmetic)
    config = config_of(transition.problem, transition.rates)
    with np.errstate(all="ignore"), overriding({"PPSF-R-003": keep}):
        step(config, lifted(config, transition.before.state, lift), transition.gradients, lift)
    return dict(zip(("y", "z"), seen, strict=False))


def _roundings(values: Bounded, stored: Array) -> tuple[Array, Array, Array]:
    """Of elements between two neighbours: the chance to go away from zero, whether it did, what is unsure of that."""
    value = np.asarray(values.value, np.float64)
    inner = _toward_zero(value)
    outer = np.where(value == inner, inner, _next_away(inner))
    gap = np.where(outer == inner, 1.0, np.abs(outer - inner))
    chances = np.abs(value - inner) / gap
    between = (outer != inner) & ((stored == inner) | (stored == outer))
    doubts = np.broadcast_to(np.asarray(values.bound, np.float64), value.shape) / gap
    return chances[between], (stored == outer)[between], doubts[between]


def _toward_zero(value: Array) -> Array:
    bits = np.asarray(value, np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return np.asarray(nearest(bits.view(np.float32).astype(np.float64), BFLOAT16))


def _next_away(inner: Array) -> Array:
    bits = np.asarray(inner, np.float32).view(np.uint32) + np.uint32(0x10000)
    return np.asarray(bits.view(np.float32), np.float64)
