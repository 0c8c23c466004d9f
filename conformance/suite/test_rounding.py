"""Stochastic rounding is exact under all 65,536 draws; draws are blocks of a bijection, with counters of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ppsf_conformance.adapter import Array
from ppsf_conformance.checks import CHECKS
from ppsf_conformance.checks.exact_rounding import PATTERNS, Rounding, judged, sample
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_fast import numerics
from ppsf_fast.backends import weights
from ppsf_fast.philox import rounding_words
from ppsf_ref import philox
from ppsf_ref.clauses import rounding

UPPER = np.uint32(0xFFFF0000)


def of_the_product(patterns: Array, draws: Array) -> Array:
    values = torch.from_numpy(patterns.view(np.int32)).view(torch.float32)
    rounded = numerics.stochastic_bfloat16(values, torch.from_numpy(draws.view(np.int32)))
    return np.asarray(rounded.float().view(torch.int32).numpy().view(np.uint32))


def of_the_reference(patterns: Array, draws: Array) -> Array:
    with np.errstate(all="ignore"):  # signalling NaNs
        found = rounding.stochastic(patterns.view(np.float32).astype(np.float64), draws)
        as_patterns = np.asarray(found, np.float32).view(np.uint32)
    return np.where(np.isnan(found), np.uint32(0x7FC00000), as_patterns)  # to the reference all NaNs are one


@pytest.mark.clause("PPSF-R-003", "PPSF-R-005")
@pytest.mark.parametrize("function", [of_the_product, of_the_reference])
def test_every_draw_for_every_kind_of_number(function: Rounding) -> None:
    findings = list(judged(function, sample(160, seed=1)))
    assert len(findings) == 2 * (len(PATTERNS) + 160)
    assert not [finding.message for finding in findings if not finding.ok]


def _sum(patterns: Array, draws: Array) -> Array:
    """The sum of the specification, NaNs not set apart."""
    return np.asarray((patterns + draws) & UPPER)


#: Wrong ways to round, by what is wrong.
WRONG: dict[str, Rounding] = {
    "truncated": lambda x, r: x & UPPER,
    "to nearest": lambda x, r: _sum(x, np.full_like(r, 0x8000)),
    "one draw too high": lambda x, r: _sum(x, r + np.uint32(1)),
    "fifteen bits": lambda x, r: _sum(x, r & np.uint32(0x7FFF)),
    "one bit": lambda x, r: _sum(x, (r & np.uint32(1)) * np.uint32(0xFFFF)),
    "upwards for either sign": lambda x, r: np.where(x >> 31, _sum(x, np.uint32(0xFFFF) - r), _sum(x, r)) + (x >> 31),
    "NaNs are not set apart": _sum,
    "draws reversed": lambda x, r: _sum(x, np.uint32(0xFFFF) - r),
    "two places": lambda x, r: _sum(x, r * np.uint32(2)),
    "largest stays finite": lambda x, r: np.where(_sum(x, r) & 0x7FFFFFFF == 0x7F800000, x & UPPER, _sum(x, r)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_way_to_round_is_noticed(what: str) -> None:
    assert [finding for finding in judged(WRONG[what], sample(0, seed=1)) if not finding.ok]


# ---------------------------------------------------------------------------------------------------------- the draws


def blocks(key: tuple[int, int], parameters: range, elements: int) -> Array:
    """All four words of each counter that these parameters use, one row per counter."""
    return np.concatenate([philox.words(key, parameter, elements).reshape(-1, 4) for parameter in parameters])


@pytest.mark.clause("PPSF-R-004")
def test_no_two_counters_give_the_same_block() -> None:
    """For one key the generator is a bijection of counters, and no two elements share counter and word."""
    drawn = blocks((7, 3), range(16), 4096)
    assert len(np.unique(drawn, axis=0)) == len(drawn) == 16 * 1024


@pytest.mark.clause("PPSF-R-004")
def test_the_generator_can_be_run_backwards() -> None:
    """Each round undone in turn leads back to the counter: that is what makes it a bijection."""
    counter = tuple(np.array([word], np.uint64) for word in (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344))
    key = (0xA4093822, 0x299F31D0)
    words = philox.block(counter, key)  # type: ignore[arg-type]
    inverses = [pow(int(multiplier), -1, 2**32) for multiplier in philox.MULTIPLIERS]
    c0, c1, c2, c3 = (int(word[0]) for word in words)
    for number in reversed(range(philox.ROUNDS)):
        k0, k1 = ((k + number * weyl) % 2**32 for k, weyl in zip(key, philox.WEYL, strict=True))
        a, b = (inverses[0] * c3) % 2**32, (inverses[1] * c1) % 2**32
        high_a, high_b = (int(m) * x >> 32 for m, x in zip(philox.MULTIPLIERS, (a, b), strict=True))
        c0, c1, c2, c3 = a, c0 ^ high_b ^ k0, b, c2 ^ high_a ^ k1
    assert (c0, c1, c2, c3) == tuple(int(word[0]) for word in counter)


@pytest.mark.clause("PPSF-R-004")
def test_seeds_and_steps_have_keys_of_their_own() -> None:
    keys = [(seed, k) for seed in (0, 1, 2**31, 2**32 - 1) for k in (1, 2, 3, 2**32 - 1)]
    first = {key: philox.words(key, 0, 64).tobytes() for key in keys}
    assert len(set(first.values())) == len(keys)


@pytest.mark.clause("PPSF-R-004")
@pytest.mark.parametrize(("seed", "k", "parameter"), list(itertools.product((0, 2**32 - 1), (1, 70_000), (0, 3))))
def test_the_product_draws_the_words_of_the_reference(seed: int, k: int, parameter: int) -> None:
    theirs = rounding_words(1003, seed, torch.tensor(k), [parameter])[0].numpy().astype(np.uint32)
    assert np.array_equal(theirs, philox.words((seed, k), parameter, 1003))


# -------------------------------------------------------------------------------------------------- through an adapter


def _wrongly(
    change: Callable[[torch.Tensor], torch.Tensor] = lambda words: words, **given: Any
) -> Callable[..., torch.Tensor]:
    """The draws of the product with something else given to them, and then changed."""

    def words(
        numel: int, seed: int, step: torch.Tensor, parameters: Sequence[int], first: int = 0, room: object = None
    ) -> torch.Tensor:
        wanted: dict[str, Any] = {"seed": seed, "step": step, "parameters": parameters}
        wanted |= {name: value(wanted[name]) for name, value in given.items()}
        return change(rounding_words(numel, first=first, **wanted))

    return words


#: Wrong draws: what is wrong, and the words in the place of the right ones.
WRONG_DRAWS: dict[str, Callable[..., torch.Tensor]] = {
    "the same in every step": _wrongly(step=torch.ones_like),
    "the same for every parameter": _wrongly(parameters=lambda places: [0] * len(places)),
    "the same for every seed": _wrongly(seed=lambda _: 0),
    "one for four elements": _wrongly(lambda words: words[:, torch.arange(words.shape[1]) // 4]),
    "one for y and z": _wrongly(lambda words: (words & 0xFFFF) | (words << 16)),
    "of a global generator": _wrongly(lambda words: torch.randint_like(words, -(2**31), 2**31 - 1)),
}


@pytest.mark.parametrize("what", WRONG_DRAWS)
def test_wrong_draws_are_noticed(what: str, product: TorchImplementation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "rounding_words", WRONG_DRAWS[what])
    assert [finding for finding in CHECKS["PPSF-R-004"](product) if not finding.ok]


def test_one_draw_in_65536_is_noticed(product: TorchImplementation, monkeypatch: pytest.MonkeyPatch) -> None:
    right = numerics.stochastic_bfloat16
    monkeypatch.setattr(numerics, "stochastic_bfloat16", lambda x, r: right(x, (r + 1) % 0x10000))
    assert [finding for finding in CHECKS["PPSF-R-003"](product) if not finding.ok]
    monkeypatch.setattr(numerics, "stochastic_bfloat16", lambda x, r: right(x, r.clamp_max(0xFFFE)))
    assert [finding for finding in CHECKS["PPSF-R-003"](product) if not finding.ok]
