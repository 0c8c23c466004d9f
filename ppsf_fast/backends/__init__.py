"""The backends: each executes a plan, with one meaning. Which one does is chosen for each step.

Torch serves anything anywhere. Triton serves what lies on a CUDA device. The environment variable PPSF_BACKEND, "torch"
or "triton", asks for one of them whatever else holds: for Triton on ROCm, on which it has not been tried, or on a CPU,
where it needs Triton's interpreter (TRITON_INTERPRET=1) and is for tests.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ppsf_fast import plan as plans
from ppsf_fast.backends import torch_backend
from ppsf_fast.backends.native import run as native
from ppsf_fast.options import Group
from ppsf_fast.plan import Plan
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import Ledger
from ppsf_fast.scaling import Scaling
from ppsf_fast.state import State

CHOICE = "PPSF_BACKEND"
#: The least version of Triton that its kernels have been judged with on a GPU.
TRIED = (3, 6)


class Backend(Protocol):
    """What executes a plan."""

    def judge(self, plan: Plan) -> bool:
        """Look for non-finite gradients, unless the step does; False if the host knows that the step is bad."""

    def step(self, plan: Plan, ledger: Ledger, workspace: dict[object, object]) -> None:
        """Execute a plan that is equipped, and start bringing the scalars that it changes to the groups."""


class Torch:
    """Plain torch operations, on any device."""

    def judge(self, plan: Plan) -> bool:
        """Look for non-finite gradients, on the host or on the device."""
        tables = [None if group.roster is None else group.roster.work for group in plan.groups]
        # Whoever looks: gradients may have moved since the table was made.
        for group, table in zip(plan.groups, tables, strict=True):
            if table is not None:
                table.renew(group.items)
        if plan.scaling != Scaling():
            return plans.judge(plan, plan.items)
        unseen = []
        for group, table in zip(plan.groups, tables, strict=True):
            if table is None:
                unseen += group.items
                continue
            if not native.look(table, group.rule):
                return False
            unseen += [group.items[place] for place in table.others]
        return plans.judge(plan, unseen)

    def step(self, plan: Plan, ledger: Ledger, workspace: dict[object, object]) -> None:
        """Execute a plan."""
        torch_backend.step(plan)
        if plan.ok is not None:
            ledger.count_skip(plan.ok)
        ledger.publish(plan.changed)


class Triton:
    """A few kernels for all parameters, on a GPU."""

    def judge(self, plan: Plan) -> bool:
        """Nothing is known before the step, which looks itself, but what a GradScaler knows on the host."""
        return not plan.scaling.skips

    def step(self, plan: Plan, ledger: Ledger, workspace: dict[object, object]) -> None:
        """Execute a plan."""
        from ppsf_fast.backends import triton

        triton.step(plan, ledger, workspace)


@functools.cache
def version_of_triton() -> tuple[int, ...]:
    """The version of Triton; (0,) where there is none."""
    try:
        import triton
    except ImportError:
        return (0,)
    return tuple(int(part) for part in triton.__version__.split("+")[0].split(".")[:2])


@functools.cache
def _has_compiler() -> bool:
    """Whether Triton finds what it compiles the launcher of a kernel with."""
    return "CC" in os.environ or any(map(shutil.which, ("clang", "gcc")))


def _asked() -> str:
    """The backend that is asked for; "" if none is.

    Raises:
        ValueError: PPSF_BACKEND names none.
    """
    choice = os.environ.get(CHOICE, "")
    if choice not in ("", "torch", "triton"):
        raise ValueError(f"{CHOICE}={choice!r}: allowed are 'torch' and 'triton'. Set one of them, or unset it.")
    return choice


def _is_for_triton(plan: Plan) -> bool:
    """Whether Triton takes a step for which nothing is asked."""
    on_gpu = all(item.param.device.type == "cuda" for item in plan.items)
    return on_gpu and torch.version.hip is None and version_of_triton() >= TRIED and _has_compiler()


def choose(plan: Plan) -> Backend:
    """The backend for a plan.

    Args:
        plan: gathered.

    Raises:
        ValueError: PPSF_BACKEND names none.
    """
    asked = _asked()
    if asked == "torch" or not (version_of_triton() > (0,) if asked else _is_for_triton(plan)):
        return Torch()
    from ppsf_fast.backends import triton

    return Triton() if triton.serves(plan) else Torch()


def again(
    groups: Sequence[Group],
    rules: Sequence[Rule],
    states: Mapping[Tensor, State],
    ledger: Ledger,
    workspace: dict[object, object],
    scaling: Scaling,
    edited: bool,
) -> bool:
    """Take the last step once more, if nothing has changed that a plan depends on; returns whether it is taken.

    Args:
        groups, rules, states: all of the optimizer's, as :func:`ppsf_fast.plan.gather` takes them.
        ledger: holds the scalars.
        workspace: what a backend keeps between steps.
        scaling: of the gradients.
        edited: whether scalars of the groups have been.
    """
    if not workspace or _asked() == "torch":
        return False
    from ppsf_fast.backends import triton

    return triton.again(groups, rules, states, ledger, workspace, scaling, edited)
