"""A step worked by hand, and what has to stay the same when only names, order or grouping change."""

from __future__ import annotations

import copy
import inspect
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ppsf_ref.step
from ppsf_ref import Options, State, evaluate, initial_state, step, train
from ppsf_ref.clauses import errors, groups, lifecycle, options, update
from tests.ref.helpers import configured, contents, ran

#: Powers of two throughout: every product below is exact.
DYADIC = Options(lr=0.5, betas=(0.5, 0.75), beta3=0.5, d0=0.25, eps=1.0, use_stableadamw=False)
RNG = np.random.default_rng(0)
WEIGHTS = [RNG.normal(size=shape) for shape in ((5,), (3, 34), (23,))]
GRADIENTS = [[np.random.default_rng([t, j]).normal(size=w.shape) for j, w in enumerate(WEIGHTS)] for t in range(4)]


def after(options: Options, *, steps: int = 3, rows: Any = GRADIENTS, **whole: Any) -> State:
    """Three parameters in one group, a few steps on."""
    return ran(configured(options, dtypes=[("float32",) * 3], **whole), [WEIGHTS], [[row] for row in rows[:steps]])


# -------------------------------------------------------------------------------------------------------- by hand


@pytest.mark.clause("PPSF-V-001", "PPSF-V-004", "PPSF-U-002", "PPSF-Z-001", "PPSF-Z-002", "PPSF-Z-003", "PPSF-L-001")
def test_first_step_by_hand() -> None:
    """g = 2: v = g²/4 = 1, u = 2/(1 + 1) = 1, dlr = 1/8, c = 1, so y' = z' = 1 - 1/8; s = sqrt(1/4) g = 1."""
    (group,) = contents(ran(configured(DYADIC), [[[1.0]]], [[[[2.0]]]]))
    assert group == {
        "k": 2, "d": 0.25, "d_prev": 0.25, "d_numerator": 0.0, "d_denom": 1.0, "weight_sum": 2.0**-6,
        "params": [{"y": [0.875], "z": [0.875], "x0": [1.0], "s": [1.0], "v": [1.0], "v_row": None, "v_col": None,
                    "rms_sq": None}],
    }  # fmt: skip


@pytest.mark.clause("PPSF-D-002", "PPSF-D-003", "PPSF-D-004", "PPSF-D-005", "PPSF-D-006", "PPSF-D-007", "PPSF-Z-001")
def test_second_step_by_hand() -> None:
    """With g = 1: v = 3/4 + 1/4 = 1 and u = 1/2.

    A = 1/2 (1 - 7/8) = 1/16 = N, s = 1/2 + 1/2 = 1 = D, c = 1/2, xi = 3/4; z - dlr u = 7/8 - 1/16 and, as y = z,
    y - dlr xi u = 7/8 - 3/64. The candidate atan2(1/16, 1) stays below d = 1/4.
    """
    (group,) = contents(ran(configured(DYADIC), [[[1.0]]], [[[[2.0]]], [[[1.0]]]]))
    (p,) = group["params"]
    assert (p["v"], p["s"], p["z"], p["y"]) == ([1.0], [1.0], [0.8125], [0.828125])
    assert (group["d_numerator"], group["d_denom"], group["d"]) == (0.0625, 1.0, 0.25)
    assert (group["weight_sum"], group["k"]) == (2.0**-5, 3)


@pytest.mark.clause("PPSF-D-006", "PPSF-D-007", "PPSF-V-001")
def test_growth_by_hand() -> None:
    """With d_coef 64 the same candidate is atan2(4, 1) > d; d_prev keeps d, and then rescales v once."""
    grown = replace(DYADIC, d_coef=64.0)
    (group,) = contents(ran(configured(grown), [[[1.0]]], [[[[2.0]]], [[[1.0]]]]))
    assert (group["d"], group["d_prev"]) == (math.atan2(4.0, 1.0), 0.25)
    (group,) = contents(ran(configured(grown), [[[1.0]]], [[[[2.0]]], [[[1.0]]], [[[0.0]]]]))
    rescaled = 0.75 * (0.25 / math.atan2(4.0, 1.0)) ** 2
    assert group["params"][0]["v"] == [float(np.float32(rescaled))]


