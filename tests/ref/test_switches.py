"""ADOPT, OrthoGrad, FOCUS and SPEED on inputs worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppsf_ref import FLOAT32, Arithmetic, Options, ParamState, Running
from ppsf_ref.clauses import adopt, distance, errors, focus, options, orthograd, speed
from tests.ref.helpers import configured, contents, ran

#: Powers of two throughout: every product below is exact.
DYADIC = Options(lr=0.5, betas=(0.5, 0.75), beta3=0.5, d0=0.25, eps=1.0, use_stableadamw=False)
ADOPT = replace(DYADIC, use_adopt=True)


# --------------------------------------------------------------------------------------------------------------- ADOPT


@pytest.mark.clause("PPSF-M-005", "PPSF-Z-006", "PPSF-L-002")
def test_the_first_step_under_adopt_makes_the_second_moment_and_nothing_else() -> None:
    (group,) = contents(ran(configured(replace(ADOPT, weight_decay=0.5)), [[[1.0]]], [[[[2.0]]]]))
    assert group == {
        "k": 2, "d": 0.25, "d_prev": 0.25, "d_numerator": 0.0, "d_denom": 0.0, "weight_sum": 0.0,
        "params": [{"y": [1.0], "z": [1.0], "x0": [1.0], "s": [0.0], "v": [4.0], "v_row": None, "v_col": None,
                    "rms_sq": None}],
    }  # fmt: skip


@pytest.mark.clause("PPSF-M-006")
def test_the_divisor_does_not_hold_the_present_gradient() -> None:
    """v = 4 from the first step, so g = 6 gives u = 6/(2 + 1) = 2, and v' = 3 + 9."""
    (group,) = contents(ran(configured(ADOPT), [[[1.0]]], [[[[2.0]]], [[[6.0]]]]))
    (p,) = group["params"]
    assert (p["z"], p["v"]) == ([0.75], [12.0])
    assert (group["d_denom"], group["weight_sum"]) == (3.0, 2.0**-6)


@pytest.mark.clause("PPSF-M-006")
def test_the_divisor_is_not_rescaled_when_d_grows() -> None:
    """Here d has grown before the third step, whose divisor is still the root of v as it is stored."""
    options = replace(ADOPT, d_coef=64.0, weight_decay=0.0)
    before = ran(configured(options), [[[1.0]]], [[[[2.0]]], [[[6.0]]], [[[1.0]]]])
    after = ran(configured(options), [[[1.0]]], [[[[2.0]]], [[[6.0]]], [[[1.0]]], [[[1.0]]]])
    (group,) = contents(before)
    assert group["d"] > group["d_prev"]
    (p,), (q,) = group["params"], contents(after)[0]["params"]
    u = 1 / (np.sqrt(p["v"][0]) + 1)
    assert q["z"] == [float(np.float32(p["z"][0] - group["d"] * 0.5 * u))]


@pytest.mark.clause("PPSF-M-005")
def test_a_parameter_fills_in_its_own_first_step() -> None:
    """The second parameter has its first gradient in the second step."""
    config = configured(ADOPT, dtypes=[("float32", "float32")])
    (group,) = contents(ran(config, [[[1.0], [1.0]]], [[[[2.0], None]], [[[6.0], [2.0]]]]))
    first, second = group["params"]
    assert (first["z"], second["z"], second["v"]) == ([0.75], [1.0], [4.0])
    assert adopt.only_fills(True, 7)
    assert not adopt.only_fills(False, 1)


# ----------------------------------------------------------------------------------------------------------- OrthoGrad


def projected(g: list[float], y: list[float]) -> list[float]:
    return orthograd.orthogonal(np.array(g), ParamState(y=np.array(y))).tolist()


@pytest.mark.clause("PPSF-M-007")
def test_what_is_orthogonal_is_as_long_as_the_gradient() -> None:
    assert projected([3.0, 4.0], [2.0, 0.0]) == [0.0, 5.0]
    assert projected([3.0, 4.0], [0.0, 0.0]) == [3.0, 4.0]
    assert projected([0.0, 0.0], [2.0, 1.0]) == [0.0, 0.0]
    assert projected([], []) == []


