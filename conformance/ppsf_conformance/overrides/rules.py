"""What overrides are made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ppsf_conformance.adapter import Gradients
from ppsf_ref import BFLOAT16, FLOAT32, Bounded, Config, Numbers, State
from ppsf_ref.formats import nearest
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number

#: From the rule in force so far to the release's.
Override = Callable[[Rule], Rule]
#: The overrides of one subject: by name, for clauses and for places in the step.
Table = Mapping[str, Mapping[str, Override]]

#: What the place ``step`` holds.
Step = Callable[[Config, State, Gradients, Numbers], State]


def instead(rule: Rule) -> Override:
    """A rule in the place of whatever was in force."""
    return lambda _: rule


def as_it_is(base: Rule) -> Rule:
    """For a clause that an erratum is about, where what the release does instead has another place."""
    return base


def half(x: Number) -> Number:
    """``x`` rounded to bfloat16, and held in float32 again; other number types leave it as it is.

    Rounding is monotone: the edges of what is rounded, rounded, are the edges of what comes out. Where both become the
    same number that number is known exactly, and the error of bfloat16 is followed instead of bounded.
    """
    if not isinstance(x, Bounded):
        return x
    low, high = nearest(x.low, BFLOAT16), nearest(x.high, BFLOAT16)
    known = np.isfinite(low) & np.isfinite(high)
    low, high = (np.where(known, edge, x.value) for edge in (low, high))
    return Bounded((low + high) / 2, np.where(known, (high - low) / 2, np.inf), FLOAT32, x.is_array, x.arithmetic)
