"""Area M: SPEED, an estimate made of signs, or of displacements, that grows by a capped rate."""

from __future__ import annotations

from typing import NamedTuple

from ppsf_ref import numbers
from ppsf_ref.clauses.distance import LARGEST_STEP, Estimate
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number
from ppsf_ref.options import Revision

#: The power of d up to which one step may raise it.
GROWTH = 0.975
#: Displacements count as at least this.
LEAST_DISPLACEMENT = 1e-8


@clause("PPSF-M-010", "aede28e9")
def weight(statistic_weight: Number, d0: Number) -> Number:
    """Weight of this step in the statistics."""
    return statistic_weight * d0


@clause("PPSF-M-011", "33557d3f")
def signed(x: Number) -> Number:
    """What counts of a gradient, or of a parameter's item."""
    return numbers.sign(x)


@clause("PPSF-M-012", "a96de1b9")
def next_estimate(d: Number, d_hat: Number) -> Estimate:
    """d rises by a capped rate, and never falls."""
    return Estimate(d=numbers.maximum(d, numbers.minimum(d_hat, numbers.power(d, GROWTH))), d_prev=d)


@clause("PPSF-M-013", "f9aa6e97")
def bound(revision: Revision) -> float:
    """Bound of the update, the same in every step."""
    return revision.bound_later


class Course(NamedTuple):
    """A parameter's way from its initial weights: averaged inner product, largest displacement in two norms."""

    pull: Number
    l1: Number
    l2: Number


@clause("PPSF-M-040", "55e6ec90")
def course(before: Course | None, inner: Number, displacement: Number, k: Number) -> Course:
    """The course after a step; before the first there is none."""
    l1, l2 = numbers.total(abs(displacement)), numbers.sqrt(numbers.total(displacement * displacement))
    floor = LEAST_DISPLACEMENT + 0 * l1
    l1, l2 = numbers.maximum(l1, floor), numbers.maximum(l2, floor)
    if before is None:
        return Course(inner, l1, l2)
    gain = 1 / numbers.power(k, 0.75)
    pull = (1 - gain) * before.pull + gain * inner
    return Course(pull, numbers.maximum(l1, before.l1), numbers.maximum(l2, before.l2))


@clause("PPSF-M-041", "6fabbcc0")
def course_item(way: Course, weight: Number) -> Number:
    """One parameter's share of the numerator: its pull by displacement, less the further it has gone."""
    far = 1 + way.l2
    return weight / (far * far) * (way.pull / way.l1)


@clause("PPSF-M-042", "fa0ea389")
def growing_estimate(d: Number, numerator: Number, before: Number, largest: Number, d_coef: Number) -> Number:
    """d grows with the root of the numerator while that is at its largest."""
    at_peak = numbers.is_positive(numerator - largest, "numerator_at_peak", or_zero=True)
    if not (at_peak and numbers.is_positive(numerator, "numerator_positive") and numbers.value_of(before) > 0):
        return d
    ratio = numbers.minimum(numbers.sqrt(numerator / before), LARGEST_STEP + 0 * d)
    return numbers.maximum(d, d * ratio * numbers.power(d_coef, 0.125))
