"""The functions that the kernels are made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import triton
import triton.language as tl

from ppsf_fast.backends.triton import maths, rounding
from ppsf_fast.backends.triton.launch import REGISTERS, WARPS, options
from ppsf_fast.numerics import stochastic_bfloat16
from ppsf_fast.philox import philox4x32
from tests.fast.helpers import bits

N = 4096
AS_LAUNCHED = options(WARPS, REGISTERS)


@triton.jit
def _atan2(y, x, out, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)
    tl.store(out + at, maths.atan2(tl.load(y + at), tl.load(x + at)))


@triton.jit
def _words(element, out, seed, step, index, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)
    drawn = rounding.words(tl.load(element + at), tl.load(seed), tl.load(step), tl.load(index))
    tl.store(out + at, drawn.to(tl.int64))


@triton.jit
def _stochastic(value, noise, out, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * N + tl.arange(0, N)
    tl.store(out + at, rounding.stochastic(tl.load(value + at), tl.load(noise + at).to(tl.uint32)))


@triton.jit
def _nearest(value, out, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * N + tl.arange(0, N)
    tl.store(out + at, rounding.nearest(tl.load(value + at), tl.bfloat16))


def angles(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(y)
    kernel: Any = _atan2
    kernel[(1,)](y, x, out, N=N, **AS_LAUNCHED)
    return out


@pytest.mark.parametrize("spread", [0.0, 3.0, 30.0])
def test_the_angle_is_good_to_one_unit_in_the_last_place(spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(N, generator=generator) * 10 ** (spread * (torch.rand(N, generator=generator) - 0.5))
    x = torch.rand(N, generator=generator)
    exact = torch.atan2(y.double(), x.double())
    units = (angles(y, x).double() - exact).abs() / (exact.abs() * 2.0**-23)
    assert 0.3 < units.max() < 0.8


def test_the_angle_at_the_axes() -> None:
    y = torch.tensor([0.0, -0.0, 1.0, -1.0, 1e-45, -3.0, 0.0, -0.0]).repeat(N // 8)
    x = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0]).repeat(N // 8)
    exact = torch.atan2(y.double(), x.double()).float()
    assert torch.equal(angles(y, x), exact)


@pytest.mark.parametrize(("seed", "step", "index"), [(0, 1, 0), (11, 7, 3), (2**32 - 1, 2**31, 2**20)])
@pytest.mark.parametrize("first", [0, 2**32 * 4 - N // 2], ids=["start", "beyond 32 bits"])
def test_random_words_are_those_of_the_law(seed: int, step: int, index: int, first: int) -> None:
    element = torch.arange(first, first + N)
    out = torch.empty_like(element)
    kernel: Any = _words
    kernel[(1,)](element, out, *(torch.tensor(number) for number in (seed, step, index)), N=N, **AS_LAUNCHED)
    block = element[::4] >> 2
    key = (torch.tensor(seed), torch.tensor(step))
    counter = (block & 0xFFFFFFFF, block >> 32, torch.tensor(index), torch.tensor(0))
    expected = torch.stack([word.expand_as(block) for word in philox4x32(counter, key)], dim=-1).reshape(-1)
    assert torch.equal(out, expected)


VALUES = [1.001, -3.14159274, 1e-38, 1.4e-45, 3.3e38, 0.0, -0.0, float("inf"), float("-inf"), 1.0, float("nan")]


@pytest.mark.parametrize("value", VALUES)
def test_stochastic_rounding_is_that_of_torch_for_all_noise(value: float) -> None:
    """The only NaN that a GPU of NVIDIA makes has a pattern to which nothing can be added."""
    noise = torch.arange(0x10000, dtype=torch.int32)
    values = torch.full((0x10000,), value)
    if value != value and maths.ON_NVIDIA:
        values = torch.full((0x10000,), 0x7FFFFFFF, dtype=torch.int32).view(torch.float32)
    out = torch.empty(0x10000, dtype=torch.bfloat16)
    kernel: Any = _stochastic
    kernel[(0x10000 // N,)](values, noise, out, N=N, **AS_LAUNCHED)
    expected = stochastic_bfloat16(values, noise)
    if value != value:
        assert out.isnan().all()
    else:
        assert bits(out) == bits(expected)


def test_rounding_to_nearest_is_that_of_torch_for_all_upper_halves() -> None:
    """Every sign, exponent and upper mantissa, with lower halves below, at and above the middle."""
    upper = torch.arange(0x10000, dtype=torch.int32) << 16
    for lower in (0x7FFF, 0x8000, 0x8001):
        values = (upper | lower).view(torch.float32)
        out = torch.empty(0x10000, dtype=torch.bfloat16)
        kernel: Any = _nearest
        kernel[(0x10000 // N,)](values, out, N=N, **AS_LAUNCHED)
        expected = values.to(torch.bfloat16)
        assert torch.equal(out.isnan(), expected.isnan())
        kept = ~expected.isnan()
        assert bits(out[kept]) == bits(expected[kept])
