"""Which plans the backend serves, and how it takes part in a step."""

from __future__ import annotations

from torch import Tensor

from ppsf_fast.backends.triton.features import DTYPES
from ppsf_fast.backends.triton.maths import INTERPRETED
from ppsf_fast.backends.triton.step import Step
from ppsf_fast.backends.triton.workspace import Workspace
from ppsf_fast.muon import moves
from ppsf_fast.plan import Item, Plan
from ppsf_fast.rule import Rule

#: Devices that Triton compiles for; the interpreter runs on the CPU.
DEVICES = ("cpu",) if INTERPRETED else ("cuda",)


def serves(plan: Plan) -> bool:
    """Whether the backend executes this plan. Otherwise the torch backend does: for more than one device, for what
    Muon moves, for more than five axes."""
    devices = {item.param.device for item in plan.items}
    if len(devices) != 1 or next(iter(devices)).type not in DEVICES:
        return False
    return all(_served(item, group.rule) for group in plan.groups for item in group.items)


def _served(item: Item, rule: Rule) -> bool:
    fits = item.param.ndim <= 5 and item.grad.dtype in DTYPES
    return fits and not moves(item.param.shape, rule.muon)


def step(plan: Plan, workspace: dict[object, object], skipped: Tensor) -> Tensor:
    """Execute a plan; returns the scalars that have changed, in a row, in the order of `plan.changed`.

    Args:
        plan: gathered and equipped; whether its gradients are finite is found here.
        workspace: what the backend keeps between steps.
        skipped: int64, 0-d, raised by 1 on the device if the step changes nothing.
    """
    device = plan.pools[0].device
    own = workspace.setdefault(device, Workspace(device))
    assert isinstance(own, Workspace)
    return Step(plan, own).run(skipped)
