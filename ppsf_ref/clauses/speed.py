"""Area M: SPEED, an estimate made of signs that grows by a capped rate."""

from __future__ import annotations

from ppsf_ref import numbers
from ppsf_ref.clauses.distance import Estimate
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number
from ppsf_ref.options import Revision

#: The power of d up to which one step may raise it.
GROWTH = 0.975


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
