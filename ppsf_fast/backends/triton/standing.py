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
from ppsf_fast.options import Group
from ppsf_fast.plan import GroupPlan, Plan, PoolPlan
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import Ledger
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


def _switches_of(groups: Sequence[Group], rules: Sequence[Rule]) -> list[tuple[object, ...]]:
    """Of each group the number of parameters, whether its estimate may adapt, and its switches."""
    return [_of_group(*each) for each in zip(groups, rules, strict=True)]


def _of_group(group: Group, rule: Rule) -> tuple[object, ...]:
    paused, decays = rule.lr == 0, rule.weight_decay != 0
    adapts = plans.may_adapt(group, rule)
    return (len(group["params"]), adapts, paused, decays, rule.eps is None, _switches(rule))


def _taking(groups: Sequence[Group], rules: Sequence[Rule]) -> tuple[Params, list[bool]]:
    """The parameters of each group, and whether their gradients count: a group that pauses has no part in a plan."""
    return [group["params"] for group in groups], [rule.lr != 0 for rule in rules]


@dataclass(slots=True)
class _Pool:
    """A pool that takes part: its groups, those of them that take part, and where its scalars are."""

    members: tuple[int, ...]
    active: list[int]
    device: torch.device


@dataclass(slots=True)
class Standing:
    """What the last step was made of, and its launches.

    Attributes:
        switches: of the groups.
        facts: of all tensors, as they were recorded.
        ahead: where torch keeps what it knows of them.
        gradients: their addresses, where the tables have them.
        parts: what each device does.
        pools: those that take part.
        scaled: whether gradients are multiplied by something as they are read.
    """

    switches: list[tuple[object, ...]]
    facts: Any
    ahead: bytes
    gradients: bytearray
    parts: list[Part]
    pools: list[_Pool]
    scaled: bool

    @staticmethod
    def of(plan: Plan, parts: list[Part]) -> Standing | None:
        """That of a plan; None if the next step cannot be the same: torch finds directions in it, or it creates state.

        Args:
            plan: equipped.
            parts: made for it.
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
        members = plans.pools_of(rules)
        active = [{group.index for group in pool.groups} for pool in plan.pools]
        pools = [
            _Pool(next(each for each in members if not taking.isdisjoint(each)), sorted(taking), pool.device)
            for taking, pool in zip(active, plan.pools, strict=True)
        ]
        switches, ahead = _switches_of(groups, rules), whereabouts(params, counts, states)
        return Standing(switches, seen[0], ahead, seen[1], parts, pools, plan.scaling.unscale is not None)

    def holds(
        self, groups: Sequence[Group], rules: Sequence[Rule], states: Mapping[Tensor, State], scaling: Scaling
    ) -> bool:
        """Whether it does; if gradients have moved, the tables are told."""
        if self.scaled != (scaling.unscale is not None) or self.switches != _switches_of(groups, rules):
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

    def plan(self, groups: Sequence[Group], rules: Sequence[Rule], ledger: Ledger) -> Plan:
        """The plan of the coming step, without its parameters; the scalars are brought to their devices."""
        pools = []
        for pool in self.pools:
            plans_of = [GroupPlan(index, rules[index], [], ledger.group(index)) for index in pool.active]
            made = PoolPlan(plans_of, ledger.pool(pool.members), pool.device)
            for scalars in (made.scalars, *(group.scalars for group in plans_of)):
                scalars.upload(groups, pool.device)
            pools.append(made)
        return Plan(pools, plans.estimates_of(groups, rules, pools[0].device, ledger))
