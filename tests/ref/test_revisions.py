"""The clauses of revisions beside 1.9, worked by hand, and what holds between revisions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ppsf_ref import Options, State, load_revision, options_of, overriding, step
from ppsf_ref.clauses import adopt, average, distance, groups, modifiers, moment, options, rounding, speed, update
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.formats import BFLOAT16, FLOAT32, nearest
from ppsf_ref.modes import initial_state
from ppsf_ref.options import Config, revision_names, whole_options

F = np.float64

#: Clause, function, arguments, result: powers of two and squares, so that every number is exact.
BY_HAND: tuple[tuple[str, Callable[..., Any], tuple[Any, ...], Any], ...] = (
    ("PPSF-O-010", options.resolved_beta4, (None, 0.75), 0.75),
    ("PPSF-O-010", options.resolved_beta4, (0.0, 0.75), 0.0),
    ("PPSF-O-010", options.resolved_beta4, (-0.5, 0.75), -0.5),
    ("PPSF-D-020", distance.squared_weight, (F(2), F(0.25)), 8.0),
    ("PPSF-D-021", distance.prodigy_weights, (F(2), F(0.5), F(8), False), (32.0, 32.0)),
    ("PPSF-D-021", distance.prodigy_weights, (F(2), F(0.5), F(8), True), (32.0, 8.0)),
    ("PPSF-D-022", distance.share_weight, (F(8), F(0.75)), 2.0),
    ("PPSF-D-023", distance.amplified, (F(-4),), -2.0),
    ("PPSF-D-023", distance.amplified, (F(0),), 0.0),
    ("PPSF-D-024", distance.plain_numerator, (F(2), F(-3), F(0.5)), -2.0),
    ("PPSF-D-025", distance.ratio_estimate, (F(3), F(2), F(4)), 6.0),
    ("PPSF-D-025", distance.ratio_estimate, (F(3), F(0), F(4)), 0.0),
    ("PPSF-D-026", distance.limited_estimate, (F(1), F(5), F(4)), 2**0.25),
    ("PPSF-D-026", distance.limited_estimate, (F(1), F(1.125), F(4)), 1.125),
    ("PPSF-D-027", distance.floored_estimate, (F(-3), F(0.25)), 0.25),
    ("PPSF-D-028", distance.smoothed_estimate, (F(4), F(2), F(0.75)), (3.5, 4.0)),
    ("PPSF-D-028", distance.smoothed_estimate, (F(4), F(8), F(0.75)), (5.0, 4.0)),
    ("PPSF-D-028", distance.smoothed_estimate, (F(4), F(2), F(-0.75)), (3.5, 4.0)),
    ("PPSF-D-028", distance.smoothed_estimate, (F(4), F(8), F(-0.75)), (8.0, 4.0)),
    ("PPSF-D-028", distance.smoothed_estimate, (F(4), F(4), F(0.75)), (4.0, 4.0)),
    ("PPSF-D-028", distance.smoothed_estimate, (F(4), F(4), F(-0.75)), (4.0, 4.0)),
    ("PPSF-D-029", distance.capped_estimate, (F(1), F(8), F(1), F(1), 2.0), (8.0, 8.0)),
    ("PPSF-D-029", distance.capped_estimate, (F(2), F(16), F(2), F(1), 2.0), (4.0, 16.0)),
    ("PPSF-D-029", distance.capped_estimate, (F(4), F(1), F(16), F(1), 2.0), (8.0, 16.0)),
    ("PPSF-D-029", distance.capped_estimate, (F(2), F(16), F(2), F(1), math.inf), (16.0, 16.0)),
    ("PPSF-D-030", distance.has_evidence, (F(0),), False),
    ("PPSF-D-030", distance.has_evidence, (F(1e-30),), True),
    ("PPSF-D-031", distance.ceiling, (F(2.0**41),), 2.0**40),
    ("PPSF-D-031", distance.ceiling, (F(3),), 3.0),
    ("PPSF-G-010", groups.effective_lr, (F(6), F(2)), 3.0),
    ("PPSF-V-010", moment.weighted_moment, (F(8), F(3), F(0.75), F(2)), 15.0),
    ("PPSF-V-012", moment.last_axes, ((2, 3, 4), True), (2, 1)),
    ("PPSF-V-012", moment.last_axes, ((2, 3, 4), False), None),
    ("PPSF-V-012", moment.last_axes, ((7,), True), None),
    ("PPSF-V-012", moment.last_axes, ((0, 7), True), None),
    ("PPSF-V-013", moment.corrected_moment, (F(3), F(0.5), 2), 4.0),
    ("PPSF-U-010", update.momentum, (F(4), F(3), F(0.75), F(8)), 9.0),
    ("PPSF-U-010", update.momentum, (None, F(3), F(0.75), F(8)), 24.0),
    ("PPSF-U-011", update.weighted_gradient, (F(3), F(0.5)), 1.5),
    ("PPSF-U-012", update.weighted_quotient, (F(3), F(1), F(0.5), F(4), F(1)), 1.0),
    ("PPSF-U-013", update.scaled_angle, (F(2), F(2), 4.0), math.pi),
    ("PPSF-U-013", update.scaled_angle, (F(0), F(0), 4.0), 0.0),
    ("PPSF-Z-010", average.averaging_by_largest, (F(5), F(2), F(1), F(3), 1.0, 2.0), (12 / 17, 17.0, 2.0)),
    ("PPSF-Z-010", average.averaging_by_largest, (F(0), F(0), F(0), F(1), 0.0, 0.0), (1.0, 1.0, 0.0)),
    ("PPSF-Z-010", average.averaging_by_largest, (F(0), F(0), F(0), F(1), 0.0, 2.0), (0.0, 0.0, 0.0)),
    ("PPSF-Z-011", average.refined, (F(0.25), F(0.5), 4.0), 0.5),
    ("PPSF-Z-011", average.refined, (F(0.75), F(0.5), 4.0), 1.0),
    ("PPSF-Z-012", average.without_average, (F(5), F(2), F(0.5)), 4.0),
    ("PPSF-W-010", average.decayed_weights, (F(8), F(0.25), F(0.5), True), 7.0),
    ("PPSF-W-010", average.decayed_weights, (F(8), F(0.25), F(0.5), False), 6.0),
    ("PPSF-W-011", average.coupled_gradient, (F(1), F(8), F(0.25)), 3.0),
    ("PPSF-O-011", options.correction, ("radam", True), "radam"),
    ("PPSF-O-011", options.correction, ("radam_in_moment", False), "adam"),
    ("PPSF-M-020", modifiers.adam_corrected, (F(1), F(0.5), F(0.75), 1), 1.0),
    ("PPSF-M-020", modifiers.adam_corrected, (F(3), F(0.5), F(0.4375), 1), 4.5),
    ("PPSF-M-021", modifiers.warmed_up, (F(8), 1, 4), 2.0),
    ("PPSF-M-021", modifiers.warmed_up, (F(8), 4, 4), 8.0),
    ("PPSF-M-021", modifiers.warmed_up, (F(8), 9, 4), 8.0),
    ("PPSF-M-022", modifiers.peak_after, (modifiers.Peak(1, None), False, 7, 2), (2, 7)),
    ("PPSF-M-022", modifiers.peak_after, (modifiers.Peak(1, None), True, 7, 2), (0, None)),
    ("PPSF-M-022", modifiers.peak_after, (modifiers.Peak(5, 3), True, 7, 2), (0, 3)),
    ("PPSF-M-022", modifiers.peak_after, (modifiers.Peak(5, 3), False, 7, 2), (6, 3)),
    ("PPSF-M-032", adopt.normalized_moment, (F(4), F(9), F(0.75), F(16)), 3.5),
    ("PPSF-M-032", adopt.normalized_moment, (F(4), F(-1), F(0.75), F(16)), 2.75),
    ("PPSF-M-032", adopt.normalized_moment, (None, F(-9), F(0.75), F(16)), -2.0),
    ("PPSF-M-041", speed.course_item, (speed.Course(F(3), F(6), F(1)), F(8)), 1.0),
    ("PPSF-M-042", speed.growing_estimate, (F(2), F(9), F(8), F(9), F(1)), 2 * math.sqrt(9 / 8)),
    ("PPSF-M-042", speed.growing_estimate, (F(2), F(9), F(1), F(9), F(1)), 2 * 2**0.25),
    ("PPSF-M-042", speed.growing_estimate, (F(2), F(9), F(9), F(4), F(256)), 4.0),
    ("PPSF-M-042", speed.growing_estimate, (F(2), F(9), F(8), F(10), F(1)), 2.0),
    ("PPSF-M-042", speed.growing_estimate, (F(2), F(9), F(0), F(9), F(1)), 2.0),
    ("PPSF-M-042", speed.growing_estimate, (F(2), F(0), F(8), F(0), F(1)), 2.0),
    ("PPSF-M-023", modifiers.cosine_factor, (None, 7, 10), 1.0),
    ("PPSF-M-023", modifiers.cosine_factor, (0, 1, 4), 1.0),
    ("PPSF-M-023", modifiers.cosine_factor, (4, 5, 10), 1.0),
    ("PPSF-M-023", modifiers.cosine_factor, (4, 8, 10), 0.5),
    ("PPSF-M-023", modifiers.cosine_factor, (4, 11, 10), 0.0),
    ("PPSF-M-023", modifiers.cosine_factor, (12, 13, 10), 0.0),
    ("PPSF-M-023", modifiers.cosine_factor, (4, 505, None), 0.5),
    ("PPSF-M-023", modifiers.cosine_factor, (4, 1005, None), 0.0),
)


def plain(value: Any) -> Any:
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


@pytest.mark.clause(*sorted({clause for clause, *_ in BY_HAND}))
@pytest.mark.parametrize(
    ("clause", "function", "given", "expected"), BY_HAND, ids=[f"{c}-{i}" for i, (c, *_) in enumerate(BY_HAND)]
)
def test_by_hand(clause: str, function: Callable[..., Any], given: tuple[Any, ...], expected: Any) -> None:
    result = plain(function(*given))
    counts = expected is None or clause in ("PPSF-V-012", "PPSF-M-022", "PPSF-O-011")
    assert result == (expected if counts else pytest.approx(expected, rel=1e-15, abs=1e-16))


@pytest.mark.clause("PPSF-V-011")
def test_factored_moments_in_units_of_d() -> None:
    g = np.array([[1.0, 2.0], [3.0, 4.0]])
    old = Factors(row=np.array([[8.0], [8.0]]), col=np.array([[4.0, 4.0]]))
    new = moment.weighted_factors(old, g, Axes(dr=1, dc=0), F(0.5), F(2))
    assert new.row.tolist() == [[9.0], [29.0]]
    assert new.col.tolist() == [[12.0, 22.0]]


@pytest.mark.clause("PPSF-C-010")
def test_soft_clipping() -> None:
    """(4, 28) has root mean square 20; the root of it remains."""
    u = np.array([4.0, 28.0])
    assert update.softly_clipped(u) == pytest.approx(u / math.sqrt(20), rel=1e-15)
    assert update.softly_clipped(u / 64).tolist() == (u / 64).tolist()


@pytest.mark.clause("PPSF-M-030")
def test_a_cautious_first_moment_keeps_its_sign() -> None:
    """Two of four elements agree with the gradient: they are doubled; 0 agrees with nothing."""
    m, g = np.array([-1.0, 2.0, -3.0, 4.0]), np.array([-5.0, 0.0, 7.0, 1e-9])
    assert modifiers.cautious_momentum(m, g).tolist() == [-2.0, 0.0, 0.0, 8.0]
    assert modifiers.cautious_momentum(m, -m).tolist() == [0.0] * 4
    assert modifiers.cautious_momentum(np.zeros(0), np.zeros(0)).tolist() == []


@pytest.mark.clause("PPSF-M-031")
def test_a_first_moment_in_the_direction_of_the_gradient() -> None:
    m, g = np.array([-1.0, 2.0, -3.0, 4.0]), np.array([-5.0, 0.0, 7.0, -1e-9])
    assert modifiers.grams_momentum(m, g).tolist() == [-1.0, 0.0, 3.0, -4.0]


@pytest.mark.clause("PPSF-M-040")
def test_course_of_a_parameter() -> None:
    """At k = 16 the new inner product weighs an eighth."""
    first = speed.course(None, F(3), np.array([3.0, -4.0]), F(1))
    assert first == speed.Course(3.0, 7.0, 5.0)
    assert speed.course(first, F(11), np.array([0.0, 1.0]), F(16)) == speed.Course(4.0, 7.0, 5.0)
    assert speed.course(None, F(0), np.zeros(2), F(1)) == speed.Course(0.0, 1e-8, 1e-8)
    stored = F(np.float32(1e-8))  # which is less
    assert speed.course(speed.Course(F(0), stored, stored), F(0), np.zeros(2), F(2)) == speed.Course(0.0, 1e-8, 1e-8)


@pytest.mark.clause("PPSF-R-010")
def test_samples_in_bfloat16() -> None:
    forms = rounding.compact(rounding.storage("float32", True), True)
    assert (forms["s"], forms["x0"], forms["v"]) == (BFLOAT16, BFLOAT16, FLOAT32)
    assert rounding.compact(forms, False) == forms


@pytest.mark.clause("PPSF-R-010")
def test_the_first_item_is_what_rounding_makes_of_the_sample() -> None:
    """Without it the first displacement is 0."""
    weight = float(nearest(np.asarray(1.2345), FLOAT32))
    revision, found = load_revision("update3"), {}
    for bf16_state in (False, True):
        options = options_of(revision, bf16_state=bf16_state, amplify_gradients=False)
        config = Config(groups=(options,), dtypes=(("float32",),), revision=revision)
        state = step(config, initial_state(config, [[np.array([weight])]]), [[np.array([3.0])]])
        found[bf16_state] = float(state.groups[0].d_numerator)
    du = (1 - math.sqrt(0.99)) * 1e-6
    assert found == {False: 0.0, True: pytest.approx(du * 3 * (float(nearest(np.asarray(weight), BFLOAT16)) - weight))}


# ------------------------------------------------------------------------------------------------------ whole runs

RNG = np.random.default_rng(5)
WEIGHTS = [nearest(RNG.normal(size=shape), FLOAT32) for shape in ((5,), (3, 34), (23,), (40, 33))]
#: Nothing is rounded when it is stored: limits hold for real numbers.
UNSTORED = {"PPSF-R-002": lambda x, form: x, "PPSF-R-003": lambda x, bits: x}
#: How far two float64 computations of the same real numbers drift apart in these runs.
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def config(revision: str, count: int = 1, **given: Any) -> Config:
    """Groups with the same options, of WEIGHTS dealt out in turn."""
    law = load_revision(revision)
    own = {name: value for name, value in given.items() if name in Options.__dataclass_fields__}
    dtypes = tuple(("float32",) * len(WEIGHTS[i::count]) for i in range(count))
    return Config((options_of(law, **own),) * count, dtypes, law, **whole_options(law, given))


def gradient(y: Any, target: Any, scale: float) -> Any:
    return scale * (y - target)


def trained(
    config: Config,
    weights: list[list[Any]],
    steps: int = 12,
    scale: float = 1.0,
    changed: Callable[[Config, int], Config] = lambda config, step: config,
    gap: bool = False,
) -> list[State]:
    """States of a run towards fixed targets; ``gap``: the first parameter of a group has no gradient for a while."""
    targets = [[np.cos(np.arange(w.size)).reshape(w.shape) for w in row] for row in weights]
    states = [initial_state(config, weights)]
    with overriding(UNSTORED):
        for k in range(steps):
            rows = zip(states[-1].groups, targets, strict=True)
            grads = [[gradient(p.y, t, scale) for p, t in zip(group.params, row, strict=True)] for group, row in rows]
            if gap and 6 <= k < 10:
                grads = [[None, *row[1:]] for row in grads]
            states.append(step(changed(config, k), states[-1], grads))
    return states


def ys(state: State) -> list[Any]:
    return [p.y for group in state.groups for p in group.params]


def ds(states: list[State]) -> list[list[float]]:
    return [[float(group.d) for group in state.groups] for state in states]


def assert_same_weights(a: State, b: State) -> None:
    for one, other in zip(ys(a), ys(b), strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.clause("PPSF-N-010")
@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_with_a_frozen_estimate_it_is_radam_schedule_free(revision: str) -> None:
    """Frozen from the first step on, in which d cannot have moved."""
    same = {"betas": (0.9, 0.99), "use_bias_correction": True, "weight_decay": 0.1}
    off = {"use_stableadamw": False, "factored": False, "prodigy_steps": 1, "d0": 0.05}
    ours = trained(config(revision, **same, **off), [WEIGHTS], 20)
    theirs = trained(config("schedulefree", lr=0.05, **same), [WEIGHTS], 20)
    assert ds(ours)[-1] == [0.05]
    assert_same_weights(ours[-1], theirs[-1])
    assert np.abs(ys(ours[-1])[0] - WEIGHTS[0]).max() > 1e-3


def falling(config: Config, step: int) -> Config:
    """A tenth of lr from the seventh step on."""
    return replace(
        config, groups=tuple(replace(group, lr=group.lr / (10 if step > 5 else 1)) for group in config.groups)
    )


@pytest.mark.clause("PPSF-N-010")
@pytest.mark.parametrize("case", [{"changed": falling}, {"gap": True}], ids=["lr falls", "a parameter sits out"])
def test_it_is_not_where_lr_falls_or_a_parameter_sits_out(case: dict[str, Any]) -> None:
    same = {"betas": (0.9, 0.99), "use_bias_correction": True}
    off = {"use_stableadamw": False, "factored": False, "prodigy_steps": 1, "d0": 0.05}
    ours = trained(config("1.9", **same, **off), [WEIGHTS], 20, **case)
    theirs = trained(config("schedulefree", lr=0.05, **same), [WEIGHTS], 20, **case)
    assert np.abs(ys(ours[-1])[0] - ys(theirs[-1])[0]).max() > 1e-4


@pytest.mark.clause("PPSF-N-011")
@pytest.mark.parametrize("case", [{"changed": falling}, {"use_bias_correction": True}], ids=["lr falls", "corrected"])
def test_without_averaging_it_is_prodigy_as_long_as_the_step_size_is_d(case: dict[str, Any]) -> None:
    same: dict[str, Any] = {"betas": (0.9, 0.999), "d0": 1e-3, "eps": 1e-30, "slice_p": 11}
    off: dict[str, Any] = {"use_schedulefree": False, "use_stableadamw": False, "factored": False, "d_limiter": False}
    same, run = ({**same, **case}, {}) if "changed" not in case else (same, case)
    ours = trained(config("2.0", **same, **off, split_groups=False), [WEIGHTS], **run)
    theirs = trained(config("prodigy", **same), [WEIGHTS], **run)
    assert abs(ds(ours)[-1][0] / ds(theirs)[-1][0] - 1) > 1e-2


@pytest.mark.clause("PPSF-N-011")
def test_without_averaging_it_is_prodigy() -> None:
    same: dict[str, Any] = {"betas": (0.9, 0.999), "d0": 1e-3, "eps": 1e-30, "slice_p": 11, "weight_decay": 0.1}
    off: dict[str, Any] = {"use_schedulefree": False, "use_stableadamw": False, "factored": False, "d_limiter": False}
    ours = trained(config("2.0", **same, **off, split_groups=False), [WEIGHTS])
    theirs = trained(config("prodigy", **same), [WEIGHTS])
    assert ds(ours)[-1][0] > 5e-3
    np.testing.assert_allclose(ds(ours), ds(theirs), **CLOSE)
    assert_same_weights(ours[-1], theirs[-1])


SCALED = {"1.9": {"eps": None}, "2.0": {"eps": None}, "update3": {}, "prodigy": {"eps": 1e-200}}


@pytest.mark.clause("PPSF-N-012")
@pytest.mark.parametrize("amplify", [False, True])
@pytest.mark.parametrize("revision", SCALED)
@pytest.mark.parametrize("scale", [1e-6, 3.0, 1e6])
def test_the_scale_of_the_gradients_does_not_matter(revision: str, amplify: bool, scale: float) -> None:
    given: dict[str, Any] = {"d0": 1e-3, "amplify_gradients": amplify, **SCALED[revision]}
    plain_run, scaled = (trained(config(revision, **given), [WEIGHTS], scale=s) for s in (1.0, scale))
    assert ds(plain_run)[-1][0] > 1e-3
    np.testing.assert_allclose(ds(plain_run), ds(scaled), **CLOSE)
    assert_same_weights(plain_run[-1], scaled[-1])


@pytest.mark.clause("PPSF-N-012")
@pytest.mark.parametrize(
    ("revision", "given"),
    [("1.9", {"eps": None, "use_muon_pp": True}), ("prodigy", {"eps": 1e-200, "weight_decay": 0.1, "decouple": False})],
)
def test_the_scale_matters_where_the_clause_says_so(revision: str, given: dict[str, Any]) -> None:
    plain_run, scaled = (trained(config(revision, d0=1e-3, **given), [WEIGHTS], scale=s) for s in (1.0, 1e-3))
    assert np.abs(ys(plain_run[-1])[1] - ys(scaled[-1])[1]).max() > 1e-2


@pytest.mark.clause("PPSF-N-013")
@pytest.mark.parametrize("revision", revision_names())
def test_the_order_of_groups_and_parameters_does_not_matter(revision: str) -> None:
    given: dict[str, Any] = {} if revision == "schedulefree" else {"d0": 1e-3}
    groups = [WEIGHTS[0::2], WEIGHTS[1::2]]
    turned = [list(reversed(row)) for row in reversed(groups)]
    there, back = (trained(config(revision, 2, **given), rows) for rows in (groups, turned))
    np.testing.assert_allclose(ds(there), [list(reversed(row)) for row in ds(back)], **CLOSE)
    for one, other in zip(ys(there[-1]), reversed(ys(back[-1])), strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.clause("PPSF-N-014")
@pytest.mark.parametrize("revision", ["update3", "1.9", "2.0", "prodigy"])
def test_groups_that_share_an_estimate_are_one_group(revision: str) -> None:
    given: dict[str, Any] = {"d0": 1e-3, "split_groups": False}
    two = trained(config(revision, 2, **given), [WEIGHTS[0::2], WEIGHTS[1::2]])
    one = trained(config(revision, 1, **given), [WEIGHTS[0::2] + WEIGHTS[1::2]])
    np.testing.assert_allclose(ds(two), [row * 2 for row in ds(one)], **CLOSE)
    assert ds(one)[-1][0] > 1e-3
    assert_same_weights(two[-1], one[-1])


@pytest.mark.clause("PPSF-M-022", "PPSF-M-023", "PPSF-L-005")
def test_a_decay_goes_on_after_a_resume() -> None:
    """The state holds all that the decay needs: cut in two, the run is the same."""
    given = config("prodigy", d0=1e-2, cosine_decay=True, peak_patience=3, total_training_steps=14)
    states = trained(given, [WEIGHTS], 14)
    peak = states[-1].groups[0].peak
    assert peak is not None
    assert 3 <= peak < 12
    moved = [np.abs(ys(b)[0] - ys(a)[0]).max() for a, b in itertools.pairwise(states)]
    assert moved[-1] < 0.2 * moved[peak]
    (later,) = states[peak + 2].groups
    assert (later.peak, later.k) == (peak, peak + 3)
