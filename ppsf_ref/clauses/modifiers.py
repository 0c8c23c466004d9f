"""Area M: modifiers of the step size, of the second moment, and of what a step takes from a weight."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number

#: Least share of elements that counts as kept.
LEAST_KEPT = 1e-3
#: Length of the built-in decay where the length of training is not given.
DECAY_LENGTH = 1000


@clause("PPSF-M-001", "9062a592")
def cautious(decrease: Number, u: Number) -> Number:
    """What is taken from a weight, where it has the sign of the update, scaled up by the share that is kept."""
    if np.size(u) == 0:
        return decrease
    kept = numbers.indicator(decrease * u)
    return decrease * numbers.share(kept, numbers.maximum(numbers.mean(kept), LEAST_KEPT), most=2 / LEAST_KEPT)


@clause("PPSF-M-002", "dd8e6b2b")
def grams(decrease: Number, u: Number) -> Number:
    """The magnitude of what is taken, in the direction of the update."""
    return abs(decrease) * numbers.sign(u)


@clause("PPSF-M-030", "da5d4c9e")
def cautious_momentum(m: Number, g: Number) -> Number:
    """The first moment where it has the sign of the gradient, scaled up by the share that is kept."""
    if np.size(g) == 0:
        return m
    kept = numbers.indicator(m * g)
    return m * (kept / numbers.maximum(numbers.mean(kept), LEAST_KEPT))


@clause("PPSF-M-031", "6a3b5d0e")
def grams_momentum(m: Number, g: Number) -> Number:
    """The magnitude of the first moment, in the direction of the gradient."""
    return abs(m) * numbers.sign(g)


@clause("PPSF-M-003", "e9b4ab5a")
def rectified(dlr: Number, beta2: Number, k: int) -> Number:
    """The step size times RAdam's rectification."""
    power = numbers.power(beta2, k)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * k * power / (1 - power)
    if not numbers.is_positive(length - 4, "rectified"):
        return 0 * dlr
    return dlr * numbers.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


@clause("PPSF-M-004", "f1c65d5a")
def corrected_beta2(beta2: Number, k: int) -> Number:
    """The coefficient whose moving average is the bias-corrected one."""
    return 1 - (1 - beta2) / (1 - numbers.power(beta2, k))


@clause("PPSF-M-020", "d4ecea4e")
def adam_corrected(dlr: Number, beta1: Number, beta2: Number, k: int) -> Number:
    """The step size times Adam's two bias corrections."""
    return dlr * (numbers.sqrt(1 - numbers.power(beta2, k)) / (1 - numbers.power(beta1, k)))


@clause("PPSF-M-021", "3ca3ff7d")
def warmed_up(dlr: Number, k: int, warmup_steps: int) -> Number:
    """The step size while it grows linearly to its full value in step ``warmup_steps``."""
    return dlr * (k / warmup_steps) if k < warmup_steps else dlr


class Peak(NamedTuple):
    """Steps since d last grew, and the step after which the decay began (None: not yet)."""

    stalled: int
    peak: int | None


@clause("PPSF-M-022", "ac5f6892")
def peak_after(before: Peak, grew: bool, k: int, patience: int) -> Peak:
    """Where the built-in decay begins: after ``patience`` steps in a row without growth of d."""
    stalled = 0 if grew else before.stalled + 1
    found = before.peak is None and stalled >= patience
    return Peak(stalled, k if found else before.peak)


@clause("PPSF-M-023", "db30bb73")
def cosine_factor(peak: int | None, k: int, total_training_steps: int | None) -> float:
    """What multiplies the step size of step ``k``: half a cosine from the peak to the end of training."""
    if peak is None:
        return 1.0
    length = DECAY_LENGTH if total_training_steps is None else total_training_steps - peak
    done = k - 1 - peak
    return 0.5 * (1 + math.cos(math.pi * done / length)) if done < length else 0.0
