"""What moves the weights of a parameter: its gradient, a first moment, or what Muon makes of it."""

from __future__ import annotations

from typing import NamedTuple

from ppsf_ref.clauses import adopt, modifiers, muon, options, update
from ppsf_ref.clauses.moment import Axes
from ppsf_ref.frame import Frame
from ppsf_ref.frozen import replace
from ppsf_ref.law import place
from ppsf_ref.numbers import Number
from ppsf_ref.state import GroupState, ParamState
from ppsf_ref.variants.moments import divisor, second_moment, seen
from ppsf_ref.variants.weights import divided


class Mover(NamedTuple):
    """A parameter with its first moment moved, and what moves its weights."""

    param: ParamState
    n: Number


@place
def mover(f: Frame, p: ParamState, g: Number, divisor: Number, group: GroupState) -> Mover:
    """What moves the weights: the gradient, or a first moment of it, or of what ADOPT makes of it."""
    if f.averages or not (f.averages_moment or f.options.use_adopt):
        return Mover(p, g)
    if f.options.use_adopt:
        g = divided(f, update.weighted_gradient(g, group.d), divisor, p.y, group.d, f.numbers.scalar(1.0))  # U-011
        m = adopt.normalized_moment(p.m, g, f.beta1, f.numbers.scalar(float(group.k)))  # M-032
    else:
        m = update.momentum(p.m, g, f.beta1, group.d)  # U-010
    return Mover(replace(p, m=m) if f.averages_moment else p, steered(f, m, g))


def steered(f: Frame, m: Number, g: Number) -> Number:
    """What moves the weights: the first moment ``m`` of what ``g`` is now, or what cautious or grams makes of it."""
    use_cautious, use_grams = f.options.use_cautious, f.options.use_grams
    if not (use_cautious or use_grams):
        return m
    if options.applies_grams(use_grams, use_cautious):  # O-004
        return modifiers.grams_momentum(m, g)  # M-031
    return modifiers.cautious_momentum(m, g)  # M-030


class Moved(NamedTuple):
    """A parameter with its moments moved, what moves its weights, and what this is divided by."""

    param: ParamState
    n: Number
    divisor: Number


@place
def by_muon(f: Frame, p: ParamState, g: Number, group: GroupState) -> Moved:
    """What a gradient makes of a parameter that Muon moves; the divisor is the memory, squared as it is."""
    o = muon.shortened(muon.orthogonalized(g))  # M-016, M-015
    rms_sq = muon.size_memory(p.rms_sq, o, f.beta2, group.d, group.d_prev)  # M-017
    return Moved(replace(p, rms_sq=rms_sq), o.o, rms_sq)


def by_moments(f: Frame, p: ParamState, g: Number, axes: Axes | None, group: GroupState) -> Moved:
    """What a gradient makes of any other parameter."""
    g = seen(f, p, g)  # M-007
    old, p = p, second_moment(f, p, g, axes, group)  # V-001, V-003, V-010, V-011, M-008
    by = divisor(f, old, p, axes, group)  # M-006, V-004, V-005, V-013, M-008
    p, n = mover(f, p, g, by, group)  # U-010, M-030 .. M-032
    return Moved(p, n, by)
