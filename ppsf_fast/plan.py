"""The plan of one step: what takes part in it, gathered and validated before anything changes.

A plan lives for one step. Parameters, their data, gradients, groups and state are looked up anew for every
plan, since trainers replace any of them between steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from ppsf_fast.numerics import readable
from ppsf_fast.options import Group
from ppsf_fast.roster import Roster
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import Ledger, Scalars, averages_estimates
from ppsf_fast.scaling import Scaling, unscaled
from ppsf_fast.state import State, check_shapes, prepare

PARAMETER_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
#: From here on a sum of squares of gradients may leave the range of float32.
TOO_LARGE = 2.0**56


@dataclass(slots=True)
class Item:
    """One parameter that takes part: `index` is its position over all groups."""

    index: int
    param: Tensor
    grad: Tensor
    state: State


@dataclass(slots=True)
class GroupPlan:
    """One group that takes part, with the parameters of it that do.

    `roster`: what they are known by, if that is as it was in the last step: they need no second look then.
    """

    index: int
    rule: Rule
    items: list[Item]
    scalars: Scalars
    roster: Roster | None = None


@dataclass(slots=True)
class PoolPlan:
    """Groups that share one estimate and of which at least one takes part; its scalars are on `device`."""

    groups: list[GroupPlan]
    scalars: Scalars
    device: torch.device


@dataclass(slots=True)
class Plan:
    """One step.

    Attributes:
        pools: those that take part.
        estimates: d and k of every group of the optimizer if the step averages them, else nothing.
        averaged: what a backend made of them, by device: one thing for all groups.
        ok: 0-d bool, false if the step must change nothing; None if it is known to be good.
        scaling: of its gradients.
        compiles: whether the backend uses a compiled step where it has one.
        of: the groups, rules and states that it was equipped from.
    """

    pools: list[PoolPlan]
    estimates: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    averaged: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict)
    ok: Tensor | None = None
    scaling: Scaling = field(default_factory=Scaling)
    compiles: bool = False
    of: tuple[Sequence[Group], Sequence[Rule], Mapping[Tensor, State]] | None = None

    @property
    def groups(self) -> list[GroupPlan]:
        """The groups that take part."""
        return [group for pool in self.pools for group in pool.groups]

    @property
    def items(self) -> list[Item]:
        """The parameters that take part."""
        return [item for group in self.groups for item in group.items]

    @property
    def changed(self) -> list[Scalars]:
        """The scalars that the step changes."""
        return [pool.scalars for pool in self.pools] + [group.scalars for group in self.groups]


def check_parameter(param: Tensor, where: str) -> None:
    """Raise TypeError for a parameter that cannot be trained; `where` names it."""
    # clause: PPSF-X-006 21269820
    if param.dtype not in PARAMETER_DTYPES:
        raise TypeError(
            f"{where} is {param.dtype}: allowed are float32, bfloat16 and float16. Convert the model, for example "
            "with .float() or .bfloat16(), or leave out what is frozen, as quantized weights are."
        )
    if not is_lazy(param) and param.layout != torch.strided:
        raise TypeError(f"{where} is {param.layout}: allowed are dense parameters. Convert it with .to_dense().")


def _check_fit(param: Tensor, grad: Tensor, where: str) -> None:
    """Raise ValueError unless a gradient is of its parameter's shape; torch sees to it only when `.grad` is set."""
    if grad.shape != param.shape:
        raise ValueError(
            f"the gradient of {where} has shape {tuple(grad.shape)}, and the parameter {tuple(param.shape)}: they must "
            "agree. The parameter was replaced since its backward pass: call zero_grad() after such a change."
        )


def _check_memory(param: Tensor, where: str) -> None:
    """Raise ValueError for a parameter whose elements may lie in the same place; `where` names it."""
    # Torch would raise when it writes, in the middle of a step, or not notice, and neither would a kernel.
    if not param.is_contiguous() and _may_overlap(param):
        raise ValueError(
            f"{where} overlaps itself, as what is expanded does: elements of it lie in the same place, and cannot move "
            "apart. Give it memory of its own with .data = .data.clone(), or train what it is a view of."
        )


def _may_overlap(param: Tensor) -> bool:
    """Whether one step along some axis goes no farther than all of those with shorter steps reach."""
    reach = 0
    for step, size in sorted(zip(param.stride(), param.shape, strict=True)):
        if size > 1 and step <= reach:
            return True
        reach += step * (size - 1)
    return False


def check_gradient(grad: Tensor, where: str) -> None:
    """Raise TypeError for a gradient that is not dense and real; `where` names its parameter."""
    # clause: PPSF-X-005 e8f013e5
    if grad.layout != torch.strided or not grad.is_floating_point():
        raise TypeError(
            f"the gradient of {where} is {grad.layout} of {grad.dtype}: allowed are dense real gradients. "
            "Turn off sparse=True in embeddings, and split complex parameters with torch.view_as_real."
        )


