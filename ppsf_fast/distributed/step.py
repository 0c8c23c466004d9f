"""A step whose parameters, or parts of them, are on several processes.

It is the step of :mod:`ppsf_fast.backends.torch_backend` with three places where the others are asked: before anything
changes (:mod:`ppsf_fast.distributed.agreement`); for the sums of a pass over sharded parameters, all in one exchange;
and, where processes have different parameters, for the sums of each pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ppsf_fast import plan as plans
from ppsf_fast.backends.batches import Batch, batches
from ppsf_fast.backends.coefficients import Coefficients, Outcome, allowed, both, coefficients, either, moved_to
from ppsf_fast.backends.estimate import Adapted, adapted
from ppsf_fast.backends.moments import filled
from ppsf_fast.backends.statistics import Statistics, gathered
from ppsf_fast.backends.torch_backend import keep
from ppsf_fast.distributed.agreement import Agreed, agreed
from ppsf_fast.distributed.layout import Layout, local
from ppsf_fast.distributed.parts import Part
from ppsf_fast.distributed.reductions import Partial, completed
from ppsf_fast.distributed.sharding import gradient_of, is_dtensor, position_of
from ppsf_fast.distributed.team import Team
from ppsf_fast.distributed.turn import Turn, turn
from ppsf_fast.options import Group
from ppsf_fast.plan import GroupPlan, Item, Plan, PoolPlan
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import Ledger
from ppsf_fast.scaling import Scaling
from ppsf_fast.state import State, check_shapes, prepare

_NOBODY = torch.device("cpu")


@dataclass(slots=True)
class Members:
    """The parameters of a group: those that are whole and have a gradient here, and those that are sharded."""

    items: list[Item] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


def step(
    groups: Sequence[Group],
    rules: Sequence[Rule],
    states: dict[Tensor, State],
    ledger: Ledger,
    team: Team,
    scaling: Scaling,
    compiles: bool,
) -> None:
    """Take one step; every process of the team has to.

    Args:
        groups: all groups of the optimizer.
        rules: what their options mean.
        states: the state of every parameter; entries are added.
        ledger: holds the scalars.
        team: knows what is sharded, and who else shares the estimates.
        scaling: of the gradients here.
        compiles: whether the compiled step is used for whole parameters.

    Raises:
        TypeError, ValueError: a gradient or a parameter is of a kind that is not served; nothing has changed then.
    """
    members = _gathered(groups, rules, states, team)
    device = _home(members)
    known = agreed([each.items for each in members], [each.parts for each in members], team.sharing, device, scaling)
    if known.good is False:
        ledger.count_skip(None)
        return
    taking = _taking_part(members, known)
    work = _plan(groups, rules, taking, known, ledger)
    work.scaling = scaling
    if not work.pools:
        return
    plans.equip(work, groups, rules, states, ledger)
    for index, each in enumerate(taking):
        adapts = plans.may_adapt(groups[index], rules[index])
        for part in each.parts:
            part.state = states.setdefault(part.param, part.state)
            prepare(part.state, part.param, rules[index], adapts, part.layout)
    of_pools = [[_numbers(work, pool, group, known) for group in pool.groups] for pool in work.pools]
    _run([_Pool(pool, by, taking, known, compiles) for pool, by in zip(work.pools, of_pools, strict=True)], team)
    if work.ok is not None:
        ledger.count_skip(work.ok)
    ledger.publish(work.changed)


# ----------------------------------------------------------------------------------------------------------- gathering


def _gathered(
    groups: Sequence[Group], rules: Sequence[Rule], states: Mapping[Tensor, State], team: Team
) -> list[Members]:
    """Who could take part, validated."""
    found, first = [], 0
    for group, rule in zip(groups, rules, strict=True):
        mine = Members()
        for index, param in enumerate(group["params"], first):
            layout = team.layout(param, f"parameter {index}")
            if layout is None:
                item = plans.item_of(position_of(param, index), param, rule, states)
                mine.items += [] if item is None else [item]
            elif rule.lr != 0 and (param.requires_grad or param.grad is not None):
                mine.parts.append(_part(position_of(param, index), param, layout, rule, states))
        found.append(mine)
        first += len(group["params"])
    return found


def _part(index: int, param: Tensor, layout: Layout, rule: Rule, states: Mapping[Tensor, State]) -> Part:
    where, y, state = f"parameter {index}", local(param.detach()), states.get(param, {})
    plans.check_parameter(param, where)
    if param.grad is not None:
        plans.check_gradient(param.grad, where)
    grad = gradient_of(param, where) if is_dtensor(param) else param.grad
    check_shapes(state, param.shape, rule.stride, where, layout.runs.sample(y, rule.stride).numel())
    nothing = y.new_zeros(()).expand(y.shape)
    return Part(index, param, nothing if grad is None else grad, state, layout, y, grad is not None)


def _home(members: Sequence[Members]) -> torch.device:
    """Where the processes meet: where the first parameter is."""
    every = (item.param.device for each in members for item in (*each.parts, *each.items))
    return next(every, _NOBODY)


def _taking_part(members: Sequence[Members], known: Agreed) -> list[Members]:
    return [
        Members(each.items, [part for part in each.parts if known.parts[part.index] is not False]) for each in members
    ]


def _plan(
    groups: Sequence[Group], rules: Sequence[Rule], taking: Sequence[Members], known: Agreed, ledger: Ledger
) -> Plan:
    """The pools of which a parameter of any process takes part."""
    pools = []
    for members in plans.pools_of(rules):
        active = [index for index in members if known.groups[index] is not False]
        # clause: PPSF-G-006 118a22d5
        if active:
            scalars = ledger.pool(members)
            here = _home([taking[index] for index in active])
            there = scalars.device if scalars.device is not None and here == _NOBODY else here
            mine = [GroupPlan(index, rules[index], taking[index].items, ledger.group(index)) for index in active]
            pools.append(PoolPlan(mine, scalars, there))
    return Plan(pools, ok=known.good if isinstance(known.good, Tensor) else None)


def _numbers(work: Plan, pool: PoolPlan, group: GroupPlan, known: Agreed) -> Coefficients:
    """The numbers of a group, which changes nothing if none of its parameters takes part."""
    by, takes = coefficients(work, pool, group), known.groups[group.index]
    return allowed(by, both(by.ok, takes.to(by.k.device))) if isinstance(takes, Tensor) else by


# ------------------------------------------------------------------------------------------------------------ stepping


class _Pool:
    """One pool in a step."""

    def __init__(
        self, pool: PoolPlan, of_groups: list[Coefficients], taking: Sequence[Members], known: Agreed, compiles: bool
    ) -> None:
        self.pool, self.of_groups = pool, of_groups
        pairs = list(zip(pool.groups, of_groups, strict=True))
        self.batches: list[Batch] = [
            batch for group, by in pairs for batch in batches(group.items, group.rule, by, compiles)
        ]
        self.parts = [(part, group.rule, by) for group, by in pairs for part in taking[group.index].parts]
        self.turns = [_Turning(*each, known.parts[each[0].index]) for each in self.parts]
        self.able = [_able(group, taking[group.index].parts, pool.device) for group in pool.groups]

    @property
    def ok(self) -> Tensor | None:
        """Whether any group of the pool may change."""
        found = self.of_groups[0].ok
        for by in self.of_groups[1:]:
            found = either(found, by.ok)
        return found

    def sums(self, shares: Sequence[Statistics], team: Team) -> Tensor:
        """What the parameters of this process say of the estimate, and how many of each group can move."""
        own = [batch.measure() for batch in self.batches]
        counted = [
            share
            if team.counts(part.layout)
            else Statistics(torch.zeros_like(share.inner), torch.zeros_like(share.norm))
            for share, (part, *_) in zip(shares, self.parts, strict=True)
        ]
        places = [item.index for batch in self.batches for item in batch.items] + [
            part.index for part, *_ in self.parts
        ]
        found = gathered([*own, *counted], places, self.pool.device)
        return torch.stack([found.inner, found.norm, *(able.to(found.inner.dtype) for able in self.able)])

    def adapted(self, sums: Tensor) -> Adapted:
        """The estimate after the step, from the sums of all processes."""
        return adapted(self.pool, Statistics(sums[0], sums[1]), allowed(self.of_groups[0], self.ok))

    def moving(self, result: Adapted) -> list[tuple[_Turning, Outcome]]:
        """Move the whole parameters; the turns of the others, and what they need to go on."""
        for batch in self.batches:
            outcome = moved_to(batch.by.k.device, result.outcome)
            batch.move(Outcome(outcome.d, both(outcome.moves, batch.by.ok)))
        return [(each, each.allowed(result.outcome)) for each in self.turns]

    def keep(self, result: Adapted, sums: Tensor) -> None:
        """Store the numbers."""
        rows = zip(self.of_groups, sums[2:].unbind(), self.pool.groups, strict=True)
        keep(self.pool, self.of_groups, [_moves(by, count, group.rule) for by, count, group in rows], result)


class _Turning:
    """A turn that is under way."""

    def __init__(self, part: Part, rule: Rule, by: Coefficients, takes: bool | Tensor) -> None:
        by = moved_to(part.y.device, by)
        self.by = allowed(by, both(by.ok, takes)) if isinstance(takes, Tensor) else by
        self.alone = part.by_muon(rule)
        self.turn: Turn = turn(part, rule, self.by)
        self.asked: list[Partial] = []

    def allowed(self, outcome: Outcome) -> Outcome:
        """What an outcome means for this parameter."""
        outcome = moved_to(self.by.k.device, outcome)
        return Outcome(outcome.d, both(outcome.moves, self.by.ok))

    def begin(self) -> list[Partial]:
        first = next(self.turn)
        assert isinstance(first, list)
        return first

    def measured(self, found: list[Tensor]) -> Statistics:
        share = self.turn.send(found)
        assert isinstance(share, Statistics)
        return share

    def goes_on(self, sent: Outcome | list[Tensor]) -> bool:
        """Whether it asks again."""
        try:
            asked = self.turn.send(sent)
        except StopIteration:
            return False
        assert isinstance(asked, list)
        self.asked = asked
        return True


def _run(pools: Sequence[_Pool], team: Team) -> None:
    turns = [each for pool in pools for each in pool.turns]
    found = completed([each.begin() for each in turns])
    shares = iter([each.measured(sums) for each, sums in zip(turns, found, strict=True)])
    asked = [[Partial(pool.sums([next(shares) for _ in pool.turns], team), team.sharing)] for pool in pools]
    # clause: PPSF-D-032 bd6d816a
    sums = [each for (each,) in completed(asked)]
    results = [pool.adapted(each) for pool, each in zip(pools, sums, strict=True)]
    going = [each for pool, result in zip(pools, results, strict=True) for each in pool.moving(result)]
    _go_on([each for each in going if not each[0].alone])
    for each in going:
        if each[0].alone:  # what it asks for is as large as the parameter
            _go_on([each])
    # The numbers of a pool are read until the last parameter has moved.
    for pool, result, found_sums in zip(pools, results, sums, strict=True):
        pool.keep(result, found_sums)


def _go_on(turning: Sequence[tuple[_Turning, Outcome]] | Sequence[tuple[_Turning, list[Tensor]]]) -> None:
    """Let turns go on until they are over; those that ask do so together."""
    while turning:
        asking = [each for each, sent in turning if each.goes_on(sent)]
        turning = list(zip(asking, completed([each.asked for each in asking]), strict=True))


def _able(group: GroupPlan, parts: Sequence[Part], device: torch.device) -> Tensor:
    """How many parameters of a group have a second moment to divide by, where that is asked."""
    found = [filled(item.state, group.rule) for item in (*group.items, *parts)]
    known = [each.to(device).float() for each in found if each is not None]
    return torch.stack([torch.zeros((), device=device), *known]).sum()


def _moves(by: Coefficients, able: Tensor, rule: Rule) -> Tensor | None:
    """Whether a weight of a group moves, on any process, 0-d bool; None: one does."""
    return both(by.ok, able > 0) if rule.adopt else by.ok
