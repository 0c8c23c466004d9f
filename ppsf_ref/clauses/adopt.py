"""Area M: ADOPT, whose divisor does not hold the present gradient."""

from __future__ import annotations

from typing import TypeVar

from ppsf_ref.law import clause

T = TypeVar("T")


@clause("PPSF-M-005", "23b4b81e")
def only_fills(is_new: bool, k: int) -> bool:
    """Whether a parameter makes its second moment and does not move; the same for every step ``k`` of its pool."""
    return is_new


@clause("PPSF-M-006", "270d5445")
def divides(before: T, after: T) -> T:
    """The second moment that the divisor is formed from."""
    return before