@pytest.mark.clause("PPSF-W-001")
def test_decay_through_the_update_by_hand() -> None:
    """u = 1 + 1/2 y = 3/2, so z' = 1 - 3/16."""
    state = ran(configured(replace(DYADIC, weight_decay=0.5)), [[[1.0]]], [[[[2.0]]]])
    assert contents(state)[0]["params"][0]["z"] == [0.8125]


@pytest.mark.clause("PPSF-W-002")
def test_decay_beside_the_update_by_hand() -> None:
    """z' = 7/8 - 1/2, not times dlr; in the first step xi = 1 and y' = z'. In the second xi = 3/4."""
    beside = replace(DYADIC, weight_decay=0.5, weight_decay_by_lr=False)
    (first,) = contents(ran(configured(beside), [[[1.0]]], [[[[2.0]]]]))[0]["params"]
    assert (first["y"], first["z"]) == ([0.375], [0.375])
    (second,) = contents(ran(configured(beside), [[[1.0]]], [[[[2.0]]], [[[1.0]]]]))[0]["params"]
    assert (second["y"], second["z"]) == ([0.1875], [0.125])


@pytest.mark.clause("PPSF-C-001")
def test_clipping_by_hand() -> None:
    """(1, 7) has root mean square 5."""
    u = np.array([1.0, 7.0])
    assert update.clipped(u, 2.5).tolist() == [0.5, 3.5]
    assert update.clipped(u, 5.0).tolist() == [1.0, 7.0]
    assert update.clipped(u, 50.0).tolist() == [1.0, 7.0]
    assert update.clipped(0 * u, 1.0).tolist() == [0.0, 0.0]


@pytest.mark.clause("PPSF-Z-004", "PPSF-Z-005", "PPSF-L-003")
def test_modes_by_hand() -> None:
    """y = 0.828125, z = 0.8125, beta1 = 1/2: x = 2y - z, and back."""
    config = configured(DYADIC)
    state = ran(config, [[[1.0]]], [[[[2.0]]], [[[1.0]]]])
    at_rest = evaluate(config, state)
    assert at_rest.groups[0].params[0].y.tolist() == [0.84375]
    assert evaluate(config, at_rest) is at_rest
    assert contents(train(config, at_rest)) == contents(state)


# -------------------------------------------------------------------------------------------------- what is the same


@pytest.mark.parametrize("given", [Options(), Options(d0=1e-2, weight_decay=0.1), Options(eps=None)])
@pytest.mark.clause("PPSF-G-002")
def test_one_group_is_the_same_pool_split_or_not(given: Options) -> None:
    assert contents(after(given, split_groups_mean=False)) == contents(after(given, split_groups=False))


@pytest.mark.clause("PPSF-G-003")
def test_the_harmonic_mean_over_one_group_is_its_own_estimate() -> None:
    """Exactly so for a power of two, whose reciprocals do not round."""
    frozen = Options(d0=2.0**-7, prodigy_steps=1)
    assert contents(after(frozen)) == contents(after(frozen, split_groups=False))


def test_the_order_of_parameters_does_not_matter() -> None:
    """Two of them, so that sums have one order only."""
    config = configured(Options(), dtypes=[("float32",) * 2])
    (straight,) = contents(ran(config, [WEIGHTS[:2]], [[row[:2]] for row in GRADIENTS]))
    (swapped,) = contents(ran(config, [WEIGHTS[1::-1]], [[row[1::-1]] for row in GRADIENTS]))
    assert {**swapped, "params": swapped["params"][::-1]} == straight


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.clause("PPSF-G-003")
def test_the_order_of_groups_does_not_matter(mean: bool) -> None:
    first, second = Options(d0=1e-3), Options(lr=0.5, betas=(0.8, 0.9))
    straight, swapped = (
        contents(
            ran(configured(*given, split_groups_mean=mean), [[w] for w in WEIGHTS[:2][::way]],
                [[[g] for g in row[:2][::way]] for row in GRADIENTS])
        )
        for given, way in (((first, second), 1), ((second, first), -1))
    )  # fmt: skip
    assert swapped[::-1] == straight


