"""State dicts: what a loaded one must hold, and how its tensors come back."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from ppsf_fast.options import OPTION_NAMES, Group, check_groups, check_lr, checked
from ppsf_fast.scalars import FIRST_STEP, SCALARS
from ppsf_fast.state import check_shapes, loaded

_NEEDED = (*OPTION_NAMES, *SCALARS, "train_mode")


def check(state_dict: Mapping[str, Any], groups: Sequence[Group]) -> None:
    """Raise unless `state_dict` can be loaded into an optimizer with these groups."""
    saved = state_dict["param_groups"]
    for index, group in enumerate(saved):
        _check_group(group, f"group {index} of the state dict")
    if saved:
        check_groups(saved)
    for key, param in _parameters(saved, groups):
        check_shapes(state_dict["state"].get(key, {}), param, f"parameter {key}")


def restored(state_dict: Mapping[str, Any], groups: Sequence[Group]) -> defaultdict[Tensor, Any]:
    """The state that `state_dict` holds, by parameter; entries of no parameter are kept as they are."""
    state: defaultdict[Any, Any] = defaultdict(dict)
    params = dict(_parameters(state_dict["param_groups"], groups))
    for key, values in state_dict["state"].items():
        if key in params:
            state[params[key]] = loaded(values, params[key])
        else:
            state[key] = values
    return state


def _parameters(saved: Sequence[Group], groups: Sequence[Group]) -> Iterator[tuple[Any, Tensor]]:
    """Pairs of id and parameter; torch itself refuses other numbers of groups or parameters."""
    for ours, theirs in zip(groups, saved, strict=False):
        yield from zip(theirs["params"], ours["params"], strict=False)


def _check_group(group: Group, where: str) -> None:
    missing = [name for name in _NEEDED if name not in group]
    if missing:
        raise ValueError(
            f"{where} lacks {', '.join(missing)}: it was not saved by this optimizer. Load a state dict of "
            "ppsf_fast.ProdigyPlusScheduleFree, or start anew without one."
        )
    check_lr(group["lr"])
    checked({name: group[name] for name in OPTION_NAMES if name != "lr"})
    scalars = [group[name] for name in SCALARS]
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in scalars):
        raise ValueError(f"{where} holds {_shown(group)}: these must be finite numbers. Load another state dict.")
    if not (group["d"] > 0 and group["d_prev"] > 0 and group["weight_sum"] >= 0 and group["k"] >= FIRST_STEP):
        raise ValueError(
            f"{where} holds {_shown(group)}: d and d_prev must be > 0, weight_sum >= 0 and k >= 1. "
            "Load another state dict."
        )


def _shown(group: Group) -> str:
    return ", ".join(f"{name}={group[name]!r}" for name in SCALARS)
