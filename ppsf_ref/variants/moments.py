"""What a parameter keeps, what its second moment sees, and what is divided by."""

from __future__ import annotations

from ppsf_ref import numbers as num
from ppsf_ref.clauses import adopt, average, focus, lifecycle, moment, muon, options, orthograd
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.frame import Frame
from ppsf_ref.frozen import replace
from ppsf_ref.law import place
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState, ParamState
from ppsf_ref.store import formats
from ppsf_ref.variants.estimates import follows_displacement


def uses_muon(f: Frame, shape: tuple[int, ...]) -> bool:
    """Whether the orthogonalised gradient moves a parameter of this shape."""
    return muon.moves(shape, options.applies_muon(f.options.use_muon_pp, f.options.use_focus))  # M-014, O-006


def factored_axes(f: Frame, shape: tuple[int, ...]) -> Axes | None:
    """Axes over which the second moment of a parameter is factored."""
    if uses_muon(f, shape):
        return None
    factored = options.factors(f.options.factored, f.options.use_focus)  # O-005
    if f.revision.factored_axes == "last_two":
        return moment.last_axes(shape, factored)  # V-012
    return moment.factored_axes(shape, factored, f.revision.factored_min_dim)  # V-002


def created(f: Frame, p: ParamState, axes: Axes | None, dtype: str) -> ParamState:
    """A parameter with all the state it needs."""
    keeps = lifecycle.Keeps(
        z=f.averages, m=f.averages_moment, s=not follows_displacement(f), rms_sq=uses_muon(f, p.y.shape)
    )
    x0 = formats(f.options, dtype)["x0"]
    return lifecycle.created(
        p, axes, keeps, f.window.adapts, f.options.slice_p, x0, f.numbers, f.options.use_focus
    )  # L-001


def decayed_gradient(f: Frame, p: ParamState, g: Number) -> Number:
    """The gradient with the decay that is a part of it."""
    coupled = f.options.weight_decay != 0 and not f.options.decouple
    return num.as_array(average.coupled_gradient(g, p.y, f.weight_decay)) if coupled else g  # W-011


def only_fills(f: Frame, p: ParamState, k: int) -> bool:
    """Whether a parameter that takes part in step ``k`` of its pool does no more than :func:`filled`."""
    if not f.options.use_adopt or uses_muon(f, p.y.shape):
        return False
    return adopt.only_fills(lifecycle.is_new(p), k)  # M-005


@place
def seen(f: Frame, p: ParamState, g: Number) -> Number:
    """The gradient that second moment and direction see."""
    return orthograd.orthogonal(g, p) if f.options.use_orthograd else g  # M-007


def filled(f: Frame, p: ParamState, g: Number, axes: Axes | None, group: GroupState) -> ParamState:
    """A parameter with its second moment made of ``g`` alone."""
    return second_moment(replace(f, beta2=f.numbers.scalar(0.0)), p, g, axes, group)


def second_moment(f: Frame, p: ParamState, g: Number, axes: Axes | None, group: GroupState) -> ParamState:
    """A parameter with its second moment moved, or what FOCUS keeps in its place."""
    d, d_prev, old = group.d, group.d_prev, Factors(p.v_row, p.v_col)
    rescaled = f.revision.second_moment == "rescaled"
    if f.options.use_focus:
        return replace(p, v=average_of_weights(f, p, group).kept)
    if axes is None and rescaled:
        return replace(p, v=moment.second_moment(p.v, g, f.beta2, d, d_prev))  # V-001
    if axes is None:
        return replace(p, v=moment.weighted_moment(p.v, g, f.beta2, d))  # V-010
    if rescaled:
        row, col = moment.factored_moments(old, g, axes, f.beta2, d, d_prev)  # V-003
    else:
        row, col = moment.weighted_factors(old, g, axes, f.beta2, d)  # V-011
    return replace(p, v_row=row, v_col=col)


@place
def average_of_weights(f: Frame, p: ParamState, group: GroupState) -> focus.Average:
    """The average of the weights that FOCUS compares with, and the one that it keeps."""
    return focus.average(p.v, p.y, f.beta2, group.d_prev / group.d)  # M-008


def divisor(f: Frame, old: ParamState, new: ParamState, axes: Axes | None, group: GroupState) -> Number:
    """What the update divides by, or what FOCUS compares the weights with."""
    if f.options.use_focus:
        compared = average_of_weights(f, old, group).compared
        return adopt.divides(old.v, compared) if f.options.use_adopt else compared  # M-006
    p = adopt.divides(old, new) if f.options.use_adopt else new  # M-006
    if axes is not None:
        return moment.factored_denominator(p.v_row, p.v_col, axes)  # V-005
    if f.revision.second_moment == "corrected":
        return moment.denominator(moment.corrected_moment(p.v, f.given_beta2, group.k))  # V-013, V-004
    return moment.denominator(p.v)  # V-004
