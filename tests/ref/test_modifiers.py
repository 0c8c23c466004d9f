"""The modifiers on inputs worked by hand, and what ties them to the plain step."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from ppsf_ref import Arithmetic, Running
from ppsf_ref.clauses import average, modifiers, options

DECREASE = np.array([0.5, -0.25, 1.0, 2.0])
UPDATE = np.array([1.0, 1.0, 0.0, 4.0])


@pytest.mark.clause("PPSF-M-001")
def test_cautious_keeps_two_of_four_and_doubles_them() -> None:
    assert modifiers.cautious(DECREASE, UPDATE).tolist() == [1.0, 0.0, 0.0, 4.0]


@pytest.mark.clause("PPSF-M-001")
def test_cautious_counts_at_least_a_thousandth() -> None:
    opposed = -np.ones(4000)
    opposed[0] = 1.0
    kept = modifiers.cautious(np.ones(4000), opposed)
    assert kept[0] == 1 / modifiers.LEAST_KEPT
    assert not kept[1:].any()


@pytest.mark.clause("PPSF-M-001")
def test_a_mask_that_the_bound_leaves_open_covers_both_outcomes() -> None:
    numbers = Running(Arithmetic())
    tiny = numbers.array(np.full(3, 2.0**-100))  # the product underflows in float32
    kept = modifiers.cautious(tiny, tiny)
    assert (kept.low <= 0).all()
    assert (kept.high >= 2.0**-100).all()


@pytest.mark.clause("PPSF-M-002")
def test_grams_takes_the_magnitude_in_the_direction_of_the_update() -> None:
    assert modifiers.grams(DECREASE, UPDATE).tolist() == [0.5, 0.25, 0.0, 2.0]


@pytest.mark.clause("PPSF-O-004")
@pytest.mark.parametrize(
    ("grams", "cautious", "applies"), [(True, False, True), (True, True, False), (False, True, False)]
)
def test_cautious_switches_grams_off(grams: bool, cautious: bool, applies: bool) -> None:
    assert options.applies_grams(grams, cautious) is applies


@pytest.mark.clause("PPSF-Z-002")
def test_unmodified_the_decrease_is_that_of_the_plain_step() -> None:
    y, z, u = np.array([1.0, -2.0]), np.array([0.5, 4.0]), np.array([2.0, -1.0])
    decrease = average.decrease_of_y(y, z, u, 0.25, 0.5, 0.5)
    assert (y - decrease).tolist() == average.next_y(y, z, u, 0.25, 0.5, 0.5).tolist()


@pytest.mark.clause("PPSF-M-003")
def test_rectification_waits_and_then_approaches_one() -> None:
    factors = [float(modifiers.rectified(np.float64(1.0), np.float64(0.99), k)) for k in range(1, 601)]
    assert factors[:4] == [0.0] * 4
    assert all(0 < a < b < 1 for a, b in itertools.pairwise(factors[4:]))


@pytest.mark.clause("PPSF-M-004")
def test_the_corrected_average_is_adams() -> None:
    """In exact rationals its moving average of g**2 is the plain one divided by 1 - beta2**k."""
    beta2 = Fraction(3, 4)
    plain = corrected = Fraction(0)
    for k, square in enumerate([4, 1, 16, 0], 1):
        now = modifiers.corrected_beta2(beta2, k)
        corrected = now * corrected + (1 - now) * square
        plain = beta2 * plain + (1 - beta2) * square
        assert corrected == plain / (1 - beta2**k)
