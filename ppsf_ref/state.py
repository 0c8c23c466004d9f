"""The state of an optimizer, as frozen data. Arrays and scalars may be of any of the three number types."""

from __future__ import annotations

from dataclasses import dataclass

from ppsf_ref.numbers import Number


@dataclass(frozen=True)
class ParamState:
    """One parameter. ``y`` is its live weight (``x`` in eval mode); the others are None until they exist.

    ``m`` and ``v`` have the shape of ``y``; ``v_row`` and ``v_col`` that shape with one axis shrunk to 1; ``s`` and
    ``x0`` are 1-d samples, one element in eleven as a rule. ``rms_sq`` is 0-d, and only where Muon moves the
    parameter (PPSF-M-014); ``pull``, ``l1`` and ``l2`` are 0-d, and only with SPEED of revision 2.0 (PPSF-M-040).
    """

    y: Number
    z: Number | None = None
    m: Number | None = None
    x0: Number | None = None
    s: Number | None = None
    v: Number | None = None
    v_row: Number | None = None
    v_col: Number | None = None
    rms_sq: Number | None = None
    pull: Number | None = None
    l1: Number | None = None
    l2: Number | None = None


@dataclass(frozen=True)
class Measured:
    """A parameter in the middle of a step: its moments and statistics have moved, its weights have not.

    ``n`` is what will move them, gradient or first moment; ``item`` and ``norm`` are its shares of the numerator
    and the denominator, if it has some. Without ``moves`` the rest of the step passes it by.
    """

    param: ParamState
    n: Number | None = None
    divisor: Number | None = None
    item: Number | None = None
    norm: Number | None = None
    moves: bool = True


@dataclass(frozen=True)
class GroupState:
    """One parameter group: the scalars of its pool, its own ``weight_sum`` and ``lr_max``, and its parameters.

    A revision stores some of the scalars (``Revision.scalars``); the others stay as they are. ``stalled`` and
    ``peak`` belong to the built-in cosine decay (PPSF-M-022).
    """

    d: Number
    d_prev: Number
    d_numerator: Number
    d_denom: Number
    weight_sum: Number
    k: int
    params: tuple[ParamState, ...]
    lr_max: Number = 0.0
    d_max: Number = 0.0
    n_max: Number = 0.0
    stalled: int = 0
    peak: int | None = None


@dataclass(frozen=True)
class State:
    """A whole optimizer."""

    groups: tuple[GroupState, ...]
    train_mode: bool = True
