"""The update, its bound, and what step and decay make of the weights."""

from __future__ import annotations

from ppsf_ref.clauses import average, focus, modifiers, muon, options, speed, update
from ppsf_ref.frame import Frame
from ppsf_ref.law import place
from ppsf_ref.numbers import Number
from ppsf_ref.state import Measured, ParamState
from ppsf_ref.variants.moments import uses_muon


def bound(f: Frame, d: Number) -> float:
    """Bound of the update."""
    return speed.bound(f.revision) if f.options.use_speed else update.bound(d, f.d0, f.revision)  # M-013, U-001


@place
def direction(f: Frame, measured: Measured, d: Number, new_d: Number, dlr: Number) -> Number:
    """The update, before it is clipped."""
    n, by, y = measured.n, measured.divisor, measured.param.y
    if uses_muon(f, y.shape):
        return muon.direction(n, by)  # M-018
    if f.options.use_adopt and not f.averages:
        return n
    if f.revision.unit == "g" and f.eps is None and not f.options.use_focus:
        return update.angle(n, by, bound(f, d))  # U-003
    at = new_d if f.revision.unit == "new_d" else d
    if f.revision.unit != "g" and not f.averages_moment:
        n = update.weighted_gradient(n, at)  # U-011
    return divided(f, n, by, y, at, dlr)


def divided(f: Frame, n: Number, by: Number, y: Number, d: Number, dlr: Number) -> Number:
    """What moves the weights, over the divisor, in the units of the revision."""
    if f.options.use_focus:
        return focus.direction(n, by, y)  # M-009
    if f.revision.unit == "g":
        return update.quotient(n, by, f.eps)  # U-002
    if f.eps is None:
        return update.scaled_angle(n, by, f.revision.atan2_scale)  # U-013
    return update.weighted_quotient(n, by, f.eps, d, dlr)  # U-012


def clipped(f: Frame, u: Number, d: Number) -> Number:
    """The update after what limits its root mean square."""
    if not options.clips(f.options.use_stableadamw, f.options.eps):  # O-002
        return u
    if f.revision.clipping == "soft":
        return update.softly_clipped(u)  # C-010
    return update.clipped(u, bound(f, d))  # C-001


def decaying(f: Frame, p: ParamState, u: Number, c: Number, dlr: Number) -> average.Decaying:
    """What a step begins with where weights are averaged, and what decay takes from them."""
    before = average.Decaying(p.y, p.z, u)
    if f.options.weight_decay == 0 or not f.options.decouple:
        return before
    if f.options.weight_decay_by_lr:
        return average.decayed_update(before, f.weight_decay, dlr, c, f.beta1)  # W-001
    return average.decay(before, f.weight_decay, dlr, c, f.beta1)  # W-002


def next_y(f: Frame, y: Number, z: Number, u: Number, c: Number, dlr: Number) -> Number:
    """New y, before the decay that is not multiplied by dlr."""
    use_cautious, use_grams = f.options.use_cautious, f.options.use_grams
    if not (use_cautious or use_grams):
        return average.next_y(y, z, u, c, dlr, f.beta1)  # Z-002
    decrease = average.decrease_of_y(y, z, u, c, dlr, f.beta1)
    if options.applies_grams(use_grams, use_cautious):  # O-004
        return y - modifiers.grams(decrease, u)  # M-002
    return y - modifiers.cautious(decrease, u)  # M-001


def decayed(f: Frame, y: Number, dlr: Number) -> Number:
    """What decoupled weight decay leaves of weights that are not averaged."""
    if f.options.weight_decay == 0 or not f.options.decouple:
        return y
    return average.decayed_weights(y, f.weight_decay, dlr, f.options.weight_decay_by_lr)  # W-010
