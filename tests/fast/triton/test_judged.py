"""The kernels hold the law: every transition is judged from the state before it, as any implementation is."""

from __future__ import annotations

import os
import zlib
from typing import Any

import pytest

from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.lockstep import judge, play
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.run import OWN, implementation_for
from ppsf_conformance.torch_adapter import TorchImplementation

#: Problems drawn for each revision; many more by night.
PROBLEMS = int(os.environ.get("PPSF_TRITON_PROBLEMS", "4"))

MIXED = (
    GroupSpec((ParamSpec((40, 33)), ParamSpec((5,), "bfloat16"))),
    GroupSpec((ParamSpec((33, 2), "bfloat16", layout="transposed"), ParamSpec(()), ParamSpec((0, 33)))),
)
#: One problem for what changes a kernel, several switches at once.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("1.9", {}),
    "atan2, dense": ("1.9", {"eps": None, "factored": False}),
    "unclipped, decay in the update": ("1.9", {"use_stableadamw": False, "weight_decay": 0.1}),
    "cautious, decay beside": ("1.9", {"use_cautious": True, "weight_decay": 0.1, "weight_decay_by_lr": False}),
    "grams, bias correction": ("1.9", {"use_grams": True, "use_bias_correction": True, "factored_fp32": False}),
    "ADOPT, window": ("1.9", {"use_adopt": True, "prodigy_steps": 2}),
    "OrthoGrad, amplified": ("1.9", {"use_orthograd": True, "amplify_gradients": True}),
    "FOCUS, ADOPT": ("1.9", {"use_focus": True, "use_adopt": True}),
    "SPEED, one pool": ("1.9", {"use_speed": True, "split_groups": False}),
    "Muon, cautious": ("1.9", {"use_muon_pp": True, "use_cautious": True}),
    "2.0": ("2.0", {"schedulefree_c": 8.0, "beta4": -0.9}),
    "2.0 with SPEED, atan2": ("2.0", {"use_speed": True, "eps": None, "use_orthograd": True}),
    "2.0 not averaged": ("2.0", {"use_schedulefree": False, "weight_decay": 0.1, "use_cautious": True}),
    "2.0 not averaged, ADOPT": ("2.0", {"use_schedulefree": False, "use_adopt": True, "use_grams": True}),
    "2.0 not averaged, FOCUS": ("2.0", {"use_schedulefree": False, "use_focus": True, "weight_decay_by_lr": False}),
    "update3": ("update3", {"weight_decay": 0.1, "bf16_state": True, "warmup_steps": 3}),
    "update3 factored": ("update3", {"factored": True, "slice_p": 1, "amplify_gradients": False}),
    "prodigy": ("prodigy", {"cosine_decay": True, "peak_patience": 1, "total_training_steps": 5, "weight_decay": 0.1}),
    "prodigy coupled": ("prodigy", {"decouple": False, "weight_decay": 0.1, "use_bias_correction": True}),
    "schedulefree": ("schedulefree", {"lr": 0.1, "r": 0.5, "warmup_steps": 3, "weight_decay": 0.1}),
    "schedulefree, rectified": ("schedulefree", {"lr": 0.1, "use_bias_correction": True}),
}


def implementation(revision: str) -> TorchImplementation:
    return implementation_for(OWN[revision], revision=revision)


def hold(problem: Problem) -> None:
    judged = implementation(problem.revision)
    for transition in play(judged, problem):
        verdict = judge(transition, judged.capabilities)
        assert verdict.ok, (verdict.witness.detail, problem)


@pytest.mark.parametrize("case", CASES)
def test_a_case_follows_the_law(case: str) -> None:
    revision, options = CASES[case]
    start = {} if revision == "schedulefree" else {"d0": 1e-2}
    seed = zlib.crc32(case.encode())
    hold(Problem({**start, **options}, MIXED, "pull", steps=3, seed=seed, missing=0.2, revision=revision))


SHAPES = ((), (0,), (23,), (64, 1), (3, 50), (4, 33, 9), (2, 33, 2, 3), (2, 1, 2, 3, 33))


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize(("dtype", "layout"), [("float32", "contiguous"), ("bfloat16", "transposed")])
def test_every_rank_follows_the_law(dtype: str, layout: str) -> None:
    """Ranks 0 to 5, tails of tiles, axes in any order of memory."""
    params = tuple(ParamSpec(shape, dtype, layout=layout) for shape in SHAPES)
    hold(Problem({"d0": 1e-2}, (GroupSpec(params),), "growth", steps=2, seed=7))


@pytest.mark.parametrize("revision", OWN)
def test_drawn_problems_follow_the_law(revision: str) -> None:
    capabilities = implementation(revision).capabilities
    options = capabilities.options - {"fused_back_pass"}
    draw_problems(capabilities.dtypes, options, PROBLEMS, 0, hold, revision, capabilities.always)


#: As kernels of a convolution: a short axis inside the two that are factored; of the last, rows are not whole vectors.
CONVOLUTIONS = ((33, 8, 3), (4, 40, 3, 3), (33, 5, 2, 2))


@pytest.mark.parametrize(
    ("tiles", "dtype", "options"),
    [
        ("usual tiles", "float32", {}),
        ("small tiles", "bfloat16", {}),
        ("small tiles", "float32", {"use_orthograd": True, "use_adopt": True}),
    ],
    indirect=["tiles"],
)
def test_convolutions_follow_the_law(tiles: str, dtype: str, options: dict[str, Any]) -> None:
    """Rows whose elements have as many sums as there are positions in a kernel; several strips and tiles of them."""
    params = tuple(ParamSpec(shape, dtype) for shape in CONVOLUTIONS)
    hold(Problem({"d0": 1e-2, **options}, (GroupSpec(params),), "growth", steps=2, seed=7))