@pytest.mark.clause("PPSF-R-004")
def test_only_the_random_bits_depend_on_the_place_of_a_parameter() -> None:
    given = Options(d0=1e-2)
    alone = ran(configured(given, dtypes=[("bfloat16",)]), [[WEIGHTS[0]]], [[[GRADIENTS[0][0]]]])
    shifted = ran(
        configured(given, dtypes=[("bfloat16",) * 2]), [[WEIGHTS[1], WEIGHTS[0]]], [[[None, GRADIENTS[0][0]]]]
    )
    p, q = contents(alone)[0]["params"][0], contents(shifted)[0]["params"][1]
    assert {name: p[name] for name in ("v", "s", "x0")} == {name: q[name] for name in ("v", "s", "x0")}
    assert p["y"] != q["y"]
    apart = np.abs(np.array(p["y"]) - np.array(q["y"]))
    assert (apart <= np.abs(np.array(p["y"])) * 2.0**-7).all()  # neighbours


def test_a_step_changes_nothing_that_it_is_given() -> None:
    config = configured(Options(), dtypes=[("float32",) * 3])
    state = after(Options())
    kept, rows = copy.deepcopy(contents(state)), copy.deepcopy(GRADIENTS[3])
    step(config, state, [GRADIENTS[3]])
    assert contents(state) == kept
    assert all((a == b).all() for a, b in zip(rows, GRADIENTS[3], strict=True))


# --------------------------------------------------------------------------------------------------- window and idling


@pytest.mark.clause("PPSF-D-008", "PPSF-D-009")
def test_after_the_window_d_is_frozen_and_its_memory_released() -> None:
    growing, steady = Options(d0=1e-2, prodigy_steps=2), [GRADIENTS[0]] * 4
    inside, outside, later = (contents(after(growing, steps=n, rows=steady))[0] for n in (2, 3, 4))
    free = contents(after(replace(growing, prodigy_steps=0), steps=2, rows=steady))[0]
    assert inside["d"] == free["d"] > 1e-2
    assert all(p["s"] is None and p["x0"] is None for p in inside["params"])
    for now in (outside, later):
        assert (now["d"], now["d_prev"], now["d_numerator"], now["d_denom"]) == (
            inside["d"], inside["d"], inside["d_numerator"], inside["d_denom"],
        )  # fmt: skip
    assert (inside["k"], outside["k"], later["k"]) == (3, 4, 5)


@pytest.mark.clause("PPSF-D-008")
def test_a_window_of_one_step_never_moves_d() -> None:
    (group,) = contents(after(Options(prodigy_steps=1), steps=4, rows=[GRADIENTS[0]] * 4))
    assert (group["d"], group["d_prev"]) == (1e-6, 1e-6)


@pytest.mark.clause("PPSF-G-001", "PPSF-G-006", "PPSF-L-002", "PPSF-Z-006")
@pytest.mark.parametrize("idle", ["no gradient", "lr 0"])
def test_a_pool_that_takes_no_part_keeps_every_bit(idle: str) -> None:
    config = configured(Options(), Options(d0=1e-3))
    state = ran(config, [[WEIGHTS[0]], [WEIGHTS[2]]], [[[row[0]], [row[2]]] for row in GRADIENTS])
    pausing = replace(config, groups=(config.groups[0], replace(config.groups[1], lr=0.0 if idle == "lr 0" else 1.0)))
    moved = step(pausing, state, [[GRADIENTS[0][0]], [GRADIENTS[0][2] if idle == "lr 0" else None]])
    assert contents(moved)[1] == contents(state)[1]
    assert contents(moved)[0] != contents(state)[0]


@pytest.mark.clause("PPSF-L-004")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_ends_the_step(bad: float) -> None:
    config = configured(Options(), Options())
    state = initial_state(config, [[np.ones(2)], [np.ones(2)]])
    assert step(config, state, [[np.ones(2)], [np.array([1.0, bad])]]) is state


