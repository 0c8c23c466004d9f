"""Every revision, as the tests build it: with the options that have most to keep between steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.base import RevisedOptimizer

TWO: dict[str, Any] = {"revision": "2.0", "d0": 1e-3}
CASES: dict[str, tuple[type[RevisedOptimizer], dict[str, Any]]] = {
    "1.9": (ProdigyPlusScheduleFree, {"d0": 1e-3, "beta4": -0.9}),
    "2.0": (ProdigyPlusScheduleFree, {**TWO, "schedulefree_c": 8.0, "amplify_gradients": True}),
    "2.0 without averaging": (ProdigyPlusScheduleFree, {**TWO, "use_schedulefree": False, "use_adopt": True}),
    "2.0 with SPEED": (ProdigyPlusScheduleFree, {**TWO, "use_speed": True, "use_focus": True}),
    "update3": (
        ProdigyPlusScheduleFree,
        {"revision": "update3", "warmup_steps": 5, "bf16_state": True, "factored": True},
    ),
    "prodigy": (Prodigy, {"d0": 1e-3, "cosine_decay": True, "peak_patience": 2, "total_training_steps": 20}),
    "prodigy coupled": (Prodigy, {"decouple": False, "weight_decay": 0.1, "use_bias_correction": True}),
    "schedulefree": (AdamWScheduleFree, {"lr": 0.1, "warmup_steps": 4, "r": 0.5, "use_bias_correction": True}),
}


def build(case: str, params: Sequence[Tensor]) -> Any:
    """The optimizer of a case, over two groups."""
    cls, options = CASES[case]
    make: Any = cls
    return make([{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.01}], **options)
