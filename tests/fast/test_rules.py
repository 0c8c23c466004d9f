"""Rules are kept as long as the options have the same values, and no longer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.rule import Rule, same
from tests.fast.helpers import give_gradients, parameters

CHANGES: dict[str, Any] = {
    "lr": 0.5,
    "betas": (0.8, 0.99),
    "eps": None,
    "beta3": 0.5,
    "use_cautious": True,
    "rounding_seed": 3,
    "prodigy_steps": 7,
}


def made() -> Any:
    params = parameters()
    return ProdigyPlusScheduleFree([{"params": params[:2]}, {"params": params[2:]}])


def fresh(optimizer: Any) -> list[Rule]:
    return [Rule.of(group, optimizer._revision) for group in optimizer.param_groups]


def test_they_are_the_same_objects_if_nothing_has_changed() -> None:
    optimizer = made()
    optimizer.param_groups[1]["anything else"] = 1.0
    assert same(optimizer._rules(), optimizer._rules())


@pytest.mark.parametrize("name", CHANGES)
def test_any_option_that_changes_changes_the_rule(name: str) -> None:
    optimizer = made()
    before = optimizer._rules()
    optimizer.param_groups[1][name] = CHANGES[name]
    after = optimizer._rules()
    assert after == fresh(optimizer) != before
    assert after[0] is before[0]


@pytest.mark.parametrize("name", ["betas", "weight_decay"])
def test_what_is_changed_in_place_is_seen(name: str) -> None:
    optimizer = made()
    value: Any = [0.85, 0.99] if name == "betas" else torch.tensor([0.25])
    optimizer.param_groups[0][name] = value
    before = optimizer._rules()[0]
    value[0] = 0.5
    after = optimizer._rules()[0]
    assert (after.beta1 if name == "betas" else after.weight_decay) == 0.5
    assert after is not before


def test_groups_that_have_agreed_may_not_disagree_later() -> None:
    optimizer = made()
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for step in range(2):
        give_gradients(params, step)
        optimizer.step()
    optimizer.param_groups[1]["rounding_seed"] = 1
    with pytest.raises(ValueError, match="disagree on rounding_seed"):
        optimizer.step()


def test_what_a_closure_changes_counts() -> None:
    """Like a scheduler that the closure calls."""

    def moved(inside: bool) -> list[Any]:
        optimizer = made()
        params = [param for group in optimizer.param_groups for param in group["params"]]

        def change() -> None:
            for group in optimizer.param_groups:
                group["lr"] = 0.25

        give_gradients(params, 0)
        if not inside:
            change()
        optimizer.step(change if inside else None)
        return [param.detach().clone() for param in params]

    assert all(map(torch.equal, moved(True), moved(False)))
