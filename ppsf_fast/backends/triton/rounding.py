"""Random bits and rounding of the kernels: bit for bit those of `ppsf_fast.philox` and `ppsf_fast.numerics`."""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton.maths import INTERPRETED, ON_NVIDIA, wide_product
from ppsf_fast.philox import MULTIPLIERS, ROUNDS, WEYL

_INTERPRETED, _ON_NVIDIA = tl.constexpr(INTERPRETED), tl.constexpr(ON_NVIDIA)
_ROUNDS = tl.constexpr(ROUNDS)
_MULTIPLIER_0, _MULTIPLIER_2, _WEYL_0, _WEYL_1 = map(tl.constexpr, (*MULTIPLIERS, *WEYL))


@triton.jit
def upper(bits):
    """Bfloat16 values from the upper halves of the patterns of float32 values."""
    return (bits >> 16).to(tl.uint16).to(tl.bfloat16, bitcast=True)


@triton.jit
def widened(values):
    """Values of any dtype in float32."""
    if _INTERPRETED and values.dtype == tl.bfloat16:  # the interpreter gets subnormal numbers wrong
        return (values.to(tl.uint16, bitcast=True).to(tl.uint32) << 16).to(tl.float32, bitcast=True)
    return values.to(tl.float32)


@triton.jit
def unpacked(words, BP: tl.constexpr, BQ: tl.constexpr):
    """The float32 values of a block of BP times BQ bfloat16 elements from words of two neighbours each.

    One instruction takes each of them; out of a vector of such elements it would take a compiler more.
    """
    first, second = (words << 16).to(tl.float32, bitcast=True), (words & 0xFFFF0000).to(tl.float32, bitcast=True)
    return tl.reshape(tl.join(first, second), (BP, BQ, 1))


@triton.jit
def nearest(values, dtype: tl.constexpr):
    """Float32 values in another dtype, rounded to nearest, ties to even."""
    # clause: PPSF-R-002 2d69bc8e
    if _INTERPRETED and dtype == tl.bfloat16:  # the interpreter only cuts
        bits = values.to(tl.uint32, bitcast=True)
        rounded = bits + 0x7FFF + ((bits >> 16) & 1)
        return upper(tl.where(values == values, rounded, 0x7FC00000))
    return values.to(dtype)


@triton.jit
def _drawn(block, seed, step, index):
    """The four random words of each block of four elements; `block` is its number, int64."""
    # clause: PPSF-R-004 0cde3f96
    w0, w1, w3 = block.to(tl.uint32), (block >> 32).to(tl.uint32), (block & 0).to(tl.uint32)
    w2, k0, k1 = w3 + index.to(tl.uint32), seed.to(tl.uint32), step.to(tl.uint32)
    for _ in tl.static_range(_ROUNDS):
        low, high = wide_product(w0, _MULTIPLIER_0)
        lower, higher = wide_product(w2, _MULTIPLIER_2)
        w0, w1, w2, w3 = higher ^ w1 ^ k0, lower, high ^ w3 ^ k1, low
        k0, k1 = k0 + _WEYL_0, k1 + _WEYL_1
    return w0, w1, w2, w3


@triton.jit
def words(element, seed, step, index):
    """One random word for each element of a parameter.

    Args:
        element: its position in row-major logical order.
        seed, step, index: int64 numbers; the first two enter with their low 32 bits.
    """
    w0, w1, w2, w3 = _drawn(element.to(tl.int64) >> 2, seed, step, index)
    lane = (element & 3).to(tl.int32)
    return tl.where(lane < 2, tl.where(lane == 0, w0, w1), tl.where(lane == 2, w2, w3))


@triton.jit
def words_in_fours(first, seed, step, index, BP: tl.constexpr, BQ: tl.constexpr):
    """The same for a block of BP times BQ elements, every four of which follow each other.

    Args:
        first: the position of the first element of each four, of shape [BP, BQ // 4, 1].
    """
    w0, w1, w2, w3 = _drawn(first.to(tl.int64) >> 2, seed, step, index)
    return tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), (BP, BQ, 1))


@triton.jit
def stochastic(values, noise):
    """Round float32 to bfloat16 by random bits: noise is uint32 in [0, 2^16)."""
    # clause: PPSF-R-003 86e7aa41
    # clause: PPSF-R-005 77c6d298
    if _ON_NVIDIA:
        # No number is greater, and what its arithmetic gives for none is 0x7FFFFFFF, to which nothing could be added.
        bits = tl.minimum(values.to(tl.int32, bitcast=True), 0x7FFF0000).to(tl.uint32, bitcast=True)
    else:
        bits, noise = values.to(tl.uint32, bitcast=True), tl.where(values == values, noise, 0)
    return upper(bits + noise)
