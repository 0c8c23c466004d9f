"""Domains: a check takes name and value of an option, and returns the value as it is kept, or raises."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

Check = Callable[[str, Any], Any]


def refusal(name: str, value: object, allowed: str) -> str:
    """The message for a value that is not allowed."""
    return f"{name}={value!r} is not allowed: {name} must be {allowed}. Pass such a value or leave {name} out."


# clause: PPSF-X-002 a7edfc78
def number(allowed: str, inside: Callable[[float], bool], none: bool = False, finite: bool = True) -> Check:
    """A check for numbers, which are kept as floats.

    Args:
        allowed: the domain in words.
        inside: the domain.
        none: whether None is in it.
        finite: whether infinity is not.
    """

    def check(name: str, value: Any) -> float | None:
        if none and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(refusal(name, value, allowed))
        given = _as_float(value)
        if math.isnan(given) or (finite and math.isinf(given)) or not inside(given):
            raise ValueError(refusal(name, value, allowed))
        return given

    return check


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond the largest float
        return math.inf


def count(least: int = 0, none: bool = False) -> Check:
    """A check for ints from `least` on, or None if `none`."""
    allowed = f"{'None or ' if none else ''}an int >= {least}"

    def check(name: str, value: Any) -> int | None:
        if none and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(refusal(name, value, allowed))
        if value < least:
            raise ValueError(refusal(name, value, allowed))
        return value

    return check


def flag(name: str, value: Any) -> bool:
    """A switch."""
    if not isinstance(value, bool):
        raise TypeError(refusal(name, value, "True or False"))
    return value


_beta1 = number("a number with 0 <= betas[0] < 1", lambda value: 0 <= value < 1)
_beta2 = number("a number with 0 <= betas[1] < 1", lambda value: 0 <= value < 1)


def pair_of_betas(name: str, value: Any) -> tuple[float, float]:
    """`betas`; whether the first may be 0 depends on the averaging."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(refusal(name, value, "a pair of numbers"))
    if len(value) != 2:
        raise ValueError(refusal(name, value, "a pair of numbers"))
    return _beta1(f"{name}[0]", value[0]), _beta2(f"{name}[1]", value[1])


positive = number("a finite number > 0", lambda value: value > 0)
not_negative = number("a finite number >= 0", lambda value: value >= 0)
