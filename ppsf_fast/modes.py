"""The two forms of the weights: y, on which training goes on, and x, their average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.numerics import store
from ppsf_fast.options import Group
from ppsf_fast.rule import Rule
from ppsf_fast.state import State, check_shapes

#: The state of each parameter that has one.
States = Mapping[Tensor, State]


def has_average(param: Tensor, states: States) -> bool:
    """Whether the weights of a parameter differ between the modes."""
    return "z" in states.get(param, {})


def check_fit(groups: Sequence[Group], states: States) -> None:
    """Raise ValueError for a parameter that has another shape than its state: nothing may move then."""
    for index, param in enumerate(chain.from_iterable(group["params"] for group in groups)):
        if has_average(param, states):
            check_shapes({"z": states[param]["z"]}, param.shape, 1, f"parameter {index}")


@torch.no_grad()
def switch(group: Group, states: States, mode: bool) -> None:
    """Bring the weights of a group that is in the other mode into the form of a `mode`, True for training."""
    for param in group["params"]:
        if has_average(param, states):
            store(param, _moved(param, states[param]["z"], group["betas"][0], mode))
    group["train_mode"] = mode


def _moved(weights: Tensor, z: Tensor, beta1: float, mode: bool) -> Tensor:
    """The weights in the form of a mode, from those of the other one: float32, not rounded yet."""
    # clause: PPSF-Z-004 5093c36c
    # clause: PPSF-Z-005 a0951f35
    towards_z = 1 - beta1 if mode else 1 - 1 / beta1
    wide = weights.float()
    return wide + (z.to(weights.device).float() - wide) * towards_z


def averages(rules: Sequence[Rule]) -> bool:
    """Whether there is an eval mode at all."""
    # clause: PPSF-L-003 f3368b50
    return any(rule.averages for rule in rules)


@torch.no_grad()
def averaged_state_dict(
    model: torch.nn.Module, groups: Sequence[Group], rules: Sequence[Rule], states: States
) -> dict[str, Any]:
    """The state dict of a model as it would be in eval mode: copies, of which tied names share one.

    Raises:
        ValueError: the entries are not the parameters that the optimizer trains, or a parameter was resized.
    """
    check_fit(groups, states)
    owners = {param: group for group in groups for param in group["params"]}
    entries = model.state_dict(keep_vars=True)
    _refuse_others(model, entries, owners)
    moving = averages(rules)
    copies: dict[int, Tensor] = {}  # by identity: tied names are one tensor

    def copied(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) not in copies:
            copies[id(value)] = value.detach().clone()
            group = owners.get(value)
            if moving and group is not None and group["train_mode"] and has_average(value, states):
                store(copies[id(value)], _moved(value, states[value]["z"], group["betas"][0], mode=False))
        return copies[id(value)]

    for name, value in entries.items():
        entries[name] = copied(value)
    return entries


def _refuse_others(model: torch.nn.Module, entries: Mapping[str, Any], owned: Mapping[Tensor, Group]) -> None:
    """A copy of a parameter among the entries would pass for one that nobody trains."""
    there = {id(value) for value in entries.values()}
    trained = {name: param for name, param in model.named_parameters() if param in owned}
    lacking = [name for name, param in trained.items() if id(param) not in there]
    if lacking or not trained:
        what = f"lacks the parameters {lacking[:3]} themselves" if lacking else "holds no parameter trained here"
        raise ValueError(
            f"the state dict of {type(model).__name__} {what}: allowed is a model that this optimizer trains, and "
            "whose state_dict(keep_vars=True) gives its parameters, not copies. Pass that model, or save its state "
            "dict inside `with optimizer.averaged()`."
        )
