"""The adapter for optax: the same numbers on both sides, and a plain word about what there is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ppsf_conformance.adapter import Group, Lacking, Weights
from ppsf_conformance.run import implementation_for

PRODIGY = "optax.contrib:prodigy@optax==0.2.8"
SCHEDULE_FREE = "optax.contrib:schedule_free_adamw@optax==0.2.8"
VALUES = np.array([1.0, -0.5, 2.0**-126, 0.1 + 2.0**-55])


def session(target: str = PRODIGY, **options: Any) -> Any:
    groups = [Group((Weights(VALUES),), {}), Group((Weights(np.ones((2, 3))),), {})]
    return implementation_for(target).new(groups, options)


def gradients() -> list[list[Any]]:
    return [[np.array([1.0, -2.0, 0.0, 0.5])], [np.full((2, 3), 0.25)]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_the_given_ones_in_their_dtype(dtype: str) -> None:
    made = implementation_for(PRODIGY).new([Group((Weights(VALUES[:2], dtype),), {})], {})
    snapshot = made.snapshot()
    assert np.array_equal(snapshot.state.groups[0].params[0].y, VALUES[:2])
    assert snapshot.formats[0][0]["y"] == dtype


def test_a_step_moves_weights_and_counts() -> None:
    made = session()
    before = made.snapshot().state.groups
    made.step(gradients())
    after = made.snapshot().state.groups
    assert [group.k for group in before] == [1, 1]
    assert [group.k for group in after] == [2, 2]
    assert not np.array_equal(before[0].params[0].y, after[0].params[0].y)
    assert np.array_equal(after[1].params[0].x0, np.ones(6)), "the first weights, flattened"


def test_what_is_not_stored_is_computed_from_what_is() -> None:
    made = session()
    made.step(gradients())
    group = made.snapshot().state.groups[0]
    assert group.d_denom == sum(np.abs(p.s).sum() for g in made.snapshot().state.groups for p in g.params)
    assert group.d_max == group.d


def test_options_have_the_names_of_the_law() -> None:
    assert session(d0=0.5).snapshot().state.groups[0].d == 0.5
    with pytest.raises(TypeError):
        session(estim_lr=0.5)


def test_eval_mode_shows_the_average_and_training_goes_on_from_where_it_was() -> None:
    made = session(SCHEDULE_FREE, lr=0.5)
    made.step(gradients())
    made.step(gradients())
    before = made.snapshot().state
    made.eval()
    shown = made.snapshot().state
    assert (before.train_mode, shown.train_mode) == (True, False)
    assert not np.array_equal(before.groups[0].params[0].y, shown.groups[0].params[0].y)
    made.train()
    assert np.array_equal(made.snapshot().state.groups[0].params[0].y, before.groups[0].params[0].y)


def test_a_rate_changes_by_a_schedule_where_there_is_one() -> None:
    made = session()
    made.set_lr(0, 0.0)
    before = made.snapshot().state.groups[0].params[0].m
    made.step(gradients())
    assert not np.array_equal(made.snapshot().state.groups[0].params[0].m, before)
    assert np.array_equal(made.params[0][0], VALUES.astype(np.float32)) or made.number("d") != made.number("d")
    with pytest.raises(Lacking):
        session(SCHEDULE_FREE, lr=0.5).set_lr(0, 0.1)


@pytest.mark.parametrize(
    "asked",
    [
        lambda made: made.add_group(Group((Weights(VALUES),), {})),
        lambda made: made.step_with_closure(gradients(), print),
        lambda made: made.step_alone((0, 0), VALUES),
        lambda made: made.step_with_foreign_gradient("sparse"),
    ],
)
def test_what_there_is_not_is_said(asked: Any) -> None:
    with pytest.raises(Lacking):
        asked(session())


def test_options_of_a_group_are_refused() -> None:
    with pytest.raises(Lacking):
        implementation_for(PRODIGY).new([Group((Weights(VALUES),), {"weight_decay": 0.1})], {})


@pytest.mark.parametrize("how", ["saved", "deepcopy", "pickle"])
def test_a_copy_goes_on_like_the_original(how: Any) -> None:
    made = session()
    made.step(gradients())
    twin = made.copied(how)
    for one in (made, twin):
        one.step(gradients())
    first, second = (one.snapshot().state.groups[0].params[0].y for one in (made, twin))
    assert np.array_equal(first, second)


def test_with_the_face_of_a_torch_optimizer_it_is_the_same() -> None:
    param = torch.nn.Parameter(torch.ones(3))
    optimizer = implementation_for(PRODIGY).replayable([{"params": [param]}], estim_lr0=0.5)
    param.grad = torch.ones(3)
    optimizer.step()
    assert optimizer.param_groups[0]["count"] == 1
    exact = float(np.float32(1 - 0.9) * np.float32(0.5))
    assert optimizer.state[param]["exp_avg"].tolist() == [exact] * 3
    assert param.detach().max() < 1
