"""Area D: the distance estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ppsf_ref import numbers
from ppsf_ref.frozen import replace
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState

#: Largest factor by which the limiter of revision 2.0 lets d grow in a step.
LARGEST_STEP = 2**0.25
#: Largest estimate of revision 2.0.
LARGEST = 2.0**40


class Window(NamedTuple):
    """Whether a pool adapts in a step, and whether its ``s`` and ``x0`` are released at the end of it."""

    adapts: bool
    releases: bool


#: Of revisions that estimate nothing.
NO_WINDOW = Window(adapts=False, releases=False)


class Estimate(NamedTuple):
    """``d`` and the ``d`` before it."""

    d: Number
    d_prev: Number


@clause("PPSF-D-001", "6eb47677")
def statistic_weight(d: Number) -> Number:
    """Weight of this step's gradient in the statistics."""
    return numbers.sqrt(d)


@clause("PPSF-D-002", "d788f0e1")
def numerator_item(g: Number, x0: Number, y: Number, weight: Number) -> Number:
    """One parameter's share of the numerator; all three arrays sampled."""
    return weight * numbers.total(g * (x0 - y))


@clause("PPSF-D-003", "e3d54af9")
def gradient_sum(s: Number, g: Number, beta3: Number, weight: Number) -> Number:
    """Decaying sum of weighted gradients; ``g`` sampled."""
    return beta3 * s + weight * g


@clause("PPSF-D-004", "58e6761c")
def denominator_item(s: Number) -> Number:
    """One parameter's share of the denominator."""
    return numbers.total(abs(s))


@clause("PPSF-D-005", "1fdbffb7")
def numerator(previous: Number, item: Number, beta3: Number, d: Number, d0: Number) -> Number:
    """Decaying sum of numerator items; until d has grown, items below 0 count as 0."""
    grown = numbers.value_of(d) > numbers.value_of(d0)
    return beta3 * previous + (item if grown else numbers.maximum(item, 0 * item))


@clause("PPSF-D-006", "1203086f")
def distance_estimate(numerator: Number, denominator: Number, d_coef: Number) -> Number:
    """d_hat: the angle whose tangent is d_coef N / D; 0 when D is 0."""
    if not numbers.is_positive(denominator, "denominator_positive"):
        return 0 * numerator
    return numbers.atan2(d_coef * numerator, denominator)


@clause("PPSF-D-007", "671f117d")
def next_estimate(d: Number, d_hat: Number) -> Estimate:
    """d never decreases."""
    return Estimate(d=numbers.maximum(d, d_hat), d_prev=d)


@clause("PPSF-D-008", "eab78d5a")
def window(k: int, prodigy_steps: int) -> Window:
    """Adaptation runs in steps 1..prodigy_steps, or for ever when that is 0."""
    return Window(adapts=prodigy_steps == 0 or k <= prodigy_steps, releases=k == prodigy_steps)


@clause("PPSF-D-009", "bb40aa36")
def frozen(pool: GroupState) -> GroupState:
    """Outside the window nothing of the estimate moves; d_prev catches up with d."""
    return replace(pool, d_prev=pool.d)


@clause("PPSF-D-020", "7a527ae5")
def squared_weight(d: Number, d0: Number) -> Number:
    """Weight of this step's gradient in the statistics of revision 2.0."""
    return d * d / numbers.sqrt(d0)


class Weights(NamedTuple):
    """What multiplies the inner product and the gradient sum of a step."""

    item: Number
    sum: Number


@clause("PPSF-D-021", "80b40fdc")
def prodigy_weights(d: Number, d0: Number, dlr: Number, safeguard_warmup: bool) -> Weights:
    """Weights of Prodigy: with the safeguard the gradient sum does not see the learning rate."""
    ratio = d / d0
    return Weights(item=ratio * dlr, sum=ratio * (d if safeguard_warmup else dlr))


@clause("PPSF-D-022", "7314ec4b")
def share_weight(dlr: Number, beta3: Number) -> Number:
    """Weight of this step's gradient in the statistics of update3; ``dlr`` without warm-up."""
    return dlr * (1 - beta3)


@clause("PPSF-D-023", "dbf30264")
def amplified(x: Number) -> Number:
    """Signed square root."""
    return numbers.signed_sqrt(x)


@clause("PPSF-D-024", "5a5651fe")
def plain_numerator(previous: Number, item: Number, beta3: Number) -> Number:
    """Decaying sum of numerator items."""
    return beta3 * previous + item


@clause("PPSF-D-025", "a841ffa1")
def ratio_estimate(numerator: Number, denominator: Number, d_coef: Number) -> Number:
    """d_hat: d_coef N / D; 0 when D is 0."""
    if not numbers.is_positive(denominator, "denominator_positive"):
        return 0 * numerator
    return d_coef * numerator / denominator


@clause("PPSF-D-026", "6540778a")
def limited_estimate(d: Number, d_hat: Number, d_coef: Number) -> Number:
    """The candidate, which has ``d_coef`` in it already, at most a fourth of an octave above d."""
    return numbers.minimum(d_hat, LARGEST_STEP * d)


@clause("PPSF-D-027", "59fe8cba")
def floored_estimate(d_hat: Number, d0: Number) -> Number:
    """The candidate, not below the first estimate."""
    return numbers.maximum(d_hat, d0)


@clause("PPSF-D-028", "0305121b")
def smoothed_estimate(d: Number, d_hat: Number, beta4: Number) -> Estimate:
    """d follows the candidate: as a moving average, or, for a negative ``beta4``, only downwards so."""
    if numbers.value_of(beta4) > 0:
        return Estimate(d=beta4 * d + (1 - beta4) * d_hat, d_prev=d)
    return Estimate(d=numbers.maximum(d_hat, -beta4 * d + (1 + beta4) * d_hat), d_prev=d)


class Capped(NamedTuple):
    """``d`` and the largest candidate so far."""

    d: Number
    d_max: Number


@clause("PPSF-D-029", "fc8d499b")
def capped_estimate(d: Number, d_hat: Number, d_max: Number, d0: Number, growth_rate: float) -> Capped:
    """Prodigy's growth: at most ``growth_rate`` times the estimate, once it has left d0."""
    start = numbers.maximum(d, d_hat) if numbers.value_of(d) == numbers.value_of(d0) else d
    largest = numbers.maximum(d_max, d_hat)
    grown = largest if math.isinf(growth_rate) else numbers.minimum(largest, start * growth_rate)
    return Capped(d=grown, d_max=largest)


@clause("PPSF-D-030", "40a5b747")
def has_evidence(denominator: Number) -> bool:
    """Whether Prodigy takes the step at all: not while every gradient so far was 0."""
    return numbers.is_positive(denominator, "evidence")


@clause("PPSF-D-031", "c5bbad4a")
def ceiling(d: Number) -> Number:
    """The estimate, at most so large that products with it are finite."""
    return numbers.minimum(d, LARGEST + 0 * d)


class Share(NamedTuple):
    """What the parameters of one process say of the estimate: their sums of items and of norms."""

    item: Number
    norm: Number


@clause("PPSF-D-032", "bd6d816a")
def over_processes(own: Share, elsewhere: Sequence[Share]) -> Share:
    """The sums over this process and the others."""
    items, norms = zip(own, *elsewhere, strict=True)
    return Share(*(numbers.add_up(parts, 0 * parts[0]) for parts in (items, norms)))


@clause("PPSF-D-033", "c03a2330")
def are_numbers(numerator: Number, denominator: Number) -> bool:
    """Whether a pool may adapt by these statistics."""
    return all(numbers.is_finite(statistic, "statistics_finite") for statistic in (numerator, denominator))