@pytest.mark.clause("PPSF-M-007")
def test_what_is_parallel_leaves_nothing_and_little_more_leaves_little() -> None:
    """No jump on the way from nothing to the length of the gradient."""
    shares = [0.0, 0.5, 1.0, 1.25, 1.5, 1.75]
    lengths = [projected([1.0, t * orthograd.LEAST_SHARE], [1.0, 0.0])[1] for t in shares]
    assert lengths[:3] == [0.0] * 3
    assert lengths[3:] == sorted(set(lengths[3:]))
    assert 0 < lengths[3] < lengths[-1] < 1


@pytest.mark.clause("PPSF-M-007")
@pytest.mark.parametrize("seed", range(20))
def test_rounding_in_a_parallel_gradient_is_certainly_nothing(seed: int) -> None:
    """With its error bound the result is exactly 0, so whatever moves such a weight is found."""
    numbers, y = Running(Arithmetic()), np.float32(np.random.default_rng(seed).normal(size=1 + seed % 2 * 8))
    left = orthograd.orthogonal(numbers.array(np.float32(y * np.float32(0.7))), ParamState(y=numbers.array(y)))
    assert not left.value.any()
    assert not left.bound.any()


@pytest.mark.clause("PPSF-M-007", "PPSF-D-003")
def test_the_statistics_see_the_whole_gradient() -> None:
    (group,) = contents(ran(configured(replace(DYADIC, use_orthograd=True)), [[[1.0]]], [[[[2.0]]]]))
    (p,) = group["params"]
    assert (p["y"], p["v"], p["s"]) == ([1.0], [0.0], [1.0])


# --------------------------------------------------------------------------------------------------------------- FOCUS

FOCUS = replace(DYADIC, use_focus=True)


@pytest.mark.clause("PPSF-M-008", "PPSF-L-001")
def test_the_average_starts_at_the_weights_and_follows_them() -> None:
    """First v = y = 1 and u = 1, so y = 7/8; then v' = 1 - 1/4 1/8, whatever d does."""
    (first,) = contents(ran(configured(FOCUS), [[[1.0]]], [[[[2.0]]]]))[0]["params"]
    assert (first["y"], first["v"]) == ([0.875], [1.0])
    for d_coef in (1.0, 64.0):
        config = configured(replace(FOCUS, d_coef=d_coef))
        (second,) = contents(ran(config, [[[1.0]]], [[[[2.0]]], [[[1.0]]]]))[0]["params"]
        assert second["v"] == [1 - 2.0**-5]
    law = focus.average(np.array([4.0]), np.array([2.0]), 0.75, 0.125)
    assert (law.compared.tolist(), law.kept.tolist()) == ([4.0], [3.5])


@pytest.mark.clause("PPSF-M-009")
def test_the_direction_is_made_of_signs() -> None:
    g, v, y = np.array([2.0, -0.5, 0.0, 0.0]), np.array([1.0, 1.0, 3.0, 1.0]), np.array([1.0, 2.0, 2.0, 1.0])
    assert focus.direction(g, v, y).tolist() == [1.0, -0.9, -0.1, 0.0]


@pytest.mark.clause("PPSF-M-009", "PPSF-M-006")
def test_under_adopt_focus_only_waits_one_step() -> None:
    both = replace(FOCUS, use_adopt=True, prodigy_steps=1)
    (p,) = contents(ran(configured(both), [[[1.0]]], [[[[5.0]]], [[[2.0]]]]))[0]["params"]
    (q,) = contents(ran(configured(replace(FOCUS, prodigy_steps=1)), [[[1.0]]], [[[[2.0]]]]))[0]["params"]
    assert p == q