def pools_of(rules: Sequence[Rule]) -> list[tuple[int, ...]]:
    """The indices of the groups of each pool."""
    # clause: PPSF-G-002 b9a5aa84
    every = range(len(rules))
    return [(index,) for index in every] if all(rule.split for rule in rules) else [tuple(every)]


def item_of(index: int, param: Tensor, rule: Rule, states: Mapping[Tensor, State]) -> Item | None:
    """A parameter, validated, as something that takes part in a step; None if it does not.

    Args:
        index: its position over all groups.
        param: the parameter.
        rule: of its group.
        states: the state of each parameter that has one.

    Raises:
        TypeError: a gradient or a parameter of a kind that is not served.
        ValueError: state that does not fit the parameter, or one that shares memory with itself.
    """
    # clause: PPSF-G-001 7eb7aad5
    if rule.lr == 0 or param.grad is None:
        return None
    where = f"parameter {index}"
    check_parameter(param, where)
    _check_memory(param, where)
    check_gradient(param.grad, where)
    _check_fit(param, param.grad, where)
    state = states.get(param, {})
    check_shapes(state, param.shape, rule.stride, where, revision=rule.revision)
    return Item(index, param, param.grad, state)


def _home(items: Sequence[Item], scalars: Scalars) -> torch.device:
    """The device for the scalars of a pool: where they are, if a parameter that takes part is there too."""
    devices = [item.param.device for item in items]
    return next((device for device in devices if device == scalars.device), devices[0])


def _items_of(group: Group, rule: Rule, states: Mapping[Tensor, State], first: int, known: bool) -> list[Item]:
    """The parameters of a group that take part; the first has position `first`, and `known` ones need no validation."""
    params = enumerate(group["params"], first)
    if known:
        return [Item(index, param, param.grad, states[param]) for index, param in params if param.grad is not None]
    found = [item_of(index, param, rule, states) for index, param in params]
    return [item for item in found if item is not None]


def recognised(
    groups: Sequence[Group], rules: Sequence[Rule], states: Mapping[Tensor, State], rosters: dict[int, Roster]
) -> dict[int, Roster]:
    """The rosters of groups, by their index, that are as they were."""
    found, firsts = {}, _firsts(groups) if rosters else []
    for index, known in rosters.items():
        if index < len(groups) and rules[index].lr != 0:
            group, rule = groups[index], rules[index]
            if known.fits(group["params"], states, rule, may_adapt(group, rule), firsts[index]):
                found[index] = known
    return found


def _firsts(groups: Sequence[Group]) -> list[int]:
    """The position over all groups of the first parameter of each."""
    return list(accumulate((len(group["params"]) for group in groups), initial=0))


def gather(
    groups: Sequence[Group],
    rules: Sequence[Rule],
    states: Mapping[Tensor, State],
    ledger: Ledger,
    rosters: Mapping[int, Roster] = MappingProxyType({}),
) -> Plan:
    """What takes part in the coming step; changes nothing.

    Args:
        groups: all groups of the optimizer.
        rules: what their options mean.
        states: the state of each parameter that has one.
        ledger: holds the scalars.
        rosters: of groups, by their index, that are as they were.

    Raises:
        TypeError: a gradient or a parameter of a kind that is not served.
        ValueError: state that does not fit its parameter.
    """
    items: list[list[Item]] = []
    for group, rule, first in zip(groups, rules, _firsts(groups)[:-1], strict=True):
        items.append(_items_of(group, rule, states, first, len(items) in rosters))
    pools = []
    for members in pools_of(rules):
        active = [index for index in members if items[index]]
        # clause: PPSF-G-006 118a22d5
        if active:
            plans = [GroupPlan(i, rules[i], items[i], ledger.group(i), rosters.get(i)) for i in active]
            scalars = ledger.pool(members)
            home = _home([item for plan in plans for item in plan.items], scalars)
            pools.append(PoolPlan(plans, scalars, home))
    return Plan(pools)


def is_good(grad: Tensor, scaling: Scaling) -> bool | Tensor:
    """Whether a parameter may move by a gradient: known for a CPU, else a 0-d bool on its device.

    It counts as it enters the arithmetic, in float32: a float64 gradient beyond its range is infinite.
    """
    if scaling.skips:
        return False
    if readable(grad.device):
        return _all_finite([grad], scaling.unscale)
    finite, allowed = _finite(grad, scaling.unscale), scaling.allows()
    return finite if allowed is None else finite & allowed.to(finite.device)


