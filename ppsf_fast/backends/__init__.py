"""The backends: each executes a plan, with one meaning. Which one does is chosen for each step.

Torch serves anything anywhere. Triton has to be asked for, by the environment variable PPSF_BACKEND=triton, as long as
its kernels have not been run on a GPU; on a CPU it needs Triton's interpreter (TRITON_INTERPRET=1), and is for tests.
"""

from __future__ import annotations

import functools
import os
from typing import Protocol

from ppsf_fast import plan as plans
from ppsf_fast.backends import torch_backend
from ppsf_fast.plan import Plan
from ppsf_fast.scalars import Ledger
from ppsf_fast.scaling import Scaling

CHOICE = "PPSF_BACKEND"


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
        return plans.judge(plan)

    def step(self, plan: Plan, ledger: Ledger, workspace: dict[object, object]) -> None:
        """Execute a plan."""
        torch_backend.step(plan)
        if plan.ok is not None:
            ledger.count_skip(plan.ok)
        ledger.publish(plan.changed)


class Triton:
    """A few kernels for all parameters, on a GPU."""

    def judge(self, plan: Plan) -> bool:
        """Nothing is known before the step, which looks itself."""
        return True

    def step(self, plan: Plan, ledger: Ledger, workspace: dict[object, object]) -> None:
        """Execute a plan."""
        from ppsf_fast.backends import triton

        values = triton.step(plan, workspace, ledger.counter(plan.pools[0].device))
        ledger.publish(plan.changed, values)


@functools.cache
def _has_triton() -> bool:
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True


def choose(plan: Plan, together: bool) -> Backend:
    """The backend for a plan.

    Args:
        plan: gathered.
        together: whether processes share their sums, which only torch does.

    Raises:
        ValueError: PPSF_BACKEND names none.
    """
    choice = os.environ.get(CHOICE, "torch")
    if choice not in ("torch", "triton"):
        raise ValueError(f"{CHOICE}={choice!r}: allowed are 'torch' and 'triton'. Set one of them, or unset it.")
    if choice == "torch" or together or plan.scaling != Scaling() or not _has_triton():
        return Torch()
    from ppsf_fast.backends import triton

    return Triton() if triton.serves(plan) else Torch()
