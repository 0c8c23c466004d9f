"""Area M: OrthoGrad, the gradient without its part along the weights."""

from __future__ import annotations

import numpy as np

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number
from ppsf_ref.state import ParamState

#: A component shorter than this share of the gradient counts as rounding: the unit roundoff of bfloat16.
LEAST_SHARE = 2.0**-8


@clause("PPSF-M-007", "054cbda2")
def orthogonal(g: Number, p: ParamState) -> Number:
    """The part of ``g`` orthogonal to the weights of ``p``, as long as ``g`` where it is more than rounding."""
    part = component(g, p.y)
    share = numbers.share(length(part), length(g), most=2)
    ramp = numbers.minimum(numbers.maximum(share / LEAST_SHARE - 1, 0 * share), 1 + 0 * share)
    return part * numbers.share(ramp, numbers.maximum(share, LEAST_SHARE + 0 * share), most=2 / LEAST_SHARE)


def component(g: Number, weights: Number) -> Number:
    """The component of ``g`` orthogonal to ``weights``; ``g`` itself if they are all 0."""
    along = numbers.share(numbers.total(weights * g), numbers.total(weights * weights), most=np.inf)
    return g - along * weights


def length(x: Number) -> Number:
    """The 2-norm."""
    return numbers.sqrt(numbers.total(x * x))
