"""Area D: the distance estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState


class Window(NamedTuple):
    """Whether a pool adapts in a step, and whether its ``s`` and ``x0`` are released at the end of it."""

    adapts: bool
    releases: bool


class Estimate(NamedTuple):
    """``d`` and the ``d`` before it."""

    d: Number
    d_prev: Number


@clause("PPSF-D-001", "6eb47677")
def statistic_weight(d: Number) -> Number:
    """Weight of this step's gradient in the statistics."""
    return numbers.sqrt(d)


@clause("PPSF-D-002", "817a13b9")
def numerator_item(g: Number, x0: Number, y: Number, weight: Number) -> Number:
    """One parameter's share of the numerator; all three arrays sampled."""
    return weight * numbers.total(g * (x0 - y))


@clause("PPSF-D-003", "14ce060e")
def gradient_sum(s: Number, g: Number, beta3: Number, weight: Number) -> Number:
    """Decaying sum of weighted gradients; ``g`` sampled."""
    return beta3 * s + weight * g


@clause("PPSF-D-004", "177108e3")
def denominator_item(s: Number) -> Number:
    """One parameter's share of the denominator."""
    return numbers.total(abs(s))


@clause("PPSF-D-005", "ac48fdae")
def numerator(previous: Number, item: Number, beta3: Number, d: Number, d0: Number) -> Number:
    """Decaying sum of numerator items; until d has grown, items below 0 count as 0."""
    grown = numbers.value_of(d) > numbers.value_of(d0)
    return beta3 * previous + (item if grown else numbers.maximum(item, 0 * item))


@clause("PPSF-D-006", "9d50bc96")
def distance_estimate(numerator: Number, denominator: Number, d_coef: Number) -> Number:
    """d_hat: the angle whose tangent is d_coef N / D; 0 when D is 0."""
    if not numbers.is_positive(denominator, "denominator_positive"):
        return 0 * numerator
    return numbers.atan2(d_coef * numerator, denominator)


@clause("PPSF-D-007", "069e7fcc")
def next_estimate(d: Number, d_hat: Number) -> Estimate:
    """d never decreases."""
    return Estimate(d=numbers.maximum(d, d_hat), d_prev=d)


@clause("PPSF-D-008", "cf1b45e0")
def window(k: int, prodigy_steps: int) -> Window:
    """Adaptation runs in steps 1..prodigy_steps, or for ever when that is 0."""
    return Window(adapts=prodigy_steps == 0 or k <= prodigy_steps, releases=k == prodigy_steps)


@clause("PPSF-D-009", "8cc44bb8")
def frozen(pool: GroupState) -> GroupState:
    """Outside the window nothing of the estimate moves; d_prev catches up with d."""
    return replace(pool, d_prev=pool.d)
