"""Area M: modifiers of the step size, of the second moment, and of what a step takes from a weight."""

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
    return decrease * numbers.share(kept, numbers.maximum(numbers.mean(kept), LEAST_KEPT), most=2 / LEAST_KEPT)


@clause("PPSF-M-002", "28535345")
def grams(decrease: Number, u: Number) -> Number:
    """The magnitude of what is taken, in the direction of the update."""
    return abs(decrease) * numbers.sign(u)


@clause("PPSF-M-003", "2a737d5c")
def rectified(dlr: Number, beta2: Number, k: int) -> Number:
    """The step size times RAdam's rectification."""
    power = numbers.power(beta2, k)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * k * power / (1 - power)
    if not numbers.is_positive(length - 4, "rectified"):
        return 0 * dlr
    return dlr * numbers.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


@clause("PPSF-M-004", "cdc65ab6")
def corrected_beta2(beta2: Number, k: int) -> Number:
    """The coefficient whose moving average is the bias-corrected one."""
    return 1 - (1 - beta2) / (1 - numbers.power(beta2, k))
