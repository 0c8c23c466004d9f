"""Area M: ADOPT, whose divisor does not hold the present gradient."""

from __future__ import annotations

from typing import TypeVar

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number

T = TypeVar("T")


@clause("PPSF-M-005", "dfcd9473")
def only_fills(is_new: bool, k: int) -> bool:
    """Whether a parameter makes its second moment and does not move; the same for every step ``k`` of its pool."""
    return is_new


@clause("PPSF-M-006", "bc3f0bb3")
def divides(before: T, after: T) -> T:
    """The second moment that the divisor is formed from."""
    return before


@clause("PPSF-M-032", "4f307814")
def normalized_moment(m: Number | None, u: Number, beta1: Number, k: Number) -> Number:
    """Moving average of normalized gradients, each cut at the fourth root of the number of the step."""
    limit = numbers.power(k, 0.25) + 0 * u
    cut = numbers.maximum(numbers.minimum(u, limit), -limit)
    return cut if m is None else beta1 * m + (1 - beta1) * cut
