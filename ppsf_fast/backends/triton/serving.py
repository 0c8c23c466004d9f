"""Which plans the backend serves, and how it takes part in a step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from ppsf_fast import capture
from ppsf_fast import plan as plans
from ppsf_fast.backends.triton.features import DTYPES
from ppsf_fast.backends.triton.geometry import AXES, cut
from ppsf_fast.backends.triton.maths import INTERPRETED
from ppsf_fast.backends.triton.parts import Part
from ppsf_fast.backends.triton.standing import STANDING, Standing
from ppsf_fast.backends.triton.step import Step
from ppsf_fast.backends.triton.table import Entry, entry_of
from ppsf_fast.backends.triton.workspace import Workspace
from ppsf_fast.options import Group
from ppsf_fast.plan import Item, Plan
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import Ledger
from ppsf_fast.scaling import Scaling
from ppsf_fast.state import State

#: Where in the workspace is kept what graphs use.
LENT = "lent"
#: Devices that Triton compiles for; the interpreter runs on the CPU.
DEVICES = ("cpu",) if INTERPRETED else ("cuda",)


def serves(plan: Plan) -> bool:
    """Whether the backend executes this plan.

    Otherwise the torch backend does, all of it: where a parameter lies on another kind of device, or has more than five
    axes, or where memory holds the negative of a tensor.
    """
    return all(
        item.param.device.type in DEVICES
        and item.grad.dtype in DTYPES
        and item.param.ndim <= AXES
        and not any(map(_is_negated, (item.param, item.grad, *item.state.values())))
        for item in plan.items
    )


def _is_negated(value: object) -> bool:
    """Whether torch negates a tensor whenever it reads it, and memory has the other sign."""
    return isinstance(value, Tensor) and value.is_neg()


def place(item: Item) -> object:
    """What is done together: the device of a parameter."""
    return item.param.device


def step(plan: Plan, ledger: Ledger, workspace: dict[object, object]) -> None:
    """Execute a plan, and start bringing the scalars that it changes to the groups.

    Args:
        plan: gathered and equipped; whether its gradients are finite is found here.
        ledger: holds the scalars.
        workspace: what the backend keeps between steps.
    """
    assert plan.of is not None
    groups, rules, _ = plan.of
    lead = plan.pools[0].device
    found: dict[object, list[tuple[Entry, Rule]]] = {}
    items = [(row, group.rule, item) for row, group in enumerate(plan.groups) for item in group.items]
    scales = _share_scale(workspace, {item.param.device for _, _, item in items}, plan.scaling)
    for position, (row, rule, item) in enumerate(items):
        entry = entry_of(item, rule, row, cut(), position, scales.get(item.param.device))
        found.setdefault(place(item), []).append((entry, rule))
    devices = {key: entries[0][0].item.param.device for key, entries in found.items()}
    keys = sorted(found, key=lambda key: devices[key] != lead)
    parts = [Part(found[key], _workspace(workspace, key, devices[key]), len(plan.groups)) for key in keys]
    _look(parts)
    averaged = plans.averaged(groups, rules, ledger)
    made = Step(plan, averaged, parts, _workspace(workspace, "lead", lead), ledger.counter(lead))
    workspace[STANDING] = Standing.of(plan, parts, made)
    _take(made, groups, rules, True, ledger, workspace, plan.scaling)


def again(
    groups: Sequence[Group],
    rules: Sequence[Rule],
    states: Mapping[Tensor, State],
    ledger: Ledger,
    workspace: dict[object, object],
    scaling: Scaling,
    edited: bool,
) -> bool:
    """Take the step of the last plan once more if nothing but numbers and the places of gradients has changed.

    Args:
        groups: all groups of the optimizer.
        rules: what their options mean.
        states: the state of every parameter that has one.
        ledger: holds the scalars.
        workspace: what the backend keeps between steps.
        scaling: of the gradients.
        edited: whether scalars of the groups have been, so that they have to be brought to the device.

    Returns:
        whether the step is taken.
    """
    standing = workspace.get(STANDING)
    if not isinstance(standing, Standing) or scaling.skips:
        return False
    if not standing.holds(groups, rules, states, scaling):
        del workspace[STANDING]
        return False
    _share_scale(workspace, {part.device for part in standing.parts}, scaling)
    _look(standing.parts)
    _take(standing.step, groups, rules, edited, ledger, workspace, scaling)
    return True


def _share_scale(
    workspace: dict[object, object], devices: Collection[torch.device], scaling: Scaling
) -> dict[torch.device, Tensor]:
    """Where each device finds what multiplies the gradients: the same place in every step; none if nothing does."""
    if scaling.unscale is None:
        return {}
    found = {each: _workspace(workspace, ("scale", each), each).kept("unscale", 1, torch.float32) for each in devices}
    for kept in found.values():
        kept.copy_(scaling.unscale.reshape(1), non_blocking=True)
    return found


def _look(parts: Sequence[Part]) -> None:
    """Let the devices begin: they see the gradients while the host prepares what follows."""
    for part in parts:
        part.look()


def _take(
    made: Step,
    groups: Sequence[Group],
    rules: Sequence[Rule],
    edited: bool,
    ledger: Ledger,
    workspace: dict[object, object],
    scaling: Scaling,
) -> None:
    values = made.take(groups, rules, edited, scaling.found)
    if capture.capturing(made.device):
        _lend(workspace, made)
    ledger.publish(made.changed, values)


def _lend(workspace: dict[object, object], made: Step) -> None:
    """Leave to a graph what it uses, for as long as the optimizer lives; later steps make tables of their own.

    What has been sent is on the device only when the graph is replayed.
    """
    lent = workspace.setdefault(LENT, [])
    assert isinstance(lent, list)
    workspace.pop(STANDING, None)
    lent.append(made)
    for each in workspace.values():
        if isinstance(each, Workspace):
            lent.append((dict(each.tables), dict(each.buffers)))
            each.tables.clear()


def _workspace(workspace: dict[object, object], key: object, device: torch.device) -> Workspace:
    own = workspace.setdefault(key, Workspace(device))
    assert isinstance(own, Workspace)
    return own
