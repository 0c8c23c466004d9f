"""Muon on inputs worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ppsf_ref import Options
from ppsf_ref.clauses import muon, options
from ppsf_ref.newton_schulz import Turned
from tests.ref.helpers import configured, contents, ran

#: Powers of two throughout, but for what comes out of the polynomial.
DYADIC = Options(lr=0.5, betas=(0.5, 0.75), beta3=0.5, d0=0.25, eps=1.0, use_stableadamw=False, use_muon_pp=True)
ONCE = replace(DYADIC, prodigy_steps=1)


def after_six(s: float) -> float:
    """What becomes of a singular value."""
    for _ in range(6):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


def first_of(steps: list[dict[str, Any]]) -> dict[str, Any]:
    (p,) = steps[0]["params"]
    return dict(p)


@pytest.mark.clause("PPSF-O-006")
@pytest.mark.parametrize(
    ("use_muon_pp", "use_focus", "applies"), [(True, False, True), (True, True, False), (False,) * 3]
)
def test_focus_switches_muon_off(use_muon_pp: bool, use_focus: bool, applies: bool) -> None:
    assert options.applies_muon(use_muon_pp, use_focus) is applies


@pytest.mark.clause("PPSF-M-014")
@pytest.mark.parametrize(
    ("shape", "moved"), [((), False), ((9,), False), ((1, 9), True), ((2, 3, 4), True), ((0, 3), True)]
)
def test_muon_moves_what_has_two_dimensions(shape: tuple[int, ...], moved: bool) -> None:
    assert muon.moves(shape, applies=True) is moved
    assert muon.moves(shape, applies=False) is False


@pytest.mark.clause("PPSF-M-014", "PPSF-L-001")
def test_one_number_takes_the_place_of_the_second_moment() -> None:
    config = configured(DYADIC, dtypes=[("float32", "float32")])
    matrix, vector = contents(ran(config, [[np.ones((40, 2)), [1.0]]], [[[np.ones((40, 2)), [2.0]]]]))[0]["params"]
    assert matrix["v"] is matrix["v_row"] is matrix["v_col"] is None
    assert vector["rms_sq"] is None
    assert vector["v"] == [1.0]


@pytest.mark.clause("PPSF-M-014")
@pytest.mark.parametrize("other", [{"use_adopt": True}, {"use_orthograd": True}, {"eps": 7.0}, {"factored": False}])
def test_what_changes_second_moment_or_divisor_leaves_muon_alone(other: dict[str, Any]) -> None:
    start, gradients = [[np.eye(2)]], [[[np.array([[2.0, 1.0], [0.0, 1.0]])]]] * 3
    plain, changed = (ran(configured(replace(DYADIC, **o)), start, gradients) for o in ({}, other))
    assert contents(plain) == contents(changed)


@pytest.mark.clause("PPSF-M-014", "PPSF-O-002")
def test_adam_atan2_still_switches_clipping_off() -> None:
    start, gradients = [[np.eye(2)]], [[[np.array([[2.0, 1.0], [0.0, 1.0]])]]]
    clipping = replace(ONCE, use_stableadamw=True, use_speed=True)
    plain, angle, free = (
        contents(ran(configured(o), start, gradients))
        for o in (clipping, replace(clipping, eps=None), replace(clipping, use_stableadamw=False))
    )
    assert plain != angle == free


@pytest.mark.clause("PPSF-M-015")
def test_a_diagonal_gradient_stays_diagonal() -> None:
    turned = muon.orthogonalized(np.diag([3.0, -4.0]))
    total = 5 + 1e-7
    assert np.allclose(turned.matrix, np.diag([after_six(3 / total), -after_six(4 / total)]), rtol=1e-12, atol=0)
    assert turned.along == pytest.approx(3 * after_six(0.6) + 4 * after_six(0.8))
    assert turned.length == pytest.approx(np.hypot(after_six(0.6), after_six(0.8)))


@pytest.mark.clause("PPSF-M-015")
def test_the_first_dimension_makes_the_rows() -> None:
    g = np.random.default_rng(0).normal(size=(3, 2, 4))
    assert np.array_equal(muon.orthogonalized(g).matrix.reshape(3, 8), muon.orthogonalized(g.reshape(3, 8)).matrix)


@pytest.mark.clause("PPSF-M-015")
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 0)])
def test_empty_gradients(shape: tuple[int, ...]) -> None:
    o = muon.shortened(muon.orthogonalized(np.zeros(shape)))
    assert o.o.shape == shape
    assert muon.size_memory(np.float64(0), o, 0.75, 1.0, 1.0) == 0.25 * 1e-8**2


@pytest.mark.clause("PPSF-M-016")
@pytest.mark.parametrize(("along", "share"), [(0.25, 0.25), (1.0, 1.0), (8.0, 1.0)])
def test_small_gradients_shorten(along: float, share: float) -> None:
    o = muon.shortened(Turned(np.array([[2.0, -4.0]]), np.float64(3.0), np.float64(along)))
    assert (o.o.tolist(), o.length) == ([[2 * share, -4 * share]], 3 * share)


@pytest.mark.clause("PPSF-M-017")
def test_the_memory_averages_mean_squares_and_follows_d() -> None:
    """Four elements of length 4: mean square 4. Before, 16 at half the present d, which counts as 4."""
    o = muon.Direction(np.zeros((2, 2)), np.float64(4.0))
    assert muon.size_memory(np.float64(16.0), o, 0.75, 1.0, 0.5) == 0.75 * 4 + 0.25 * 4
    nothing = o._replace(length=np.float64(0.0))
    assert muon.size_memory(np.float64(16.0), nothing, 0.75, 1.0, 1.0) == 12 + 0.25 * 1e-8**2


@pytest.mark.clause("PPSF-M-004", "PPSF-M-017")
def test_the_first_size_counts_in_full_with_bias_correction() -> None:
    both = replace(ONCE, use_bias_correction=True, betas=(0.5, 0.9))
    p = first_of(contents(ran(configured(both), [[np.eye(2)]], [[[np.diag([3.0, -4.0])]]])))
    assert p["rms_sq"] == pytest.approx((after_six(0.6) ** 2 + after_six(0.8) ** 2) / 4, rel=1e-6)


@pytest.mark.clause("PPSF-M-017")
def test_speed_leaves_the_memory_alone() -> None:
    gradients = [[[np.zeros((2, 2))]], [[np.ones((2, 2))]]]
    plain, speedy = (ran(configured(replace(ONCE, use_speed=on)), [[np.eye(2)]], gradients) for on in (False, True))
    assert first_of(contents(plain)) == first_of(contents(speedy))


@pytest.mark.clause("PPSF-M-018")
def test_a_step_is_divided_by_the_memory_that_holds_it() -> None:
    assert muon.direction(np.array([[3.0]]), np.float64(4.0)) == [[3 / (2 + 1e-8)]]
    p = first_of(contents(ran(configured(ONCE), [[np.zeros((1, 1))]], [[[[[3.0]]]]])))
    u = 1 / np.sqrt(0.25)  # one element: the only size there has been, which counts by a quarter
    assert p["z"] == [[pytest.approx(-0.125 * u, rel=1e-6)]]
