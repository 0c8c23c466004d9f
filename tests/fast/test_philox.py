"""Philox4x32-7 gives the published words, and each element of a parameter its own."""

from __future__ import annotations

import pytest
import torch

from ppsf_fast.philox import Place, philox4x32, rounding_words


def words(numel: int, seed: int, step: torch.Tensor, parameter: int) -> list[int]:
    return [word & 0xFFFFFFFF for word in rounding_words(numel, seed, step, [parameter])[0].tolist()]


def as_words(text: str) -> list[torch.Tensor]:
    return [torch.tensor(int(word, 16)) for word in text.split()]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("0 0 0 0", "0 0", "5f6fb709 0d893f64 4f121f81 4f730a48"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "5207ddc2 45165e59 4d8ee751 8c52f662"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "4dfccaba 190a87f0 c47362ba b6b5242a"),
    ],
)
def test_known_answers(counter: str, key: str, expected: str) -> None:
    c0, c1, c2, c3 = as_words(counter)
    key_0, key_1 = as_words(key)
    words = philox4x32((c0, c1, c2, c3), (key_0, key_1))
    assert " ".join(f"{int(word):08x}" for word in words) == expected


@pytest.mark.parametrize("numel", [0, 1, 3, 4, 5, 11])
def test_element_e_takes_word_e_mod_4_of_counter_e_div_4(numel: int) -> None:
    seed, step, parameter = 2**32 + 7, torch.tensor(2**32 + 9), 3
    expected = []
    for element in range(numel):
        counter = tuple(torch.tensor(word) for word in (element // 4, 0, parameter, 0))
        expected.append(int(philox4x32(counter, (torch.tensor(7), torch.tensor(9)))[element % 4]))
    assert words(numel, seed, step, parameter) == expected


@pytest.mark.need(12)
def test_words_differ_by_seed_step_and_parameter() -> None:
    draws = [(0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1)]
    found = {tuple(words(8, seed, torch.tensor(k), index)) for seed, k, index in draws}
    assert len(found) == len(draws)


def test_of_huge_parameters_the_number_of_a_block_takes_two_words() -> None:
    """Around element 2^34, where the second word begins to count."""
    first, numel, seed, step = 2**34 - 8, 16, 5, torch.tensor(3)
    found = rounding_words(numel, seed, step, [0, 7], first)
    for row, parameter in enumerate((0, 7)):
        for element in range(numel):
            block = (first + element) // 4
            counter = tuple(torch.tensor(word) for word in (block & 0xFFFFFFFF, block >> 32, parameter, 0))
            expected = int(philox4x32(counter, (torch.tensor(seed), step))[element % 4])
            assert int(found[row, element]) & 0xFFFFFFFF == expected


def test_a_part_takes_the_words_of_the_whole_wherever_it_is_drawn() -> None:
    whole = rounding_words(101, 11, torch.tensor(9), [4, 2**20, 0])
    for first, numel in ((0, 7), (8, 93), (52, 4)):
        room = torch.full((8 * 3 * -(-numel // 4),), -1, dtype=torch.int64)
        place = Place(3, numel, room)
        for _ in range(2):
            part = rounding_words(numel, 11, torch.tensor(9), [4, 2**20, 0], first, place)
        assert torch.equal(part, whole[:, first : first + numel])
        assert part.untyped_storage().data_ptr() == room.untyped_storage().data_ptr()
