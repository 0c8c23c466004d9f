"""Areas U and C: the update and its clipping."""

from __future__ import annotations

import numpy as np

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number
from ppsf_ref.options import Revision


@clause("PPSF-U-001", "9d1739ee")
def bound(d: Number, d0: Number, revision: Revision) -> float:
    """Bound of the update, wide until d has grown."""
    grown = numbers.value_of(d) > numbers.value_of(d0)
    return revision.bound_later if grown else revision.bound_at_start


@clause("PPSF-U-002", "9f1c013e")
def quotient(g: Number, denominator: Number, eps: Number) -> Number:
    """Adam's update."""
    return g / (denominator + eps)


@clause("PPSF-U-003", "fd609a87")
def angle(g: Number, denominator: Number, bound: float) -> Number:
    """Adam-atan2's update, within bound * pi / 2."""
    return bound * numbers.atan2(g, bound * denominator)


@clause("PPSF-C-001", "2d530c9c")
def clipped(u: Number, bound: float) -> Number:
    """Scale an update whose root mean square exceeds ``bound`` down to it."""
    if np.size(u) == 0:
        return u
    rms = numbers.sqrt(numbers.mean_square(u))
    return numbers.over_scale(u, numbers.maximum(rms / bound, 1 + 0 * rms))


@clause("PPSF-U-010", "3667548e")
def momentum(m: Number | None, g: Number, beta1: Number, d: Number) -> Number:
    """Moving average of d g; the product itself where no average is kept."""
    return d * g if m is None else beta1 * m + (d * (1 - beta1)) * g


@clause("PPSF-U-011", "46ab4792")
def weighted_gradient(g: Number, d: Number) -> Number:
    """The gradient in the units of the divisor."""
    return d * g


@clause("PPSF-U-012", "a1c3be3d")
def weighted_quotient(n: Number, denominator: Number, eps: Number, d: Number, dlr: Number) -> Number:
    """Adam's update where numerator and denominator carry the factor d; dlr may be multiplied in before dividing."""
    return numbers.quotient(n, denominator + d * eps, dlr)


@clause("PPSF-U-013", "abd36150")
def scaled_angle(n: Number, denominator: Number, scale: float) -> Number:
    """Adam-atan2's update, within scale * pi / 2."""
    return scale * numbers.atan2(n, denominator)


@clause("PPSF-C-010", "1213a55d")
def softly_clipped(u: Number) -> Number:
    """Scale an update whose root mean square exceeds 1 to the root of it."""
    if np.size(u) == 0:
        return u
    rms = numbers.sqrt(numbers.mean_square(u))
    return numbers.over_scale(u, numbers.sqrt(numbers.maximum(rms, 1 + 0 * rms)))
