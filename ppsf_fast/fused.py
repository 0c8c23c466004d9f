"""A fused step: parameters move one by one, as their gradients arrive; what they share moves when the step ends.

Of a parameter that has moved nothing is kept but its two contributions to the estimate; besides, two flags per group.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ppsf_fast import plan
from ppsf_fast.backends import torch_backend
from ppsf_fast.backends.coefficients import Coefficients, allowed, coefficients, either, moved_to
from ppsf_fast.backends.statistics import Statistics
from ppsf_fast.options import Group
from ppsf_fast.plan import GroupPlan, Item, Plan, PoolPlan
from ppsf_fast.rule import Rule, same
from ppsf_fast.scalars import Ledger, Scalars
from ppsf_fast.scaling import Scaling
from ppsf_fast.state import State, prepare


@dataclass(slots=True)
class _Running:
    """One group in a fused step.

    Attributes:
        by: its numbers, by device; those of its home are made when the step begins.
        adapts: whether its pool may still adapt d.
        shares: what its parameters contribute to the estimate, by their position over all groups.
        ok: whether any of them was allowed to move, 0-d bool; None: one was.
        moves: whether any of their weights moved, likewise.
    """

    plan: GroupPlan
    home: torch.device
    by: dict[torch.device, Coefficients]
    adapts: bool
    shares: dict[int, Statistics] = field(default_factory=dict)
    ok: Tensor | None = None
    moves: Tensor | None = None

    def take(self, item: Item, ok: Tensor | None, unscale: Tensor | None, compiles: bool) -> None:
        device = item.param.device
        by = self.by.setdefault(device, moved_to(device, self.by[self.home]))
        unscale = None if unscale is None else unscale.to(device)
        share, moves = torch_backend.step_one(item, self.plan.rule, replace(allowed(by, ok), unscale=unscale), compiles)
        known = bool(self.shares)
        self.ok, self.moves = (either(self.ok, ok), either(self.moves, moves)) if known else (ok, moves)
        self.shares[item.index] = share


class FusedStep:
    """One fused step. It is made, begun with its first parameter, and ended once.

    Args:
        groups: all groups of the optimizer.
        rules: what their options mean when the step begins.
        states: the state of every parameter; entries are added as parameters come.
        ledger: holds the scalars.
        compiles: whether a compiled step is used where there is one.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        rules: Sequence[Rule],
        states: dict[Tensor, State],
        ledger: Ledger,
        compiles: bool = False,
    ) -> None:
        self._groups, self._rules, self._states, self._ledger = groups, rules, states, ledger
        self._places: dict[Tensor, tuple[int, int]] = {}
        for index, group in enumerate(groups):
            self._places |= {param: (len(self._places) + j, index) for j, param in enumerate(group["params"])}
        self._come: set[int] = set()
        self._sizes = [len(group["params"]) for group in groups]
        #: Whether a parameter came with the scale of its gradient.
        self.is_unscaled = False
        self._plan = Plan([], compiles=compiles)
        self._running: list[_Running] = []

    def __contains__(self, param: Tensor) -> bool:
        """Whether it is one of the parameters."""
        return param in self._places

    def is_still_of(self, rules: Sequence[Rule]) -> bool:
        """Whether rules, and the number of parameters of each group, are those that it was made for."""
        return same(rules, self._rules) and self._sizes == [len(group["params"]) for group in self._groups]

    def has_in_place(self, param: Tensor) -> bool:
        """Whether it is one of the parameters, and still in its place."""
        if param not in self._places:
            return False
        index, group = self._places[param]
        here = self._groups[group]["params"]
        return here[index - sum(self._sizes[:group])] is param

    def has_seen(self, param: Tensor) -> bool:
        """Whether it has come already."""
        return param in self._places and self._places[param][0] in self._come

    def item(self, param: Tensor) -> Item | None:
        """One of the parameters, validated; None if it takes no part."""
        index, group = self._places[param]
        return plan.item_of(index, param, self._rules[group], self._states)

    def begin(self, device: torch.device) -> None:
        """Find the numbers of the step; `device` is where its first parameter is."""
        self._plan.pools = [self._pool(members, device) for members in plan.pools_of(self._rules)]
        self._plan.estimates = plan.estimates_of(self._groups, self._rules, device, self._ledger)
        pairs = [(pool, group) for pool in self._plan.pools for group in pool.groups]
        self._running = [self._started(pool, group) for pool, group in pairs]

    def _pool(self, members: tuple[int, ...], device: torch.device) -> PoolPlan:
        scalars = self._ledger.pool(members)
        plans = [GroupPlan(index, self._rules[index], [], self._ledger.group(index)) for index in members]
        there = any(param.device == scalars.device for index in members for param in self._groups[index]["params"])
        home = scalars.device if scalars.device is not None and there else device
        for each in (scalars, *(group.scalars for group in plans)):
            each.upload(self._groups, home)
        return PoolPlan(plans, scalars, home)

    def _started(self, pool: PoolPlan, group: GroupPlan) -> _Running:
        by = coefficients(self._plan, pool, group)
        return _Running(group, pool.device, {pool.device: by}, plan.may_adapt(self._groups[group.index], group.rule))

    # clause: PPSF-L-008 51aafcc7
    def take(self, item: Item, scaling: Scaling) -> None:
        """Move one parameter."""
        self._come.add(item.index)
        self.is_unscaled |= scaling.unscale is not None
        # clause: PPSF-L-010 41382629
        good = plan.is_good(item.grad, scaling)
        if good is False:
            return
        running = self._running[self._places[item.param][1]]
        item.state = self._states.setdefault(item.param, item.state)
        prepare(item.state, item.param, running.plan.rule, running.adapts)
        ok = good.to(item.param.device) if isinstance(good, Tensor) else None
        running.take(item, ok, scaling.unscale, self._plan.compiles)

    # clause: PPSF-L-009 2bd8d5f9
    def end(self) -> list[Scalars]:
        """Move what the parameters share; returns the scalars that have changed."""
        changed = []
        for pool in self._plan.pools:
            came = [self._running[group.index] for group in pool.groups if self._running[group.index].shares]
            if came:
                self._end_pool(pool, came)
                changed += [pool.scalars, *(running.plan.scalars for running in came)]
        return changed

    def _end_pool(self, pool: PoolPlan, came: Sequence[_Running]) -> None:
        pool.groups = [running.plan for running in came]
        ok = _any_of(came)
        ok = None if ok is None else ok.to(pool.device)
        numbers = [allowed(running.by[pool.device], ok) for running in came]
        shares = {index: share for running in came for index, share in running.shares.items()}
        moves = [None if running.moves is None else running.moves.to(pool.device) for running in came]
        torch_backend.end(pool, numbers, {index: shares[index] for index in sorted(shares)}, moves)

    @property
    def ok(self) -> bool | Tensor:
        """Whether any parameter moved: known, or a 0-d bool on a device."""
        came = [running for running in self._running if running.shares]
        flag = _any_of(came) if came else None
        return bool(came) if flag is None else flag


def _any_of(came: Sequence[_Running]) -> Tensor | None:
    """Whether a parameter of these groups was allowed to move; None: one was."""
    return functools.reduce(either, [running.ok for running in came])
