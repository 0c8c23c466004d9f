"""Muon of the 1.9 releases: bfloat16 followed rounding by rounding, in matrices that float32 decides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppsf_conformance import peers
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.lockstep import judge, play
from ppsf_conformance.overrides import muon
from ppsf_conformance.overrides.rules import half
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.published import errata_for
from ppsf_conformance.run import implementation_for
from ppsf_ref import FLOAT32, Arithmetic, Running
from ppsf_ref.formats import BFLOAT16, nearest
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number

RELEASED = "prodigyplus.prodigy_plus_schedulefree:ProdigyPlusScheduleFree"
LIFT = Running(Arithmetic(array=FLOAT32, accumulate=FLOAT32))
TURNED: Rule = muon.TABLE["muon_in_bfloat16"]["PPSF-M-015"](lambda g: None)


def lifted(values: object) -> Number:
    return LIFT.array(np.asarray(values, np.float64))


def released(gradient: np.ndarray) -> np.ndarray:
    """What 1.9.2 makes of a gradient."""
    module = peers.load("prodigyplus.prodigy_plus_schedulefree", peers.release("prodigy-plus-schedule-free==1.9.2"))
    optimizer = module.ProdigyPlusScheduleFree([torch.nn.Parameter(torch.zeros(1))])
    return np.asarray(optimizer.newton_schulz_(torch.tensor(gradient)).double().numpy())


@pytest.mark.parametrize("shape", [(1, 32), (64, 1), (2, 2), (3, 4), (2, 3, 4), (31, 2), (3, 32), (34, 40)])
def test_the_release_lies_between_the_edges(shape: tuple[int, ...]) -> None:
    rng, known = np.random.default_rng(0), 0
    for power in range(-4, 4):
        gradient = (rng.normal(size=shape) * 10.0**power).astype(np.float32)
        found, expected = released(gradient.copy()), TURNED(lifted(gradient)).matrix
        assert ((expected.low <= found) & (found <= expected.high)).all()
        known += int((expected.bound == 0).all())
    assert known >= 6 if np.prod(shape) <= 64 else known <= 8, "in small matrices the edges mostly meet"


@pytest.mark.parametrize("seed", range(4))
def test_what_is_added_to_the_root_of_a_tiny_memory_is_rounded_first(seed: int) -> None:
    """1e-8 in bfloat16 is 1.0012e-8: where the root is as small, the sum rounds to another number."""
    implementation = implementation_for(f"{RELEASED}@prodigy-plus-schedule-free==1.9.2")
    known = KnownDeviations(errata_for(implementation))
    group = GroupSpec((ParamSpec((3, 4), start="zero"),))
    problem = Problem({"d0": 1e-3, "use_muon_pp": True}, (group,), "tiny gradient", steps=6, seed=seed)
    for transition in play(implementation, problem):
        verdict = judge(transition, implementation.capabilities, known.rules)
        assert verdict.ok, verdict.witness.detail


def test_half_rounds_to_the_nearest_bfloat16_and_keeps_doubt() -> None:
    exact = lifted([1.0, 1.00390625, 3.14159, -1e-40, 0.0])
    assert np.array_equal(half(exact).value, nearest(exact.value, BFLOAT16))
    assert (half(exact).bound == 0).all()
    tie = exact._like(exact.value, np.full(5, 1e-9))
    assert half(tie).bound[1] > 0
    assert half(tie).bound[0] == half(tie).bound[2] == 0


def test_products_whose_sums_float32_holds_are_exact_and_others_are_not() -> None:
    integers = lifted(np.arange(1.0, 9.0).reshape(2, 4))
    assert (muon.product(integers, muon.turned(integers)).bound == 0).all()
    ones, spread = lifted(np.ones((1, 2))), lifted([[1.0], [2.0**-8 * (1 + 2.0**-7)]])
    assert (muon.product(ones, spread).bound == 0).all()
    beside_a_tie = lifted([[1.0], [2.0**-8 * (1 + 2.0**-7)], [2.0**-30]])
    assert (muon.product(lifted(np.ones((1, 3))), beside_a_tie).bound == 0).all()
    near_a_tie = lifted([[1.0], [2.0**-8], [2.0**-30]])
    assert (muon.product(lifted(np.ones((1, 3))), near_a_tie).bound > 0).all()
