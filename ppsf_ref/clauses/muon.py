"""Area M: Muon, matrices stepped by their orthogonalised gradient."""

from __future__ import annotations

import math
from typing import NamedTuple

from ppsf_ref import numbers
from ppsf_ref.clauses.orthograd import length
from ppsf_ref.law import clause
from ppsf_ref.newton_schulz import Polynomial, Turned
from ppsf_ref.numbers import Number

#: What a step applies to the singular values, and how many steps there are.
POLYNOMIAL = Polynomial(linear=3.4445, cubic=-4.7750, quintic=2.0315)
STEPS = 6
#: Added to the norm that the gradient is divided by, and to the divisor; the smallest size that is remembered.
LEAST_NORM, LEAST_DIVISOR, LEAST_SIZE = 1e-7, 1e-8, 1e-8


class Direction(NamedTuple):
    """What moves a parameter but for its scale, and its 2-norm."""

    o: Number
    length: Number


@clause("PPSF-M-014", "96a94186")
def moves(shape: tuple[int, ...], applies: bool) -> bool:
    """Whether a parameter of this shape is moved by Muon, in a group that it applies to."""
    return applies and len(shape) > 1


@clause("PPSF-M-015", "da86f5d2")
def orthogonalized(
    g: Number, polynomial: Polynomial = POLYNOMIAL, steps: int = STEPS, least: float = LEAST_NORM
) -> Turned:
    """The gradient as a matrix with singular values near 1; the matrix has the shape of ``g``."""
    shape = g.shape
    flat = g.reshape(shape[0], math.prod(shape[1:]))
    turned = numbers.turned(flat, numbers.over_scale(flat, length(flat) + least), polynomial, steps)
    return turned._replace(matrix=turned.matrix.reshape(*shape))


@clause("PPSF-M-016", "5b5a5f71")
def shortened(turned: Turned) -> Direction:
    """The matrix, shorter where the gradient is small."""
    share = numbers.minimum(turned.along, 1 + 0 * turned.along)
    return Direction(share * turned.matrix, share * turned.length)


@clause("PPSF-M-017", "51003edd")
def size_memory(rms_sq: Number, o: Direction, beta2: Number, d: Number, d_prev: Number) -> Number:
    """Moving average of the mean square of what moves the parameter."""
    count = max(math.prod(o.o.shape), 1)
    rms = numbers.maximum(o.length / math.sqrt(count), LEAST_SIZE + 0 * o.length)
    return beta2 * (d_prev / d) * (d_prev / d) * rms_sq + (1 - beta2) * (rms * rms)


@clause("PPSF-M-018", "5e9f3f6c")
def direction(o: Number, rms_sq: Number) -> Number:
    """The update, before it is clipped."""
    return numbers.over_scale(o, numbers.sqrt(rms_sq) + LEAST_DIVISOR)
