"""The estimate: it follows 64-bit arithmetic where it stalls and where it rises, and is held where the law holds it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from ppsf_conformance.lockstep import config_of, judge, play
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.run import OWN, implementation_for
from ppsf_fast import Prodigy, ProdigyPlusScheduleFree
from ppsf_ref import State, initial_state, step
from tests.fast.helpers import give_gradients, parameters, snapshot, train

SHAPE, STEPS = (40, 25), 20


def gradients(course: str) -> list[np.ndarray[Any, Any]]:
    """Float32 numbers that do not depend on the weights: of one direction, or of one that turns every step."""
    rng = np.random.default_rng(3)
    always = rng.normal(size=SHAPE)
    if course == "rises":
        rows = [always + 0.1 * rng.normal(size=SHAPE) for _ in range(STEPS)]
    else:
        rows = [(-1.0) ** t * always for t in range(STEPS)]
    return [row.astype(np.float32).astype(np.float64) for row in rows]


@pytest.mark.need(2, 29)
@pytest.mark.parametrize("course", ["rises", "stalls"])
def test_d_is_that_of_64_bit_arithmetic_to_a_hundredth(course: str) -> None:
    """Small weights and the smallest estimate: where a start kept in bfloat16 would drown the way from it."""
    start = (0.02 * np.random.default_rng(1).normal(size=SHAPE)).astype(np.float32)
    config = config_of(Problem({}, (GroupSpec((ParamSpec(SHAPE),)),)), (1.0,))
    state: State = initial_state(config, [[start.astype(np.float64)]])
    param = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = ProdigyPlusScheduleFree([param])
    for row in gradients(course):
        state = step(config, state, [[row]])
        param.grad = torch.from_numpy(row).float()
        optimizer.step()
    exact, found = float(state.groups[0].d), optimizer.param_groups[0]["d"]
    assert exact > 1e-4 if course == "rises" else exact < 1e-5
    assert abs(found - exact) <= exact / 100


@pytest.mark.need(4)
@pytest.mark.parametrize("rate", [1.02, 1.5])
def test_growth_is_capped_in_every_step(rate: float) -> None:
    """After the first estimate, which nothing caps."""
    params = parameters()
    optimizer = Prodigy(params, growth_rate=rate)
    course = []
    for t in range(15):
        train(optimizer, params, [t])  # type: ignore[arg-type]
        course.append(optimizer.param_groups[0]["d"])
    pairs = [(old, new) for old, new in itertools.pairwise(course) if old > 1e-6]
    assert all(new <= old * rate for old, new in pairs)
    assert any(new == old * rate for old, new in pairs)


@pytest.mark.need(4)
def test_the_same_run_gives_the_same_bits() -> None:
    def run() -> object:
        params = parameters(torch.bfloat16)
        optimizer = ProdigyPlusScheduleFree(params, use_speed=True)
        train(optimizer, params, range(8))
        return snapshot(optimizer, params)

    assert run() == run()


@pytest.mark.need(6)
@pytest.mark.parametrize("pooling", [{}, {"split_groups_mean": True}, {"split_groups": False}], ids=str)
@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_groups_with_rates_of_their_own_follow_the_law(revision: str, pooling: dict[str, bool]) -> None:
    groups = tuple(GroupSpec((ParamSpec((5,)), ParamSpec((3, 4))), {"lr": lr}) for lr in (1.0, 0.25, 4.0))
    problem = Problem({"d0": 1e-3, **pooling}, groups, "growth", steps=8, revision=revision)
    implementation = implementation_for(OWN[revision], revision=revision)
    verdicts = [judge(transition, implementation.capabilities) for transition in play(implementation, problem)]
    assert len(verdicts) == 8
    assert all(verdict.ok for verdict in verdicts)


@pytest.mark.need(9)
def test_the_built_in_clipping_does_not_reach_the_statistics() -> None:
    """From one state and with one gradient: the updates differ, what the estimate is made of does not."""
    found = []
    for clips in (True, False):
        params = parameters()
        optimizer = ProdigyPlusScheduleFree(params, use_stableadamw=True, betas=(0.9, 0.5))
        train(optimizer, params, range(6))
        assert optimizer.param_groups[0]["d"] > 1e-6  # until then the bound is wide
        optimizer.param_groups[0]["use_stableadamw"] = clips
        give_gradients(params, 6)
        for param in params:
            assert param.grad is not None
            param.grad.mul_(30)
        optimizer.step()
        group = optimizer.param_groups[0]
        found.append((group["d"], group["d_numerator"], group["d_denom"], snapshot(optimizer, params)["weights"]))
    assert found[0][:3] == found[1][:3]
    assert found[0][3] != found[1][3]


@pytest.mark.need(35)
def test_each_shape_can_have_an_estimate_of_its_own() -> None:
    params = parameters(shapes=[(6, 4), (6, 4), (5,), (3, 2)])
    shapes = {param.shape: [other for other in params if other.shape == param.shape] for param in params}
    groups = [{"params": alike, "layer": str(tuple(shape))} for shape, alike in shapes.items()]
    optimizer = ProdigyPlusScheduleFree(groups, split_groups_mean=False)
    train(optimizer, params, range(8))
    assert len({group["d"] for group in optimizer.param_groups}) == len(shapes)
    twin = ProdigyPlusScheduleFree(groups, split_groups_mean=False)
    twin.load_state_dict(optimizer.state_dict())
    assert [group["layer"] for group in twin.param_groups] == [str(tuple(shape)) for shape in shapes]
