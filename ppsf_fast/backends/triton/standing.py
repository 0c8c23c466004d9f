"""What the last step was made of. As long as that holds, the next one is the same launches over the same tables.

Parameters, gradients, state, groups and options are compared with those of the last step, all of them in every step:
one pass over all tensors, instead of a plan. Nothing of a trainer is kept alive in between.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from ppsf_fast import plan as plans
from ppsf_fast.backends.triton.parts import Part
from ppsf_fast.backends.triton.sight import Params, sight, whereabouts
from ppsf_fast.backends.triton.step import Step
from ppsf_fast.options import Group
from ppsf_fast.plan import Plan
from ppsf_fast.rule import Rule, same
from ppsf_fast.scaling import Scaling
from ppsf_fast.state import State, is_complete

#: Where it is kept in the workspace.
STANDING = "standing"
#: Options that kernels read as numbers; for two of them it counts whether they are 0, and for eps whether it is None.
_NUMBERS = frozenset((
    "lr", "beta1", "beta2", "beta3", "beta4", "weight_decay", "d0", "d_coef", "growth_rate", "eps", "schedulefree_c",
    "r", "weight_lr_power", "warmup_steps", "prodigy_steps", "peak_patience", "total_steps", "rounding_seed",
))  # fmt: skip
_switches = attrgetter(*(each.name for each in dataclasses.fields(Rule) if each.name not in _NUMBERS))


def _switches_of(rules: Sequence[Rule]) -> list[tuple[object, ...]]:
    """The switches of each group."""
    return [(rule.lr == 0, rule.weight_decay != 0, rule.eps is None, _switches(rule)) for rule in rules]


def _adapting(groups: Sequence[Group], rules: Sequence[Rule]) -> list[bool]:
    """Whether the estimate of each group may adapt."""
    return list(map(plans.may_adapt, groups, rules))


def _taking(groups: Sequence[Group], rules: Sequence[Rule]) -> tuple[Params, list[bool]]:
    """The parameters of each group, and whether their gradients count: a group that pauses has no part in a plan."""
    return [group["params"] for group in groups], [rule.lr != 0 for rule in rules]


@dataclass(slots=True)
class Standing:
    """What the last step was made of, and its launches.

    Attributes:
        rules: of the groups, as they were in the last step.
        switches: theirs.
        adapting: whether the estimate of each group may adapt.
        facts: of all tensors, as they were recorded.
        ahead: where torch keeps what it knows of them.
        gradients: their addresses, where the tables have them.
        parts: what each device does.
        step: what they do together.
        scaled: whether gradients are multiplied by something as they are read.
    """

    rules: Sequence[Rule]
    switches: list[tuple[object, ...]]
    adapting: list[bool]
    facts: Any
    ahead: bytes
    gradients: bytearray
    parts: list[Part]
    step: Step
    scaled: bool

    @staticmethod
    def of(plan: Plan, parts: list[Part], step: Step) -> Standing | None:
        """That of a plan; None if the next step cannot be the same: torch finds directions in it, or it creates state.

        Args:
            plan: equipped.
            parts, step: made for it.
        """
        if plan.of is None or any(ready.features.muon for part in parts for ready in part.ready):
            return None
        groups, rules, states = plan.of
        for group in plan.groups:
            adapts = plans.may_adapt(groups[group.index], group.rule)
            if not all(is_complete(item.state, group.rule, adapts) for item in group.items):
                return None
        params, counts = _taking(groups, rules)
        seen = sight().record(params, counts, states)
        if seen is None:
            return None
        switches, adapting, ahead = _switches_of(rules), _adapting(groups, rules), whereabouts(params, counts, states)
        scaled = plan.scaling.unscale is not None
        return Standing(rules, switches, adapting, seen[0], ahead, seen[1], parts, step, scaled)

    def holds(
        self, groups: Sequence[Group], rules: Sequence[Rule], states: Mapping[Tensor, State], scaling: Scaling
    ) -> bool:
        """Whether it does; if gradients have moved, the tables are told."""
        if self.scaled != (scaling.unscale is not None) or not self._has_switches_of(rules):
            return False
        if self.adapting != _adapting(groups, rules):
            return False
        gradients = sight().compare(*_taking(groups, rules), states, self.facts, self.ahead)
        if gradients is None:
            return False
        if gradients != self.gradients:
            addresses = torch.frombuffer(gradients, dtype=torch.int64)
            for part in self.parts:
                part.regard(addresses)
            self.gradients = gradients
        return True

    def _has_switches_of(self, rules: Sequence[Rule]) -> bool:
        if same(rules, self.rules):
            return True
        self.rules = rules
        return self.switches == _switches_of(rules)
