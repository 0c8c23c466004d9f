"""What the derivations claim, checked with numbers: on the examples of the pages and on random ones."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from computed import Table, compute
from drawing import Picture, svg
from facts import averaging, bounds, distance, estimate, factored, growth, modifiers, muon, rectification, rounding
from ppsf_ref.clauses import distance as distance_clauses

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


def test_a_parameter_that_sat_out_breaks_the_bound_after_it_came_back() -> None:
    """A parabola from 1, so that the distance is 1; while the parameter sits out its old items decay in N alone."""
    points, kept = np.array([1.0, -1.4, 0.5]), np.array([1.0, 1.0, 1.0])
    decayed = np.array([1e-6, 1e-6, 1.0])
    inner, norm = float(decayed @ (points * (1 - points))), abs(float(kept @ points))
    assert inner / norm > 2
    assert float(kept @ (points * (1 - points))) / norm <= 1


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


# ------------------------------------------------------------------------------------------------- growth of estimates


@pytest.mark.parametrize("seed", SEEDS)
def test_limited_growth_is_slowed_and_not_prevented(seed: int) -> None:
    draw = np.random.default_rng(seed)
    target, d = 1e-2, growth.D0
    for n in range(1, 120):
        d = growth.limited(d, target * (1 + draw.exponential()))
        assert min(target, growth.LIMIT**n * growth.D0) * (1 - 1e-12) <= d <= growth.LIMIT**n * growth.D0 * (1 + 1e-12)


def test_a_single_candidate_costs_a_factor_under_the_limiter_and_is_reached_under_growth_rate() -> None:
    limited = 1e-3
    capped = largest = np.float64(limited)
    for candidate in np.array([0.1, *[1e-3] * 40]):
        limited = growth.limited(limited, float(candidate))
        capped, largest = distance_clauses.capped_estimate(capped, candidate, largest, np.float64(growth.D0), 1.2)
    assert limited == pytest.approx(1e-3 * growth.LIMIT)
    assert capped == 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_moving_estimate_is_a_mean_and_its_rising_form_lies_above_it(seed: int) -> None:
    draw = np.random.default_rng(seed)
    beta, found = draw.uniform(0.5, 0.99), growth.D0 * 10 ** draw.uniform(0, 5, 50)
    mean = edge = growth.D0
    for candidate in found:
        mean, edge = growth.moving(beta)(mean, candidate), growth.moving(-beta)(edge, candidate)
        assert growth.D0 <= mean <= edge * (1 + 1e-12) <= found.max() * (1 + 1e-9)
    weights = (1 - beta) * beta ** np.arange(49, -1, -1)
    assert mean == pytest.approx(beta**50 * growth.D0 + float(weights @ found))


def test_how_long_a_moving_estimate_takes_and_how_far_it_spreads() -> None:
    assert math.log(2) / -math.log(0.99) == pytest.approx(69, abs=0.1)
    noise = np.random.default_rng(0).standard_normal(400_000)
    weights = 0.1 * 0.9 ** np.arange(200)
    spread = float(np.convolve(noise, weights, mode="valid").std())
    assert spread == pytest.approx(math.sqrt(0.1 / 1.9), rel=0.02)
    assert math.sqrt(0.01 / 1.99) == pytest.approx(1 / 14.1, rel=0.01)


def test_a_spike_stays_under_the_maximum_and_goes_under_beta4() -> None:
    ends = {name: growth.course(rule)[-1] for name, rule in growth.RULES.items()}
    spike = growth.SPIKE * growth.SCALE
    assert ends["largest candidate"] == spike
    assert ends["d_limiter"] < 0.3 * spike
    assert ends["beta4 = -0.99"] < 0.5 * spike
    assert ends["beta4 = 0.99"] == pytest.approx(growth.SCALE, rel=0.2)


@pytest.mark.parametrize("rate", [1.001, 1.01, 1.1, growth.LIMIT])
def test_speed_of_2_0_reproduces_any_rate_of_growth(rate: float) -> None:
    assert growth.feedback(rate, 4000 if rate < 1.01 else 1500) == pytest.approx(rate, rel=1e-4)


def test_what_signs_that_are_random_leave_in_the_gradient_sum() -> None:
    beta3 = math.sqrt(0.99)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (2000, 5000))
    s = np.zeros(5000)
    for row in signs:
        s = beta3 * s + row
    share = math.sqrt((1 - beta3) / (1 + beta3))
    assert share == pytest.approx(1 / 20, rel=0.01)
    assert float(np.sqrt(np.mean(s**2))) == pytest.approx(share / (1 - beta3), rel=0.05)


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


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cautious_and_a_grams_step_lower_the_loss_at_least_as_fast(seed: int) -> None:
    draw = np.random.default_rng(seed)
    u, decrease = draw.standard_normal(30), draw.standard_normal(30) * 10 ** draw.uniform(-2, 2, 30)
    mask = u * decrease > 0
    cautious = float(u @ (decrease * mask)) / max(mask.mean(), 1e-3)
    assert cautious >= max(float(u @ decrease), 0.0)
    assert float(u @ (np.abs(decrease) * np.sign(u))) >= abs(float(u @ decrease))
    kept = np.abs(decrease[mask])
    assert np.abs(decrease * mask).mean() / mask.mean() == pytest.approx(kept.mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_decrease_is_a_momentum_in_disguise(seed: int) -> None:
    draw = np.random.default_rng(seed)
    beta, k, rate = 0.9, 60, 0.3
    u = draw.standard_normal(k + 1)
    z = -rate * np.cumsum(u[:k])
    x, c = float(z.mean()), 1 / (k + 1)
    weights = np.arange(k, dtype=np.float64)  # i - 1
    mean = float(weights @ u[:k]) / weights.sum()
    assert x - z[-1] == pytest.approx(rate * (k - 1) / 2 * mean)
    pull = c * beta * (x - z[-1])
    assert pull == pytest.approx(rate * beta / 2 * (k - 1) / (k + 1) * mean)


@pytest.mark.parametrize("seed", SEEDS)
def test_changes_of_y_stay_in_the_average_with_the_share_of_the_page(seed: int) -> None:
    draw = np.random.default_rng(seed)
    beta, total = 0.9, 40
    u, delta = draw.standard_normal((2, total))

    def average(changes: Vector) -> float:
        y = z = 1.0
        for k in range(1, total + 1):
            c = 1 / k
            y = (1 - c) * y + c * z - (1 - beta * (1 - c)) * u[k - 1] + changes[k - 1]
            z -= u[k - 1]
        return z + (y - z) / beta

    moved = average(delta) - average(np.zeros(total))
    assert moved == pytest.approx(float(np.arange(1, total + 1) @ delta) / total / beta)


def test_cautious_leaves_alone_what_contradicts_a_direction_and_masks_nothing_without_one() -> None:
    shares = {agree: modifiers.kept_and_length(agree) for agree in (0.5, 0.7, 0.9)}
    assert shares[0.5][0] > 0.98
    assert shares[0.7][0] == pytest.approx(0.7, abs=0.02)
    assert shares[0.9][0] == pytest.approx(0.9, abs=0.02)
    threshold = 2 * 0.1 / 0.9
    assert 0.22 < threshold < 0.225
    assert abs((1 + threshold) / 2 - 0.61) < 0.005


def test_a_step_along_what_is_orthogonal_lengthens_the_weights_by_its_square() -> None:
    y, g = np.random.default_rng(0).standard_normal((2, 50))
    o = g - (y @ g) / (y @ y) * y
    assert np.linalg.norm(y - 0.1 * o) ** 2 == pytest.approx(y @ y + 0.01 * o @ o)
    rounded = g * (1 + 2.0**-8 * np.where(np.arange(50) % 2, 1, -1))
    assert np.linalg.norm(rounded - g) <= 2.0**-8 * np.linalg.norm(g) * (1 + 1e-12)


def test_focus_keeps_noise_within_five_steps_of_an_average_at_rest() -> None:
    draw = np.random.default_rng(0)
    away, seen = np.zeros(2000), []
    for step in range(3000):
        away -= draw.choice([-1.0, 1.0], 2000) + 0.1 * np.sign(away)
        if step > 1000:
            seen.append(np.abs(away).mean())
    assert float(np.mean(seen)) == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize(("memory", "wandered"), [(2e-4, 0.0224), (1e-3, 0.09)])
def test_noise_leads_a_weight_away_under_focus_as_slowly_as_the_page_says(memory: float, wandered: float) -> None:
    draw = np.random.default_rng(0)
    y, v, start = np.zeros(1000), np.zeros(1000), np.zeros(1000)
    for step in range(13_000):
        start = v.copy() if step == 1000 else start
        u = draw.choice([-1.0, 1.0], 1000) - 0.1 * np.sign(v - y)
        v, y = v + memory * (y - v), y - u
    assert float(np.std(v - start)) / math.sqrt(12_000) == pytest.approx(wandered, rel=0.1)


def test_the_picture_of_focus_shows_a_walk_that_an_average_slows_down_and_only_rest_holds() -> None:
    last, before = modifiers.SHOWN.index(3981), modifiers.SHOWN.index(1000)
    alone, quick, rest = (modifiers.led_away(beta2) for beta2 in (None, 0.99, 1.0))
    assert quick[last] < alone[last] / 2
    assert quick[last] / quick[before] > 1.6  # the root of four is 2
    assert rest[last] == pytest.approx(5, rel=0.1)


def test_muon_brings_what_is_not_tiny_into_the_band_of_the_page() -> None:
    low, high = 0.6818, 1.2024
    flat = np.sqrt(
        [(-3 * muon.B - sign * math.sqrt(9 * muon.B**2 - 20 * muon.A * muon.C)) / (10 * muon.C) for sign in (1, -1)]
    )

    def p(s: Vector) -> Vector:
        return muon.A * s + muon.B * s**3 + muon.C * s**5

    assert flat == pytest.approx([0.5545, 1.0501], abs=1e-4)
    assert p(flat) == pytest.approx([high, low], abs=1e-4)
    inside = np.linspace(p(flat)[1], p(flat)[0], 10_001)
    assert p(inside).min() >= inside.min() - 1e-12
    assert p(inside).max() <= inside.max()
    small = np.linspace(1e-6, 0.2107, 10_001)
    assert (p(small) >= 3.2325 * small).all()
    assert 5.96e-4 < 0.2107 / 3.2325**5 < 5.98e-4
    found = muon.six(np.linspace(6e-4, 1, 100_001))
    assert 0.681 <= found.min() <= found.max() <= 1.203


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


# ------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("count", bounds.COUNTS)
def test_a_sum_is_inside_its_bound_and_far_inside_that_of_any_order(count: int) -> None:
    pairwise, unordered = bounds.ratios(count)
    assert unordered < 0.01 < pairwise < 1
