"""Area G: groups and pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ppsf_ref import numbers
from ppsf_ref.frozen import replace
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState

T = TypeVar("T")
#: What the groups of a pool have in common.
OF_POOL = ("d", "d_prev", "d_max", "n_max", "d_numerator", "d_denom", "k", "stalled", "peak")


@clause("PPSF-G-001", "7eb7aad5")
def taking_part(gradient: T | None, lr: float) -> T | None:
    """The gradient, if its parameter takes part in the step."""
    return gradient if lr != 0 else None


@clause("PPSF-G-002", "b9a5aa84")
def pools(count: int, split_groups: bool) -> tuple[tuple[int, ...], ...]:
    """Which groups share one estimate of d."""
    return tuple((i,) for i in range(count)) if split_groups else (tuple(range(count)),)


@clause("PPSF-G-003", "04bf0f0a")
def step_estimate(own: int, groups: Sequence[GroupState], mean: bool) -> Number:
    """The d that group ``own`` steps with: its own, or the harmonic mean over the groups that have stepped before."""
    active = [group.d for group in groups if group.k > 1]
    if not mean or not active:
        return groups[own].d
    return len(active) / numbers.add_up([1 / d for d in active], 0)


@clause("PPSF-G-004", "1dcdeaaf")
def step_size(estimate: Number, lr: Number) -> Number:
    """dlr."""
    return estimate * lr


@clause("PPSF-G-005", "81867570")
def joined(group: GroupState, pool: GroupState, position: int) -> GroupState:
    """A group with the estimate of its pool; the same for every ``position`` in the pool."""
    return replace(group, **{name: getattr(pool, name) for name in OF_POOL})


@clause("PPSF-G-006", "118a22d5")
def advances(took_part: Sequence[bool]) -> bool:
    """Whether a pool's estimate and count move in a step, from who took part in it."""
    return any(took_part)


@clause("PPSF-G-010", "54b84240")
def effective_lr(dlr: Number, d: Number) -> Number:
    """What a group shows of the step size of its coming step."""
    return dlr / d
