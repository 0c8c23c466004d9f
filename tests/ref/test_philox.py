"""Philox4x32-7 gives the known answers of Random123, and its words are laid out as PPSF-R-004 says."""

from __future__ import annotations

import numpy as np
import pytest

from ppsf_ref.clauses.rounding import rounding_bits
from ppsf_ref.philox import block, words

#: counter, key, output, from the kat_vectors file of Random123.
KNOWN = (
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "5f6fb709 0d893f64 4f121f81 4f730a48"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "5207ddc2 45165e59 4d8ee751 8c52f662"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "4dfccaba 190a87f0 c47362ba b6b5242a"),
)


def _words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def _block(counter: list[int], key: tuple[int, int]) -> list[int]:
    lanes = [np.array([word], np.uint64) for word in counter]
    return [int(word[0]) for word in block((lanes[0], lanes[1], lanes[2], lanes[3]), key)]


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
@pytest.mark.clause("PPSF-R-004")
def test_known_answers(counter: str, key: str, output: str) -> None:
    first, second = _words(key)
    assert _block(_words(counter), (first, second)) == _words(output)


@pytest.mark.clause("PPSF-R-004")
def test_element_e_is_word_e_mod_4_of_counter_e_div_4() -> None:
    got = words(key=(7, 3), parameter=5, count=11)
    want = [word for index in range(3) for word in _block([index, 0, 5, 0], (7, 3))]
    assert got.dtype == np.uint32
    assert got.tolist() == want[:11]


@pytest.mark.clause("PPSF-R-004")
def test_seed_and_step_count_modulo_2_to_the_32() -> None:
    assert words((2**32 + 7, 2**32 + 3), 0, 9).tolist() == words((7, 3), 0, 9).tolist()


@pytest.mark.clause("PPSF-R-004")
def test_fewer_elements_get_the_same_words() -> None:
    long = words((1, 2), 3, 100)
    assert all(words((1, 2), 3, count).tolist() == long[:count].tolist() for count in range(10))


@pytest.mark.clause("PPSF-R-004")
def test_low_half_rounds_y_and_high_half_z() -> None:
    drawn = words((1, 2), 3, 6)
    y, z = rounding_bits(seed=1, k=2, parameter=3, count=6)
    assert (y == drawn % 2**16).all()
    assert (z == drawn // 2**16).all()
