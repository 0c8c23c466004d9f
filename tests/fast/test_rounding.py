"""Stochastic rounding is exactly unbiased, keeps special values, and depends on nothing global."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.numerics import sample, stochastic_bfloat16, store
from ppsf_fast.philox import rounding_words
from tests.fast.helpers import bits, parameters, snapshot, train

ALL_NOISE = torch.arange(0x10000, dtype=torch.int32)
VALUES = [1.001, -1.001, 3.14159274, 1e-38, -2.5e-40, 1.4e-45, 65504.3, 3.3e38, 0.1, -1e-20]
SPECIALS = [0.0, -0.0, math.inf, -math.inf, 1.0, -0.5, 2.0**-133, 3.3895313892515355e38]


@pytest.mark.parametrize("value", VALUES)
def test_the_mean_over_all_noise_is_the_value_exactly(value: float) -> None:
    exact = torch.tensor(value)
    rounded = stochastic_bfloat16(exact.expand(0x10000).contiguous(), ALL_NOISE)
    found, counts = torch.unique(rounded.double(), return_counts=True)
    mean = sum(Fraction(f) * c for f, c in zip(found.tolist(), counts.tolist(), strict=True)) / 0x10000
    assert mean == Fraction(exact.item())
    assert len(found) == 2


@pytest.mark.parametrize("value", SPECIALS)
def test_values_that_bfloat16_holds_stay(value: float) -> None:
    exact = torch.tensor(value)
    rounded = stochastic_bfloat16(exact.expand(0x10000).contiguous(), ALL_NOISE)
    assert bits(rounded) == bits(exact.to(torch.bfloat16).expand(0x10000))


@pytest.mark.parametrize("pattern", [0x7FC00000, 0x7FFFFFFF, 0x7F800001, -1, -0x400000, -0x7FFFFF])
def test_nan_stays_nan_under_any_noise(pattern: int) -> None:
    nan = torch.tensor(pattern, dtype=torch.int32).view(torch.float32)
    assert torch.isnan(stochastic_bfloat16(nan.expand(0x10000).contiguous(), ALL_NOISE)).all()


def test_without_noise_rounding_is_to_nearest_even() -> None:
    halfway = torch.tensor([1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-20])
    target = torch.empty(3, dtype=torch.bfloat16)
    store(target, halfway)
    assert target.tolist() == [1.0, 1 + 2.0**-6, 1 + 2.0**-7]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_false_mask_leaves_every_bit(dtype: torch.dtype) -> None:
    target = torch.tensor([-0.0, math.nan, math.inf, 1.5, -math.nan]).to(dtype)
    before = bits(target)
    noise = torch.zeros(5, dtype=torch.int32)
    for given in (None, noise):
        store(target, torch.full((5,), math.nan), torch.tensor(False), given)
        assert bits(target) == before


def test_a_step_rounds_y_by_the_low_half_and_z_by_the_high_half_of_its_words() -> None:
    start = torch.linspace(0.5, 2.0, 101).to(torch.bfloat16)
    idle = torch.nn.Parameter(torch.zeros(2))
    param = torch.nn.Parameter(start.clone())
    # In the first step c = xi = 1: y and z are both start - d0 * u, which bfloat16 does not hold.
    optimizer = ProdigyPlusScheduleFree([idle, param], d0=1e-3, rounding_seed=11, use_stableadamw=False)
    param.grad = torch.ones(101, dtype=torch.bfloat16)
    optimizer.step()
    update = 1 / (torch.tensor(1 - 0.99, dtype=torch.float32).sqrt() + 1e-8)
    exact = start.float() - update * torch.tensor(1e-3)
    words = rounding_words(101, 11, torch.tensor(1), [1])[0]
    assert bits(param) == bits(stochastic_bfloat16(exact, (words & 0xFFFF).int()))
    assert bits(optimizer.state[param]["z"]) == bits(stochastic_bfloat16(exact, (words >> 16) & 0xFFFF))


@pytest.mark.need(12)
@pytest.mark.usefixtures("generator_untouched")
def test_the_bits_depend_on_the_seed_only_and_leave_the_global_generator_alone() -> None:
    def run(seed: int) -> list[object]:
        params = parameters(torch.bfloat16)
        train(ProdigyPlusScheduleFree(params, d0=1e-3, rounding_seed=seed), params, range(3))
        return [bits(param) for param in params]

    state = torch.get_rng_state()
    first = run(0)
    torch.rand(3)
    second = run(0)
    assert first == second
    assert run(1) != first
    torch.set_rng_state(state)


def test_memory_layout_does_not_matter() -> None:
    def run(layout: torch.memory_format) -> object:
        param = torch.linspace(-1, 1, 2 * 40 * 3 * 5).view(2, 40, 3, 5).bfloat16()
        param = torch.nn.Parameter(param.to(memory_format=layout))
        optimizer = ProdigyPlusScheduleFree([param], d0=1e-3, use_stableadamw=False)
        train(optimizer, [param], range(5))
        return snapshot(optimizer, [param])

    assert run(torch.contiguous_format) == run(torch.channels_last)


def test_the_sample_is_every_eleventh_element_in_logical_order() -> None:
    array = torch.arange(60.0).view(5, 12)
    assert sample(array.t(), 11).tolist() == array.t().flatten().tolist()[::11]
    assert sample(array, 1).tolist() == array.flatten().tolist()
    assert sample(torch.tensor(4.0), 11).tolist() == [4.0]
    assert sample(torch.empty(0, 3), 11).tolist() == []
