"""Every two switches together: what one does to the other is in the law, or nothing."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ppsf_conformance.lockstep import judge, play
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.torch_adapter import TorchImplementation

SWITCHES: dict[str, dict[str, Any]] = {
    "adopt": {"use_adopt": True},
    "orthograd": {"use_orthograd": True},
    "focus": {"use_focus": True},
    "muon": {"use_muon_pp": True},
    "speed": {"use_speed": True},
    "cautious": {"use_cautious": True},
    "grams": {"use_grams": True},
    "bias correction": {"use_bias_correction": True},
    "atan2": {"eps": None},
    "decay beside": {"weight_decay": 0.1, "weight_decay_by_lr": False},
    "window": {"prodigy_steps": 2},
    "one pool": {"split_groups": False},
}
GROUPS = (
    GroupSpec((ParamSpec((40, 33)), ParamSpec((5,), "bfloat16"))),
    GroupSpec((ParamSpec((33, 2), layout="transposed"), ParamSpec(()))),
)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SWITCHES, 2)))
def test_two_switches_together_follow_the_law(product: TorchImplementation, one: str, other: str) -> None:
    options = {"d0": 1e-2, **SWITCHES[one], **SWITCHES[other]}
    problem = Problem(options, GROUPS, "pull", steps=6, seed=len(one + other), missing=0.3, switches=True)
    for transition in play(product, problem):
        verdict = judge(transition, product.capabilities)
        assert verdict.ok, verdict.witness.detail
