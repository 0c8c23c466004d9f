"""State dicts of prodigy-plus-schedule-free 2.x, as ppsf_fast keeps the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

#: Names of the release that only its own step needs, and what is said here in other words.
_LEFT_OUT = ("optimiser_version", "prev_d_numerator", "max_d_numerator", "shared_d", "running_weight_sum")
_WIDE = ("p0", "s", "exp_avg_sq", "exp_avg_x0_dot", "max_x0_minus_l1_norm", "max_x0_minus_l2_norm")


def is_of_release(state_dict: Mapping[str, Any]) -> bool:
    """Whether prodigy-plus-schedule-free 2.x wrote it."""
    groups = state_dict.get("param_groups", ())
    return bool(groups) and all("max_d_numerator" in group and "n_max" not in group for group in groups)


def migrated(state_dict: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same state under the names of ppsf_fast; the given one is not changed.

    Numbers are carried over as they are, those that the release keeps in bfloat16 in float32.

    Args:
        state_dict: of the release.
        groups: of the optimizer that it is loaded into; what the release does not have is taken from them.
    """
    pairs = list(zip(state_dict["param_groups"], groups, strict=False))
    params = {
        key: param for theirs, ours in pairs for key, param in zip(theirs["params"], ours["params"], strict=False)
    }
    state = {
        key: _state(values, params[key]) if key in params else values for key, values in state_dict["state"].items()
    }
    return {**state_dict, "state": state, "param_groups": [_group(*pair) for pair in pairs]}


def _group(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in theirs.items() if name not in _LEFT_OUT}
    own = {name: ours[name] for name in ("rounding_seed", "beta4", "amplify_gradients", "state_version")}
    return {**own, "weight_sum": 0.0, **kept, "n_max": theirs["max_d_numerator"]}


def _state(theirs: Mapping[str, Any], param: Tensor) -> dict[str, Any]:
    state = {name: value for name, value in theirs.items() if name != "exp_avg_sq_metadata"}
    for name in _WIDE:
        if name in state:
            state[name] = torch.as_tensor(state[name], device=param.device).float()
    if "p0" in state and "s" in state:  # of weights that were all 0 it keeps a single 0
        state["p0"] = state["p0"].expand_as(state["s"]).clone()
    elif "p0" in state:
        state["p0"] = state["p0"].expand(-(-param.numel() // 11)).clone()
    return state
