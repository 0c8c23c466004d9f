"""What releases make of the second moment."""

from __future__ import annotations

from ppsf_conformance.overrides.rules import Table, instead
from ppsf_ref import numbers as num
from ppsf_ref.clauses.moment import Axes
from ppsf_ref.law import Rule
from ppsf_ref.numbers import Number


def _wrong_axis(base: Rule) -> Rule:
    """The axis that would be right had the row factor lost its reduced axis."""
    return lambda row, col, axes: base(row, col, Axes(axes.dr, axes.dc - 1 if axes.dc > axes.dr else axes.dc))


def _mean_plus(row: Number, col: Number, axes: Axes) -> Number:
    return num.sqrt(row / (num.mean(row, axes.dc) + 1e-30)) * num.sqrt(col)


def _mean_plus_under_one_root(row: Number, col: Number, axes: Axes) -> Number:
    return num.sqrt(row / (num.mean(row, axes.dc) + 1e-30) * col)


def _root_plus(v: Number) -> Number:
    return num.sqrt(v + 1e-15)


TABLE: Table = {
    "factored_mean_plus_1e_30": {"PPSF-V-005": instead(_mean_plus)},
    "factored_mean_plus_1e_30_under_one_root": {"PPSF-V-005": instead(_mean_plus_under_one_root)},
    "factored_mean_over_size_one_axis": {"PPSF-V-005": _wrong_axis},
    "root_plus_1e_15": {"PPSF-V-004": instead(_root_plus)},
}
