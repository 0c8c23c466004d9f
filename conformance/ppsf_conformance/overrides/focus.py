"""What releases keep for FOCUS in the place of an average of the weights."""

from __future__ import annotations

from dataclasses import replace

from ppsf_conformance.overrides.rules import Override, Table, as_it_is
from ppsf_ref import GroupState, ParamState
from ppsf_ref.clauses.focus import Average
from ppsf_ref.frame import Frame
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number
from ppsf_ref.state import Measured

#: The average starts at 0.
STARTS_AT_ZERO: Override = lambda base: lambda *args: base(*args[:7], False)  # noqa: E731


def _rescaled_average(base: Rule) -> Rule:
    def rule(v: Number, y: Number, beta2: Number, growth: Number) -> Average:
        law: Average = base(v, y, beta2, growth)
        return law._replace(kept=(beta2 * growth * growth) * v + (1 - beta2) * y)

    return rule


def _new_average_compared(base: Rule) -> Rule:
    def rule(v: Number, y: Number, beta2: Number, growth: Number) -> Average:
        average: Average = base(v, y, beta2, growth)
        return average._replace(compared=average.kept)

    return rule


def _seen_weights(f: Frame, p: ParamState) -> ParamState:
    """The parameter with z in the place of y, where weights are averaged."""
    return replace(p, y=p.z) if f.averages else p


def _of_squared_d(base: Rule) -> Rule:
    def rule(f: Frame, p: ParamState, group: GroupState) -> Average:
        w = _seen_weights(f, p).y
        new = f.beta2 * p.v + ((1 - f.beta2) * (group.d * group.d)) * w
        return Average(compared=new, kept=new)

    return rule


def _compared_at_z(base: Rule) -> Rule:
    def rule(f: Frame, measured: Measured, d: Number, new_d: Number, dlr: Number) -> Number:
        at = _seen_weights(f, measured.param) if f.options.use_focus else measured.param
        u: Number = base(f, replace(measured, param=at), d, new_d, dlr)
        return u

    return rule


TABLE: Table = {
    "focus_average_starts_at_zero": {"PPSF-L-001": STARTS_AT_ZERO},
    "focus_average_rescaled": {"PPSF-M-008": _rescaled_average},
    "focus_compares_with_new_average": {"PPSF-M-008": _new_average_compared},
    "focus_average_of_squared_d": {
        "PPSF-M-008": as_it_is,
        "PPSF-L-001": STARTS_AT_ZERO,
        "average_of_weights": _of_squared_d,
        "direction": _compared_at_z,
    },
}
