"""Area M: modifiers of what a step takes from a weight."""

from __future__ import annotations

import numpy as np

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number

#: Least share of elements that counts as kept.
LEAST_KEPT = 1e-3


@clause("PPSF-M-001", "6e7a0094")
def cautious(decrease: Number, u: Number) -> Number:
    """What is taken from a weight, where it has the sign of the update, scaled up by the share that is kept."""
    if np.size(u) == 0:
        return decrease
    kept = numbers.indicator(decrease * u)
    return decrease * (kept / numbers.maximum(numbers.mean(kept), LEAST_KEPT))


@clause("PPSF-M-002", "28535345")
def grams(decrease: Number, u: Number) -> Number:
    """The magnitude of what is taken, in the direction of the update."""
    return abs(decrease) * numbers.sign(u)
