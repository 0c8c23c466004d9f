"""Stochastic rounding judged exactly: what it makes of a number under every one of the 65,536 draws.

There is nothing statistical here. The draws are all there are, so that their mean is known, and sums are formed in
whole multiples of the smallest float32 number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from ppsf_conformance.adapter import Array
from ppsf_conformance.checks.finding import Finding

DRAWS = 2**16
EVERY_DRAW = np.arange(DRAWS, dtype=np.uint32)
#: Float32 numbers (as patterns) and draws (uint32, same shape) to bfloat16 numbers, held as float32 patterns.
Rounding = Callable[[Array, Array], Array]

SIGN, INFINITE, LARGEST_BFLOAT16 = 0x8000_0000, 0x7F80_0000, 0x7F7F_0000
#: Every kind of number: zero, subnormal, the edges of binades, ties, representable, above all bfloat16, infinite, NaN
#: (quiet and signalling, payload in the upper half, in the lower half, in both).
PATTERNS = (
    0x0000_0000, 0x0000_0001, 0x0000_FFFF, 0x0001_0000, 0x0001_8000, 0x0040_1234, 0x007F_FFFF, 0x0080_0000, 0x0080_0001,
    0x00FF_FFFF, 0x3EAA_AAAB, 0x3F7F_8000, 0x3F7F_FFFF, 0x3F80_0000, 0x3F80_0001, 0x3F80_7FFF, 0x3F80_8000, 0x3F80_8001,
    0x3F81_8000, 0x3F80_FFFF, 0x4049_0FDB, 0x5F00_4321, 0x7F7E_FFFF, 0x7F7F_0000, 0x7F7F_0001, 0x7F7F_8000, 0x7F7F_FFFF,
    0x7F80_0000, 0x7F80_0001, 0x7F80_8000, 0x7F80_FFFF, 0x7F81_0000, 0x7FC0_0000, 0x7FC0_0001, 0x7FFF_0000, 0x7FFF_FFFF,
)  # fmt: skip


def sample(count: int, seed: int) -> tuple[int, ...]:
    """The patterns above with either sign, and as many random ones again of all sizes."""
    drawn = np.random.default_rng(seed).integers(0, INFINITE, count).tolist()
    return tuple(pattern | sign for pattern in (*PATTERNS, *drawn) for sign in (0, SIGN))


def judged(rounding: Rounding, patterns: tuple[int, ...]) -> Iterator[Finding]:
    """One finding per number: its results under all draws."""
    for pattern in patterns:
        given = np.full(DRAWS, pattern, np.uint32)
        fault = fault_of(pattern, np.asarray(rounding(given, EVERY_DRAW), np.uint32))
        yield Finding(not fault, f"{pattern:#010x}: {fault}")


def fault_of(pattern: int, results: Array) -> str:
    """What is wrong with the results of one number under the draws 0, 1, ..., 65535; empty if nothing.

    Args:
        pattern: the float32 number.
        results: patterns of the bfloat16 results, as float32 patterns.
    """
    if np.any(results & 0xFFFF):
        return "a result is no bfloat16 number"
    if pattern & ~SIGN > INFINITE:
        kept = np.all((results & ~np.uint32(SIGN)) > INFINITE)
        return "" if kept else "a NaN becomes a number"
    toward = pattern & 0xFFFF_0000
    if pattern == toward:
        return "" if np.all(results == pattern) else "a number that bfloat16 holds does not stay"
    away = toward + 0x1_0000
    if not np.all((results == toward) | (results == away)):
        return "a result is none of the two neighbours"
    ups = int(np.count_nonzero(results == away))
    if pattern & ~SIGN <= LARGEST_BFLOAT16:  # beyond it one neighbour is infinite, and there is no mean
        excess = ups * _units(away) + (DRAWS - ups) * _units(toward) - DRAWS * _units(pattern)
        if excess:
            return f"the mean over all draws is off by {math.ldexp(excess, -149) / DRAWS:g}"
    right = np.array_equal(results == away, DRAWS - (pattern & 0xFFFF) <= EVERY_DRAW)
    return "" if right else "not the draws whose sum with the pattern carries go away from zero"


def _units(pattern: int) -> int:
    """A finite float32 number in multiples of the smallest one, 2**-149."""
    exponent, mantissa = pattern >> 23 & 0xFF, pattern & 0x7F_FFFF
    size = mantissa if exponent == 0 else (mantissa | 0x80_0000) << (exponent - 1)
    return -size if pattern & SIGN else size
