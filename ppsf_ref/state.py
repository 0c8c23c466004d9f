"""The state of an optimizer, as frozen data. Arrays and scalars may be of any of the three number types."""

from __future__ import annotations

from dataclasses import dataclass

from ppsf_ref.numbers import Number


@dataclass(frozen=True)
class ParamState:
    """One parameter. ``y`` is its live weight (``x`` in eval mode); the others are None until they exist.

    ``v`` has the shape of ``y``; ``v_row`` and ``v_col`` that shape with one axis shrunk to 1; ``s`` and ``x0`` are
    1-d with one element in eleven.
    """

    y: Number
    z: Number | None = None
    x0: Number | None = None
    s: Number | None = None
    v: Number | None = None
    v_row: Number | None = None
    v_col: Number | None = None


@dataclass(frozen=True)
class GroupState:
    """One parameter group: the scalars of its pool, its own ``weight_sum``, and its parameters."""

    d: Number
    d_prev: Number
    d_numerator: Number
    d_denom: Number
    weight_sum: Number
    k: int
    params: tuple[ParamState, ...]


@dataclass(frozen=True)
class State:
    """A whole optimizer."""

    groups: tuple[GroupState, ...]
    train_mode: bool = True
