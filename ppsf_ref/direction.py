"""From a gradient to a direction: how the second moment is renewed, and what the gradient is divided by."""

from __future__ import annotations

from dataclasses import replace

from ppsf_ref.clauses import adopt, focus, moment, orthograd, update
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.frame import Frame
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState, ParamState


def only_fills(f: Frame, p: ParamState, k: int) -> bool:
    """Whether a parameter that takes part in step ``k`` of its pool does no more than :func:`filled`."""
    return f.options.use_adopt and adopt.only_fills(p.z is None, k)  # M-005


def filled(f: Frame, group: GroupState, p: ParamState, g: Number, axes: Axes | None) -> ParamState:
    """A parameter with state, its second moment made of ``g`` alone."""
    alone = replace(f, beta2=f.numbers.scalar(0.0))
    if f.options.use_focus:
        return replace(p, v=_average(alone, group, p).kept)
    return _renewed(alone, group, p, _seen(f, p, g), axes)


def directed(
    f: Frame, group: GroupState, p: ParamState, g: Number, axes: Axes | None, bound: float
) -> tuple[ParamState, Number]:
    """The parameter with its new second moment, and the update."""
    g = _seen(f, p, g)
    if f.options.use_focus:
        average = _average(f, group, p)  # M-008
        compared = adopt.divides(p.v, average.compared) if f.options.use_adopt else average.compared  # M-006
        return replace(p, v=average.kept), focus.direction(g, compared, p.y)  # M-009
    new = _renewed(f, group, p, g, axes)
    source = adopt.divides(p, new) if f.options.use_adopt else new  # M-006
    if axes is None:
        denominator = moment.denominator(source.v)  # V-004
    else:
        denominator = moment.factored_denominator(source.v_row, source.v_col, axes)  # V-005
    if f.eps is None:
        return new, update.angle(g, denominator, bound)  # U-003
    return new, update.quotient(g, denominator, f.eps)  # U-002


def _seen(f: Frame, p: ParamState, g: Number) -> Number:
    """The gradient that second moment and direction see."""
    return orthograd.orthogonal(g, p) if f.options.use_orthograd else g  # M-007


def _average(f: Frame, group: GroupState, p: ParamState) -> focus.Average:
    return focus.average(p.v, p.y, f.beta2, group.d_prev / group.d)


def _renewed(f: Frame, group: GroupState, p: ParamState, g: Number, axes: Axes | None) -> ParamState:
    d, d_prev = group.d, group.d_prev
    if axes is None:
        return replace(p, v=moment.second_moment(p.v, g, f.beta2, d, d_prev))  # V-001
    row, col = moment.factored_moments(Factors(p.v_row, p.v_col), g, axes, f.beta2, d, d_prev)  # V-003
    return replace(p, v_row=row, v_col=col)
