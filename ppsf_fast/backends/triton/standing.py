"""What the last step was made of. As long as that holds, the next one is the same launches over the same tables.

Parameters, gradients, state, groups and options are compared with those of the last step, all of them in every step: a
pass over each kind in one call, instead of a plan. Nothing of a trainer is kept alive in between.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from ppsf_fast import plan as plans
from ppsf_fast.backends.triton.geometry import ALIGNED
from ppsf_fast.backends.triton.parts import Part
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
_gradient, _dtype = attrgetter("grad"), attrgetter("dtype")
_BELOW = ALIGNED - 1


@dataclass(slots=True)
class Sight:
    """All that tables and the choice of kernels depend on.

    Attributes:
        groups: the number of parameters of each group, its switches, and whether its estimate may adapt.
        tensors: of parameters and gradients, in this order, the dtypes and whether they are contiguous; of parameters
            the shapes, which gradients have too; and the strides of what is not contiguous.
        places: addresses of parameters and of all tensors of the state.
        absent: which parameters have no gradient that counts.
        kept: the identities of the parameters, of those that have state, and of its tensors.
        gradients: addresses of those that count, in the order of a plan.
    """

    groups: list[tuple[object, ...]]
    tensors: tuple[list[Any], ...]
    places: list[int]
    absent: list[int]
    kept: list[int]
    gradients: list[int]

    def is_of(self, other: Sight) -> bool:
        """Whether nothing but the gradients' addresses differs, and those not in what they are divisible by."""
        mine = (self.absent, self.kept, self.places, self.tensors, self.groups)
        if mine != (other.absent, other.kept, other.places, other.tensors, other.groups):
            return False
        if self.gradients == other.gradients:
            return True
        return all((one ^ two) & _BELOW == 0 for one, two in zip(self.gradients, other.gradients, strict=True))


def sight(groups: Sequence[Group], rules: Sequence[Rule], states: Mapping[Tensor, State]) -> tuple[Sight, list[Tensor]]:
    """What is there now, and the tensors of the state.

    A tensor of the state is known by its identity and its address, so that neither another one in its place nor other
    memory behind it goes unseen; parameters and gradients, which trainers give other strides or dtypes, by these too.
    """
    params = list(chain.from_iterable(group["params"] for group in groups))
    found = list(chain.from_iterable(map(_gradients_of, groups, rules)))
    given = [each for each in found if each is not None]
    absent = [] if len(given) == len(found) else [place for place, each in enumerate(found) if each is None]
    kept = list(chain.from_iterable(map(dict.values, states.values())))
    live = params + given
    contiguous = list(map(Tensor.is_contiguous, live))
    loose = [] if all(contiguous) else [each.stride() for each in live if not each.is_contiguous()]
    seen = Sight(
        [_of_group(*each) for each in zip(groups, rules, strict=True)],
        (list(map(_dtype, live)), contiguous, list(map(Tensor.size, params)), loose),
        list(map(Tensor.data_ptr, params + kept)),
        absent,
        list(map(id, chain(params, states, kept))),
        list(map(Tensor.data_ptr, given)),
    )
    return seen, kept


def _gradients_of(group: Group, rule: Rule) -> Iterable[Tensor | None]:
    """The gradients that count, in the order of a plan: a group that pauses has no part in it."""
    return map(_gradient, group["params"]) if rule.lr != 0 else repeat(None, len(group["params"]))


def _of_group(group: Group, rule: Rule) -> tuple[object, ...]:
    paused, decays = rule.lr == 0, rule.weight_decay != 0
    adapts = plans.may_adapt(group, rule)
    return (len(group["params"]), adapts, paused, decays, rule.eps is None, _switches(rule))


@dataclass(slots=True)
class _Pool:
    """A pool that takes part: its groups, those of them that take part, and where its scalars are."""

    members: tuple[int, ...]
    active: list[int]
    device: torch.device


@dataclass(slots=True, weakref_slot=True)
class Standing:
    """What the last step was made of, and its launches.

    Attributes:
        seen: when the step was taken.
        parts: what each device does.
        pools: those that take part.
        scaled: whether gradients are multiplied by something as they are read.
        lost: whether a tensor of the state is gone, so that its identity may be that of another one.
    """

    seen: Sight
    parts: list[Part]
    pools: list[_Pool]
    scaled: bool
    lost: bool = False
    watched: list[weakref.ref[Tensor]] = field(default_factory=list)

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
        seen, kept = sight(groups, rules, states)
        members = plans.pools_of(rules)
        active = [{group.index for group in pool.groups} for pool in plan.pools]
        pools = [
            _Pool(next(each for each in members if not taking.isdisjoint(each)), sorted(taking), pool.device)
            for taking, pool in zip(active, plan.pools, strict=True)
        ]
        made = Standing(seen, parts, pools, plan.scaling.unscale is not None)
        known = weakref.ref(made)

        def lose(_: object) -> None:
            if (standing := known()) is not None:
                standing.lost = True

        made.watched = [weakref.ref(tensor, lose) for tensor in kept]
        return made

    def holds(
        self, groups: Sequence[Group], rules: Sequence[Rule], states: Mapping[Tensor, State], scaling: Scaling
    ) -> bool:
        """Whether it does; if gradients have moved, the tables are told."""
        if self.lost or self.scaled != (scaling.unscale is not None):
            return False
        now, _ = sight(groups, rules, states)
        if not now.is_of(self.seen):
            return False
        if now.gradients != self.seen.gradients:
            for part in self.parts:
                part.regard(now.gradients)
            self.seen = now
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
