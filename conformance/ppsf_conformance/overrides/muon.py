"""What releases make of Muon: in bfloat16, of a gradient that OrthoGrad has been at, and under SPEED by one scale.

A bound for the error of bfloat16 would allow anything: six Newton-Schulz steps multiply it to more than the result. So
the error is followed (:func:`ppsf_conformance.overrides.rules.half`): each operation runs in float32, its sums in any
order, and its result is rounded to bfloat16. Where float32 leaves open which of two numbers comes out, as it does for
few elements of small matrices and for more of large ones, both stay possible; once such doubt has grown to the size of
the result nothing is said of the matrix, and what does not depend on it is judged alone.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ppsf_conformance.overrides.rules import Table, as_it_is, half, instead
from ppsf_ref import BFLOAT16, FLOAT32, Bounded, Format, GroupState, Options, ParamState, variants
from ppsf_ref import numbers as num
from ppsf_ref.clauses import muon
from ppsf_ref.clauses.muon import LEAST_DIVISOR, LEAST_NORM, LEAST_SIZE, POLYNOMIAL, STEPS, Direction
from ppsf_ref.clauses.orthograd import length
from ppsf_ref.formats import Array, nearest
from ppsf_ref.frame import Frame
from ppsf_ref.law import Rule
from ppsf_ref.newton_schulz import Turned
from ppsf_ref.numbers import Number
from ppsf_ref.state import Measured
from ppsf_ref.variants import Moved

#: Instructions for bfloat16 take numbers below the least normal one for 0.
LEAST_NORMAL = 2.0**FLOAT32.emin
#: What is added to a bfloat16 tensor is rounded to bfloat16 first.
ADDED_NORM, ADDED_DIVISOR = (float(nearest(np.asarray(x), BFLOAT16)) for x in (LEAST_NORM, LEAST_DIVISOR))
#: A doubt as large as the elements themselves.
WHOLE = 0.5


def _once(result: Number, *operands: Number) -> Number:
    """The result of one operation in float32, rounded to bfloat16; of known operands the operation gives one number."""
    if not isinstance(result, Bounded):
        return result
    exact = np.logical_and.reduce(np.broadcast_arrays(*(operand.bound == 0 for operand in operands)))
    value = np.where(exact, nearest(result.value, FLOAT32), result.value)
    return half(Bounded(value, np.where(exact, 0, result.bound), FLOAT32, True, result.arithmetic))


def _scaled(number: float, x: Number) -> Number:
    """A Python number, which becomes a float32 one, times a tensor."""
    return _once(float(np.float32(number)) * x, x)


def _sum(x: Number, y: Number) -> Number:
    return _once(x + y, x, y)


def product(x: Number, y: Number) -> Number:
    """The product of two matrices of bfloat16 numbers, accumulated in float32 in any order, rounded to bfloat16.

    The products of elements have 16 bits and are exact in float32. So are their sums, partial ones too, where all are
    multiples of one power of two and their magnitudes add up to no more than 2**24 times it.
    """
    if not isinstance(x, Bounded):
        return x @ y
    (a, r), (b, s) = ((np.asarray(m.value, np.float64), np.asarray(m.bound, np.float64)) for m in (x, y))
    terms, magnitude = a.shape[1], abs(a) @ abs(b)
    with np.errstate(invalid="ignore"):
        doubt = np.nan_to_num(abs(a) @ s + r @ (abs(b) + s), nan=np.inf, posinf=np.inf)
    unit = float(x.arithmetic.gamma(terms + 1, FLOAT32))
    lost = np.where(magnitude + doubt > 0, 3 * terms * LEAST_NORMAL, 0)
    least = np.min(_quanta(a)[:, :, None] * _quanta(b)[None], axis=1, initial=np.inf)
    exact = (doubt == 0) & (magnitude <= 2.0**FLOAT32.precision * least) & (least >= LEAST_NORMAL)
    error = np.where(exact, 0, doubt + unit * (magnitude + doubt) + lost)
    return half(Bounded(a @ b, error, FLOAT32, True, x.arithmetic))


def _quanta(x: Array) -> Array:
    """The power of two that a bfloat16 number of this size is a multiple of; 0 is one of any."""
    return np.where(x == 0, np.inf, np.ldexp(1.0, np.frexp(x)[1] - BFLOAT16.precision))


def _turned_in_halves(g: Number) -> Turned:
    """Six steps in bfloat16; the matrix comes shortened already."""
    flat = half(g.reshape(g.shape[0], math.prod(g.shape[1:])))
    tall = g.shape[0] > flat.shape[1]
    x = _stepped(turned(flat) if tall else flat)
    x = turned(x) if tall else x
    along = product(flat.reshape(1, -1), x.reshape(-1, 1))
    along = num.maximum(num.minimum(along, 1 + 0 * along), -1 + 0 * along)
    matrix = _once(along * x, along, x).reshape(*g.shape)
    return Turned(matrix, length(matrix), along[0, 0])


def _stepped(flat: Number) -> Number:
    size = half(half(length(flat)) + ADDED_NORM)
    x = _once(flat / size, flat, size)
    for _ in range(STEPS):
        square = product(x, turned(x))
        factor = _sum(_scaled(POLYNOMIAL.cubic, square), product(_scaled(POLYNOMIAL.quintic, square), square))
        x = _sum(_scaled(POLYNOMIAL.linear, x), product(factor, x))
        if isinstance(x, Bounded) and not (x.bound < WHOLE).all():
            return Bounded(x.value, np.inf, FLOAT32, True, x.arithmetic)
    return x


def turned(x: Number) -> Number:
    """The transpose."""
    return Bounded(x.value.T, x.bound.T, x.form, x.is_array, x.arithmetic) if isinstance(x, Bounded) else x.T


def _rms(o: Direction) -> Number:
    return num.maximum(o.length / math.sqrt(math.prod(o.o.shape)), LEAST_SIZE + 0 * o.length)


def _memory_in_halves(rms_sq: Number, o: Direction, beta2: Number, d: Number, d_prev: Number) -> Number:
    rms = _rms(o)
    return half(half(beta2 * (d_prev / d) * (d_prev / d) * rms_sq) + (1 - beta2) * (rms * rms))


def _scaled_in_halves(o: Number, rms_sq: Number) -> Number:
    return o * half(1 / half(half(num.sqrt(rms_sq)) + ADDED_DIVISOR))


def _memory_format(base: Rule) -> Rule:
    def rule(options: Options, dtype: str) -> dict[str, Format]:
        return {**base(options, dtype), "rms_sq": FLOAT32 if options.use_speed else BFLOAT16}

    return rule


def _by_first_size(base: Rule) -> Rule:
    """Under SPEED the memory is what the first update of the parameter was multiplied by, and all later ones are."""

    def rule(f: Frame, p: ParamState, g: Number, group: GroupState) -> Moved:
        if not f.options.use_speed:
            law: Moved = base(f, p, g, group)
            return law
        o = muon.shortened(muon.orthogonalized(g))
        scale = p.rms_sq if num.value_of(p.rms_sq) else 1 / _rms(o)
        return Moved(replace(p, rms_sq=scale), o.o, scale)

    return rule


def _multiplied(base: Rule) -> Rule:
    def rule(f: Frame, measured: Measured, d: Number, new_d: Number, dlr: Number) -> Number:
        n, by = measured.n, measured.divisor
        if n is not None and f.options.use_speed and variants.uses_muon(f, measured.param.y.shape):
            return n * by
        return base(f, measured, d, new_d, dlr)

    return rule


def _projected(base: Rule) -> Rule:
    def rule(f: Frame, p: ParamState, g: Number, group: GroupState) -> Moved:
        moved: Moved = base(f, p, variants.seen(f, p, g), group)
        return moved

    return rule


#: Innermost first.
TABLE: Table = {
    "muon_in_bfloat16": {
        "PPSF-M-015": instead(_turned_in_halves),
        "PPSF-M-016": instead(lambda turned: Direction(turned.matrix, turned.length)),
    },
    "muon_memory_in_bfloat16": {
        "PPSF-M-017": instead(_memory_in_halves),
        "PPSF-M-018": instead(_scaled_in_halves),
        "formats": _memory_format,
    },
    "muon_scaled_by_first_update": {"PPSF-M-017": as_it_is, "by_muon": _by_first_size, "direction": _multiplied},
    "muon_of_projected_gradient": {"PPSF-M-014": as_it_is, "by_muon": _projected},
}
