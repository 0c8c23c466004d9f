"""Where releases project with OrthoGrad, on what, and what they make of the rounding that is left."""

from __future__ import annotations

from dataclasses import replace

from ppsf_conformance.overrides.rules import Table, as_it_is, instead
from ppsf_ref import ParamState
from ppsf_ref import numbers as num
from ppsf_ref.clauses import orthograd
from ppsf_ref.clauses.orthograd import length
from ppsf_ref.frame import Frame
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number
from ppsf_ref.state import Measured


def _scaled_back(g: Number, p: ParamState) -> Number:
    along = num.total(p.y * g) / (num.total(p.y * p.y) + 1e-30)
    part = g - along * p.y
    return part * (length(g) / (length(part) + 1e-30))


def _on_z(base: Rule) -> Rule:
    return lambda g, p: base(g, replace(p, y=p.z))


def _after_update(base: Rule) -> Rule:
    """The direction, projected on z, or on y where nothing is averaged."""

    def rule(f: Frame, measured: Measured, d: Number, new_d: Number, dlr: Number) -> Number:
        u, p = base(f, measured, d, new_d, dlr), measured.param
        if not f.options.use_orthograd:
            return u
        return orthograd.orthogonal(u, replace(p, y=p.z) if f.averages else p)

    return rule


#: Innermost first.
TABLE: Table = {
    "orthograd_scales_rounding_up": {"PPSF-M-007": instead(_scaled_back)},
    "orthograd_projects_on_z": {"PPSF-M-007": _on_z},
    "orthograd_projects_update": {
        "PPSF-M-007": as_it_is,
        "seen": instead(lambda f, p, g: g),
        "direction": _after_update,
    },
}
