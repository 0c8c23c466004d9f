"""Area M: FOCUS, signs of the gradient and of the way to an average of the weights."""

from __future__ import annotations

from typing import NamedTuple

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number

#: Share of the attraction in the direction.
ATTRACTION = 0.1


class Average(NamedTuple):
    """The average that the direction compares the weights with, and the one that is kept."""

    compared: Number
    kept: Number


@clause("PPSF-M-008", "39d9b37b")
def average(v: Number, y: Number, beta2: Number, growth: Number) -> Average:
    """Moving average of the weights; the same for every ``growth`` = d_prev / d."""
    return Average(compared=v, kept=numbers.lerp(v, y, 1 - beta2))


@clause("PPSF-M-009", "49b96f47")
def direction(g: Number, v: Number, y: Number) -> Number:
    """The sign of the gradient, pulled back towards the average."""
    return numbers.sign(g) - ATTRACTION * numbers.sign(v - y)