def _finite(grad: Tensor, unscale: Tensor | None) -> Tensor:
    if grad.is_meta:
        raise TypeError(
            "a gradient is on the meta device, without memory: a step is allowed on parameters that have some. Call "
            "to_empty() on the module and give it weights first."
        )
    # Of a NaN the comparison is false too.
    return (unscaled(grad, unscale).abs() < TOO_LARGE).all()


def _all_finite(grads: Sequence[Tensor], unscale: Tensor | None) -> bool:
    """Whether gradients that the host can read are finite and can be squared."""
    # No element is larger than the norm, which takes one reading; half of the bound leaves room for its rounding. Only
    # where the norm is too large each element is asked.
    narrow = [grad for grad in grads if grad.dtype == torch.float16]  # where norms of ordinary gradients overflow
    others = [grad for grad in grads if grad.dtype != torch.float16]
    norms = [*torch._foreach_norm(others)] if others else []
    norms += torch._foreach_norm(narrow, dtype=torch.float32) if narrow else []
    sizes = unscaled(torch.stack(norms), unscale)
    return bool((sizes < TOO_LARGE / 2).all()) or all(bool(_finite(grad, unscale)) for grad in grads)


def judge(plan: Plan, items: Sequence[Item]) -> bool:
    """Look for non-finite gradients, on the host for a CPU, else on the device.

    Args:
        plan: of the step.
        items: those of its parameters that nobody has looked at.

    Returns:
        False if the step is known to be bad; True if it is good, or good where `plan.ok`, set here, is true.
    """
    # clause: PPSF-L-004 863a8cde
    here: list[Tensor] = []
    flags: dict[torch.device, list[Tensor]] = {}
    unscale, allowed = plan.scaling.unscale, plan.scaling.allows()
    for item in items:
        grad = item.grad
        if readable(grad.device):
            here.append(grad)
        else:
            flags.setdefault(grad.device, []).append(_finite(grad, unscale))
    if plan.scaling.skips or (here and not _all_finite(here, unscale)):
        return False
    verdicts = [torch.stack(found).all() for found in flags.values()]
    verdicts += [] if allowed is None else [allowed]
    if verdicts:
        plan.ok = torch.stack([verdict.to(verdicts[0].device) for verdict in verdicts]).all()
    return True


def equip(
    plan: Plan, groups: Sequence[Group], rules: Sequence[Rule], states: dict[Tensor, State], ledger: Ledger
) -> None:
    """Create the state that is missing and bring the scalars of the step to their devices.

    A step that the device finds to be bad leaves this state behind, with its initial values; where the host
    decides, a bad step never comes this far.

    Args:
        plan: gathered and judged.
        groups: all groups of the optimizer.
        rules: what their options mean.
        states: the state of every parameter; entries are added.
        ledger: holds the scalars.
    """
    for pool in plan.pools:
        pool.scalars.upload(groups, pool.device)
        for group in pool.groups:
            group.scalars.upload(groups, pool.device)
            adapts = may_adapt(groups[group.index], group.rule)
            for item in group.items if group.roster is None else ():
                item.state = states.setdefault(item.param, item.state)
                prepare(item.state, item.param, group.rule, adapts)
    plan.estimates = estimates_of(groups, rules, plan.pools[0].device, ledger)
    plan.of = (groups, rules, states)


def enrolled(plan: Plan, groups: Sequence[Group], states: Mapping[Tensor, State]) -> dict[int, Roster]:
    """The rosters of the groups of a plan that is equipped, by their index; those that were not recognised are made."""
    firsts = _firsts(groups)
    for group in plan.groups:
        if group.roster is None:
            whole = groups[group.index]
            adapts = may_adapt(whole, group.rule)
            group.roster = Roster.of(whole["params"], states, group.rule, adapts, firsts[group.index])
    return {group.index: group.roster for group in plan.groups if group.roster is not None}


def may_adapt(group: Mapping[str, Any], rule: Rule) -> bool:
    """Whether d may still change, as far as the host knows: the device may already be some steps ahead."""
    opened = rule.prodigy_steps == 0 or group["k"] <= rule.prodigy_steps
    return bool(opened and rule.revision.estimate != "none")


def estimates_of(
    groups: Sequence[Group], rules: Sequence[Rule], fallback: torch.device, ledger: Ledger
) -> list[tuple[Tensor, Tensor]]:
    """d and k of every group if a step averages them, else nothing; `fallback`: where they go if nowhere."""
    pools = averaged(groups, rules, ledger)
    for pool in pools:
        pool.upload(groups, pool.device or fallback)
    return [(pool.tensors["d"], pool.tensors["k"]) for pool in pools]


def averaged(groups: Sequence[Group], rules: Sequence[Rule], ledger: Ledger) -> list[Scalars]:
    """Of every group the scalars of its pool if a step averages estimates, else nothing."""
    if not averages_estimates(rules):
        return []
    return [ledger.pool(members) for members in pools_of(rules) for _ in members]