@pytest.mark.clause("PPSF-L-004", "PPSF-G-001")
def test_a_gradient_that_takes_no_part_is_not_read() -> None:
    config = configured(Options(), Options(lr=0.0))
    state = initial_state(config, [[np.ones(2)], [np.ones(2)]])
    moved = step(config, state, [[np.ones(2)], [np.full(2, np.nan)]])
    assert (moved.groups[0].k, moved.groups[1].k) == (2, 1)


@pytest.mark.clause("PPSF-X-004")
def test_a_step_in_eval_mode_is_refused() -> None:
    config = configured(Options())
    state = evaluate(config, initial_state(config, [[np.ones(2)]]))
    with pytest.raises(RuntimeError, match="train"):
        step(config, state, [[None]])


@pytest.mark.parametrize("shape", [(), (0,), (0, 33), (1,), (33, 0)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.clause("PPSF-C-001", "PPSF-V-002")
def test_parameters_with_one_element_or_none(shape: tuple[int, ...], dtype: str) -> None:
    config = configured(Options(weight_decay=0.1), dtypes=[(dtype,)])
    state = ran(config, [[np.ones(shape)]], [[[np.ones(shape)]]] * 3)
    assert state.groups[0].params[0].y.shape == shape
    assert np.isfinite(state.groups[0].d)


# -------------------------------------------------------------------------------------------------- beside the step


@pytest.mark.clause("PPSF-O-003")
def test_keys_of_other_people_in_a_group_are_ignored() -> None:
    assert options.group_options(Options(), {"lr": 0.5, "name": "encoder", "initial_lr": 1.0}) == Options(lr=0.5)


@pytest.mark.clause("PPSF-O-001", "PPSF-O-002")
def test_what_follows_from_options() -> None:
    assert options.resolved_beta3(None, 0.25) == 0.5
    assert options.resolved_beta3(0.0, 0.25) == 0.0
    assert [options.clips(True, eps) for eps in (None, 1e-8)] == [False, True]


WRONG_TYPES = (
    ("lr", "1"), ("lr", None), ("lr", True), ("betas", 0.9), ("betas", (0.9, "x")), ("prodigy_steps", 2.5),
    ("prodigy_steps", True), ("factored", 1), ("rounding_seed", 1.5), ("eps", "tiny"),
)  # fmt: skip
WRONG_VALUES = (
    ("lr", 0.0), ("lr", math.nan), ("lr", math.inf), ("betas", (-0.1, 0.9)), ("betas", (0.9, 1.0)), ("betas", (0.9,)),
    ("beta3", 1.0), ("weight_decay", -1.0), ("d0", 0.0), ("eps", 0.0), ("prodigy_steps", -1), ("rounding_seed", -1),
)  # fmt: skip


@pytest.mark.clause("PPSF-X-002")
def test_wrong_types_and_wrong_values_are_told_apart() -> None:
    for name, value in WRONG_TYPES:
        with pytest.raises(TypeError, match=name):
            errors.refuse_outside(name, value)
    for name, value in WRONG_VALUES:
        with pytest.raises(ValueError, match=name):
            errors.refuse_outside(name, value)
    errors.refuse_outside("lr", 0.0, at_step=True)
    errors.refuse_outside("betas", [0.9, 0.0])
    errors.refuse_outside("eps", None)


@pytest.mark.clause("PPSF-L-007")
@pytest.mark.parametrize("split", [True, False])
def test_a_group_added_later(split: bool) -> None:
    first = after(Options()).groups[0]
    fresh = initial_state(configured(Options(d0=1e-3)), [[np.ones(2)]]).groups[0]
    added = lifecycle.added_group(fresh, first, split)
    assert added == (fresh if split else groups.joined(fresh, first, 1))
    assert added.weight_sum == 0


def test_the_algorithm_stays_on_one_page() -> None:
    text = Path(inspect.unwrap(ppsf_ref.step).__code__.co_filename).read_text("utf-8")
    assert len(text.splitlines()) <= 140