@pytest.mark.clause("PPSF-O-005")
@pytest.mark.parametrize(("factored", "use_focus", "factors"), [(True, False, True), (True, True, False), (False,) * 3])
def test_focus_switches_factoring_off(factored: bool, use_focus: bool, factors: bool) -> None:
    assert options.factors(factored, use_focus) is factors


# --------------------------------------------------------------------------------------------------------------- SPEED

SPEED = replace(DYADIC, use_speed=True)


@pytest.mark.clause("PPSF-M-010", "PPSF-M-011")
def test_the_statistics_are_made_of_signs() -> None:
    """du = sqrt(1/4) 1/4 = 1/8. First s = 1/8 and A = 0; then y lies below x0, so A = 1/8, and s = 1/16 + 1/8."""
    first = contents(ran(configured(SPEED), [[[1.0]]], [[[[2.0]]]]))[0]
    assert (first["d_numerator"], first["d_denom"], first["params"][0]["s"]) == (0.0, 0.125, [0.125])
    (second,) = contents(ran(configured(SPEED), [[[1.0]]], [[[[2.0]]], [[[64.0]]]]))
    assert (second["d_numerator"], second["d_denom"]) == (0.125, 0.1875)


@pytest.mark.clause("PPSF-M-011")
@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_the_estimate_does_not_see_the_size_of_gradients(scale: float) -> None:
    options = replace(SPEED, eps=None, d_coef=8.0)
    plain, scaled = (
        contents(ran(configured(options), [[[1.0, -2.0]]], [[[[f * g, f * 0.5]]] for g in (2.0, 1.0, -3.0, 1.0)]))[0]
        for f in (1.0, scale)
    )
    assert (plain["d"], plain["d_numerator"], plain["d_denom"]) == (
        scaled["d"],
        scaled["d_numerator"],
        scaled["d_denom"],
    )
    assert plain["d"] > plain["d_prev"] or plain["d"] > options.d0


@pytest.mark.clause("PPSF-M-012")
def test_growth_is_capped_and_never_negative() -> None:
    cap = np.float64(0.25) ** speed.GROWTH
    assert speed.next_estimate(np.float64(0.25), np.float64(1.5)) == distance.Estimate(cap, 0.25)
    assert speed.next_estimate(np.float64(0.25), np.float64(0.1)) == distance.Estimate(0.25, 0.25)
    assert speed.next_estimate(np.float64(2.0), np.float64(2.5)) == distance.Estimate(2.0, 2.0)


@pytest.mark.clause("PPSF-M-012")
def test_a_power_in_float32_may_round_its_exponent() -> None:
    """0.975 is no float32 number, and far from 1 that matters more than the rounding of the result."""
    d = np.float32(1e-30)
    bounded = Running(Arithmetic(scalar=FLOAT32)).scalar(float(d)).power(speed.GROWTH)
    rounded = np.float64(d) ** np.float64(np.float32(speed.GROWTH))
    assert bounded.low <= rounded <= bounded.high
    assert abs(rounded - float(bounded.value)) > 4 * float(bounded.value) * 2.0**-24


@pytest.mark.clause("PPSF-M-013")
def test_updates_are_clipped_to_one_from_the_start() -> None:
    options = Options(use_speed=True, d0=0.25)
    (p,) = contents(ran(configured(options), [[[1.0, 1.0]]], [[[[2.0, 2.0]]]]))[0]["params"]
    (q,) = contents(ran(configured(replace(options, use_speed=False)), [[[1.0, 1.0]]], [[[[2.0, 2.0]]]]))[0]["params"]
    assert p["y"] == [0.75, 0.75]
    assert q["y"][0] < -1


@pytest.mark.clause("PPSF-X-003")
def test_groups_that_share_an_estimate_agree_on_speed() -> None:
    with pytest.raises(ValueError, match="use_speed"):
        errors.refuse_forbidden((Options(use_speed=True), Options()), split_groups=False)
    errors.refuse_forbidden((Options(use_speed=True), Options()), split_groups=True)
