"""Arithmetic of the kernels: what Triton leaves to fast approximations is rounded correctly, or its error is known.

Interpreted kernels run as plain Python on arrays, without CUDA's library: there its functions are those of the host.
"""

from __future__ import annotations

import math
import os
from typing import Any

import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice

#: Whether kernels are interpreted; Triton itself decides so by this variable when it is asked to compile them.
INTERPRETED = os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")

_INTERPRETED = tl.constexpr(INTERPRETED)
#: Whether kernels are compiled for a GPU of NVIDIA, whose instructions may be named.
ON_NVIDIA = not INTERPRETED and torch.version.hip is None
_ON_NVIDIA = tl.constexpr(ON_NVIDIA)
#: From where on its approximate inverse is good to a unit in the last place.
LEAST_QUICK = 2.0**-100
_LEAST_QUICK = tl.constexpr(LEAST_QUICK)
#: pi / 2 in float32, and what that leaves.
_HALF_PI = tl.constexpr(13176795 * 2.0**-23)
_HALF_PI_REST = tl.constexpr(math.pi / 2 - 13176795 * 2.0**-23)
#: (atan(q) / q - 1) / q^2 as a polynomial in q^2, minimax over [0, 1]: good to 2^-28 of atan(q).
_A0, _A1, _A2, _A3, _A4, _A5, _A6, _A7, _A8 = map(
    tl.constexpr,
    (
        -0.33333298563957214, 0.19998547434806824, -0.14264239370822906, 0.10952174663543701, -0.08403417468070984,
        0.05795702710747719, -0.031177280470728874, 0.010914300568401814, -0.0017935533542186022,
    ),
)  # fmt: skip


def _on_host(function: Any, first: Any, second: Any) -> Any:
    """A torch function of two interpreted float64 numbers."""
    from triton.runtime.interpreter import TensorHandle

    values = [torch.from_numpy(number.handle.data.copy()) for number in (first, second)]
    return tl.tensor(TensorHandle(function(*values).numpy(), tl.float64), first.type)


if INTERPRETED:

    def power(base, exponent):
        """A power of float64 numbers, base >= 0."""
        return _on_host(torch.pow, base, exponent)

    def wide_atan2(y, x):
        """The angle of float64 numbers."""
        return _on_host(torch.atan2, y, x)

else:

    @triton.jit
    def power(base, exponent):
        """A power of float64 numbers, base >= 0."""
        return libdevice.pow(base, exponent)

    @triton.jit
    def wide_atan2(y, x):
        """The angle of float64 numbers."""
        return libdevice.atan2(y, x)


@triton.jit
def sign(values):
    """-1, 0 or 1 in float32."""
    return (values > 0).to(tl.float32) - (values < 0).to(tl.float32)


@triton.jit
def negated(values):
    """The same with the sign bit flipped; 0 - x would lose the sign of 0."""
    return (values.to(tl.int32, bitcast=True) ^ -0x80000000).to(tl.float32, bitcast=True)


@triton.jit
def signed_root(values):
    """sign(x) sqrt(|x|) in float32."""
    root = tl.sqrt_rn(tl.abs(values))
    return tl.where(values < 0, negated(root), root)


@triton.jit
def quotient(values, by):
    """Float32 values over one number, to half a unit in the last place and a little.

    Its reciprocal is found once; what the product with that leaves is known exactly but for what underflows.
    """
    if _INTERPRETED:  # which multiplies and adds one after the other
        return tl.div_rn(values, by)
    inverse = tl.div_rn(1.0, by)
    near = values * inverse
    return tl.fma(tl.fma(near, negated(by), values), inverse, near)


@triton.jit
def quotients(values, by, least):
    """Float32 values over others, to half a unit in the last place and a little; |values| < 2^100.

    Args:
        by: no less than `least`, and below 2^100.
        least: float64, one number for all.
    """
    if _ON_NVIDIA:
        if least >= _LEAST_QUICK:
            found = _quick(values, by)
        else:
            found = tl.div_rn(values, by)
        return found
    else:
        return tl.div_rn(values, by)


@triton.jit
def _quick(values, by):
    """The same by an approximate inverse; what the first product leaves is known exactly. It takes a third of the
    instructions of a division that has to expect everything."""
    inverse = tl.inline_asm_elementwise(
        "rcp.approx.ftz.f32 $0, $1;", "=f,f", [by], dtype=tl.float32, is_pure=True, pack=1
    )
    near = values * inverse
    return tl.fma(tl.fma(near, negated(by), values), inverse, near)


@triton.jit
def wide_product(values, by):
    """The two halves of a product of uint32 numbers, the lower one first."""
    if _ON_NVIDIA:  # in one instruction; else the compiler takes two
        return tl.inline_asm_elementwise(
            "{ .reg .u64 product; mul.wide.u32 product, $2, $3; mov.b64 {$0, $1}, product; }", "=r,=r,r,r",
            [values, by], dtype=(tl.uint32, tl.uint32), is_pure=True, pack=1,
        )  # fmt: skip
    else:
        return values * by, tl.umulhi(values, by)


@triton.jit
def atan2(y, x):
    """The angle of float32 numbers, x >= 0, to 0.8 units in the last place.

    The quotient of the smaller by the larger number is carried with its remainder, so that its rounding does not count.
    """
    magnitude = tl.abs(y)
    steep = magnitude > x
    large, small = tl.where(steep, magnitude, x), tl.where(steep, x, magnitude)
    there = large > 0
    large = tl.where(there, large, 1.0)
    q = tl.div_rn(small, large)
    rest = (small.to(tl.float64) - q.to(tl.float64) * large.to(tl.float64)).to(tl.float32)
    s = q * q
    p = s * _A8 + _A7
    p = s * (s * (s * p + _A6) + _A5) + _A4
    p = s * (s * (s * (s * p + _A3) + _A2) + _A1) + _A0
    correction = q * (s * p) + tl.div_rn(tl.div_rn(rest, large), 1.0 + s)
    high = (q - _HALF_PI) * -1.0
    low = (high - _HALF_PI) * -1.0 - q
    angle = tl.where(steep, high + ((low - correction) + _HALF_PI_REST), q + correction)
    return tl.where(y < 0, negated(angle), angle)


@triton.jit
def total(values):
    """The sum of a block of three dimensions, in float64.

    One axis after the other: Triton 3.6 sums a block that was reshaped wrongly.
    """
    return tl.sum(tl.sum(tl.sum(values.to(tl.float64), axis=2), axis=1), axis=0)
