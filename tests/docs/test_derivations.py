"""What the derivations claim, checked with numbers: on the examples of the pages and on random ones."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from computed import Table, compute
from drawing import Picture, svg
from facts import averaging, distance, estimate, factored, muon, rectification, rounding

Vector = npt.NDArray[np.float64]
SEEDS = range(20)


# ----------------------------------------------------------------------------------------------------------- distance


def statistics(gradients: Vector, points: Vector, start: Vector, weights: Vector) -> tuple[float, float]:
    """N and D of the page."""
    inner = float(np.einsum("k,ki,ki->", weights, gradients, start - points))
    return inner, float(np.abs(weights @ gradients).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_distance_bound_holds_for_any_points_and_weights(seed: int) -> None:
    draw = np.random.default_rng(seed)
    root = draw.standard_normal((6, 6))
    solution, start = draw.standard_normal(6), draw.standard_normal(6)
    points = start + draw.standard_normal((30, 6)) * 10 ** draw.uniform(-3, 1)
    weights = draw.random(30) * 0.9 ** np.arange(29, -1, -1)
    inner, norm = statistics((points - solution) @ root @ root.T, points, start, weights)
    assert inner / norm <= np.abs(start - solution).max()
    assert math.atan2(max(inner, 0.0), norm) <= max(inner, 0.0) / norm


def test_the_sample_breaks_the_bound_as_the_page_computes() -> None:
    curvature = np.array([[1.0, -10.0], [-10.0, 101.0]])
    assert np.linalg.eigvalsh(curvature).min() > 0
    start, points, ones = np.array([0.0, 1.0]), np.array([[0.0, 1.0], [5.0, 1.0]]), np.ones(2)
    gradients = points @ curvature
    assert statistics(gradients[:, :1], points[:, :1], start[:1], ones) == (25.0, 15.0)
    assert statistics(gradients, points, start, ones) == (25.0, 15.0 + 152.0)


def test_the_estimates_of_the_picture_grow_and_stay_below_the_bound() -> None:
    for make in ("prodigy", "1.9", "2.0"):
        found = distance.estimates(make)
        assert found[0] == pytest.approx(1e-6)
        assert 1e-3 < max(found) <= distance.FARTHEST


def test_steps_that_growth_takes() -> None:
    found = distance.steps()
    for row in found.rows:
        exponent = int(row[0].strip("$").removeprefix("10^{").rstrip("}"))
        speed, limited = int(row[1]), int(row[2])
        assert 1e-6 ** (0.975**speed) >= 10.0**exponent * (1 - 1e-9) > 1e-6 ** (0.975 ** (speed - 1))
        assert 1e-6 * 2 ** (limited / 4) >= 10.0**exponent > 1e-6 * 2 ** ((limited - 1) / 4)


# ---------------------------------------------------------------------------------------------------------- averaging


@pytest.mark.parametrize("seed", SEEDS)
def test_two_sequences_are_three(seed: int) -> None:
    draw = np.random.default_rng(seed)
    beta, total = draw.uniform(0.01, 0.99), 0.0
    y = z = x = draw.standard_normal()
    seen, given = [], []
    for _ in range(30):
        u, rate = draw.standard_normal(), draw.random()
        total += rate**2
        c = rate**2 / total
        new_y = (1 - c) * y + c * z - rate * (1 - beta * (1 - c)) * u
        z -= rate * u
        x, y = (1 - c) * x + c * z, new_y
        seen.append(z)
        given.append(rate**2)
        assert y == pytest.approx((1 - beta) * z + beta * x)
        assert x == pytest.approx(z + (y - z) / beta)
        assert x == pytest.approx(np.average(seen, weights=given))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_average_is_as_good_as_the_inner_products_say(seed: int) -> None:
    draw = np.random.default_rng(seed)
    beta, rate, z = draw.random(), draw.uniform(0.01, 1.9), draw.standard_normal(3) * 5
    curvature = draw.uniform(0.1, 1.0, 3)
    x, total, inner = z.copy(), 0.0, 0.0
    for _ in range(40):
        weight = draw.random()
        total += weight
        x += weight / total * (z - x)
        gradient = curvature * ((1 - beta) * z + beta * x)
        inner += weight * float(gradient @ z)
        assert 0.5 * float(curvature @ x**2) <= inner / total + 1e-12
        z = z - rate * gradient + 0.1 * draw.standard_normal(3)


@pytest.mark.parametrize("strength", [5.0, 10.0, 20.0, 50.0])
def test_shares_follow_the_power_of_the_page(strength: float) -> None:
    a, steps = (1 - averaging.BETA) * strength, 1000
    found = np.array(averaging.shares(strength, steps))
    iterate = np.arange(1, steps + 1)
    late = slice(200, None)
    expected = a / steps * (iterate / steps) ** (a - 1)
    assert found[late] == pytest.approx(expected[late], rel=0.06)
    assert 0.01 < found.sum() <= 1 + 1e-12


# -------------------------------------------------------------------------------------------- second moment and update


@pytest.mark.parametrize("seed", SEEDS)
def test_the_factored_estimate_is_the_best_product_and_keeps_the_sums(seed: int) -> None:
    draw = np.random.default_rng(seed)
    v = draw.random((4, 5)) ** 4
    found = factored.rebuilt(v)
    assert found.sum(axis=0) == pytest.approx(v.sum(axis=0))
    assert found.sum(axis=1) == pytest.approx(v.sum(axis=1))

    def divergence(product: Vector) -> float:
        return float((v * np.log(v / product) - v + product).sum())

    others = [found * np.exp(0.1 * (draw.standard_normal((4, 1)) + draw.standard_normal(5))) for _ in range(20)]
    assert all(divergence(found) < divergence(other) for other in others)
    largest = v.sum() / np.maximum(v.sum(axis=1, keepdims=True), v.sum(axis=0))
    assert (v / found <= largest * (1 + 1e-12)).all()


def test_the_factored_estimate_can_be_too_small_as_the_page_computes() -> None:
    found = factored.rebuilt(np.diag([1.0, 0.01]))
    assert found[1, 1] == pytest.approx(0.01**2 / 1.01)
    assert math.sqrt(0.01 / found[1, 1]) == pytest.approx(math.sqrt(1.01 / 0.01))


def test_the_angle_bends_as_little_as_the_page_says() -> None:
    for r in np.logspace(-8, 2, 200):
        assert 1 - r**2 / 3 - 1e-15 <= math.atan(r) / r <= 1 + 1e-15


def test_a_gradient_that_is_rare_and_large_turns_adam_round() -> None:
    table = compute("modifiers.adopt")
    assert isinstance(table, Table)
    adam, adopt = zip(*((float(row[1]), float(row[2])) for row in table.rows), strict=True)
    assert adam[0] == pytest.approx(-0.6, abs=0.01)
    assert adopt[0] == pytest.approx(1.2 * (0.2 / 10 + 0.8), abs=0.02)
    assert min(adopt) > 0


@pytest.mark.parametrize("seed", range(5))
def test_one_step_of_muon_works_on_singular_values_alone(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((4, 7))
    x /= np.linalg.norm(x)
    left, values, right = np.linalg.svd(x, full_matrices=False)
    for _ in range(6):
        a = x @ x.T
        x = muon.A * x + (muon.B * a + muon.C * a @ a) @ x
    assert x == pytest.approx(left @ np.diag(muon.six(values)) @ right, abs=1e-9)


# ------------------------------------------------------------------------------------------ rectification and rounding


def test_rectification_matches_the_mean_age_and_the_moments() -> None:
    for beta2 in (0.9, 0.99):
        for k in (1, 3, 50):
            weights = beta2 ** np.arange(k)
            age = float(np.average(np.arange(k), weights=weights))
            assert rectification.length(k, beta2) == pytest.approx(1 + 2 * age)
    for rho in (6.0, 20.0):  # the moments of the page, by integration over the density of a chi square
        inverse, root = inverse_moment(rho, 1.0), inverse_moment(rho, 0.5)
        assert inverse == pytest.approx(rho / (rho - 2), rel=1e-6)
        assert rectification.exact(rho) == pytest.approx(inverse - root**2, rel=1e-5)


def inverse_moment(rho: float, power: float) -> float:
    """Mean of (rho / X) ** power for a chi square X with rho degrees of freedom."""

    def integrand(t: mpmath.mpf) -> mpmath.mpf:
        density = t ** (rho / 2 - 1) * mpmath.exp(-t / 2) / (2 ** (rho / 2) * mpmath.gamma(rho / 2))
        return (rho / t) ** power * density

    return float(mpmath.quad(integrand, [0, rho, 20 * rho]))


def test_nothing_moves_before_the_fifth_step() -> None:
    assert rectification.factor(4, 0.99) == 0 < rectification.factor(5, 0.99)


def test_a_weight_stands_still_below_the_threshold_and_is_right_on_average() -> None:
    one, gap = np.float32(1), 2.0**-7
    for step in (0.49 * gap, 0.51 * gap):
        moved = rounding.nearest(np.float32(one + np.float32(step)), 0)
        assert moved == (one if step < gap / 2 else np.float32(1 + gap))
    value = np.float32(1 + 0.3 * gap)
    rounded = [float(rounding.stochastic(value, bits)) for bits in range(2**16)]
    assert math.fsum(rounded) / 2**16 == float(value)
    share = (float(value) - 1) / gap
    assert np.var(rounded) == pytest.approx(gap**2 * share * (1 - share))


# ------------------------------------------------------------------------------------------------------------ pictures


def test_the_runs_of_the_guide_show_what_it_says() -> None:
    ends = {case.name: estimate.play(case)[0][-1] for case in (*estimate.STILL, *estimate.HIGH)}
    healthy = ends["as it should be"]
    assert 0.4 > healthy > 1e-2
    assert all(ends[case.name] < 1e-4 for case in estimate.STILL[1:])
    assert ends["no minimum, 1.9"] < math.pi / 2 < 1e10 < ends["no minimum, 2.0"] <= 2.0**40


def test_a_picture_is_the_same_each_time_and_has_no_colours_of_its_own() -> None:
    picture = compute("atan2.curves")
    assert isinstance(picture, Picture)
    assert svg(picture) == svg(picture)
    assert "var(--series-0)" in svg(picture)
    assert "#0200" not in svg(picture)
    assert picture.alt in svg(picture)
