"""Wrong laws about second moments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref import numbers as num
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.law import Rule


def _axes_swapped(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    axes = law("PPSF-V-002", shape, factored, min_dim)
    return axes and Axes(dr=axes.dc, dc=axes.dr)


def _last_two(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    axes = law("PPSF-V-002", shape, factored, min_dim)
    return axes and Axes(dr=len(shape) - 1, dc=len(shape) - 2)


def _all_dims(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    return law("PPSF-V-002", shape, factored, min_dim) if shape and min(shape) >= min_dim else None


def _earlier_first(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    if law("PPSF-V-002", shape, factored, min_dim) is None:
        return None
    order = sorted(range(len(shape)), key=lambda axis: (shape[axis], -axis))
    return Axes(dr=order[-1], dc=order[-2])


def _columns_kept(clause: str) -> Rule:
    """The rows move alone."""

    def rule(old: Factors, *rest: Any) -> Factors:
        new: Factors = law(clause, old, *rest)
        return new._replace(col=old.col)

    return rule


def _swapped(shape: tuple[int, ...], factored: bool) -> Axes | None:
    axes: Axes | None = law("PPSF-V-012", shape, factored)
    return axes and Axes(dr=axes.dc, dc=axes.dr)


def _first_two(shape: tuple[int, ...], factored: bool) -> Axes | None:
    return law("PPSF-V-012", shape, factored) and Axes(dr=1, dc=0)


def _gain(beta2: Any, d: Any, d_prev: Any) -> Any:
    ratio = d_prev / d
    return ratio * ratio


def _rows_stand(old: Factors, g: Any, axes: Axes, beta2: Any, d: Any, d_prev: Any) -> Factors:
    new: Factors = law("PPSF-V-003", old, g, axes, beta2, d, d_prev)
    return new._replace(row=old.row)


def _of_magnitudes(old: Factors, g: Any, axes: Axes, beta2: Any, d: Any, d_prev: Any) -> Factors:
    """The square of the mean in the place of the mean of squares."""
    right: Factors = law("PPSF-V-003", old, 0 * g, axes, beta2, d, d_prev)
    row, col = (num.mean(abs(g), axis) for axis in axes)
    return Factors(right.row + (1 - beta2) * (row * row), right.col + (1 - beta2) * (col * col))


def _row_of_weighted(old: Factors, g: Any, axes: Axes, beta2: Any, d: Any) -> Factors:
    new: Factors = law("PPSF-V-011", old, g, axes, beta2, d)
    return new._replace(row=old.row)


def _matrices_only(shape: tuple[int, ...], factored: bool) -> Axes | None:
    return law("PPSF-V-012", shape, factored) if len(shape) == 2 else None


MOMENTS: tuple[Mutant, ...] = (
    Mutant(
        "no rescaling by d",
        clause="PPSF-V-001",
        kind="dropped",
        rule=lambda v, g, b2, d, p: law("PPSF-V-001", v, g, b2, d, d),
    ),
    Mutant(
        "rescaled once",
        clause="PPSF-V-001",
        kind="constant",
        rule=lambda v, g, b2, d, p: b2 * (p / d) * v + (1 - b2) * (g * g),
    ),
    Mutant(
        "1 - beta2 missing",
        clause="PPSF-V-001",
        kind="dropped",
        rule=lambda v, g, b2, d, p: b2 * (p / d) * (p / d) * v + g * g,
    ),
    Mutant("axes swapped", clause="PPSF-V-002", kind="axis", rule=_axes_swapped),
    Mutant("last two axes", clause="PPSF-V-002", kind="axis", rule=_last_two),
    Mutant("all axes have to be large", clause="PPSF-V-002", kind="condition", rule=_all_dims),
    Mutant("earlier axes first", clause="PPSF-V-002", kind="axis", rule=_earlier_first),
    Mutant(
        "threshold 33",
        clause="PPSF-V-002",
        kind="constant",
        rule=lambda shape, factored, n: law("PPSF-V-002", shape, factored, n + 1),
    ),
    Mutant("columns never move", clause="PPSF-V-003", kind="stale", rule=_columns_kept("PPSF-V-003")),
    Mutant(
        "no rescaling by d",
        clause="PPSF-V-003",
        kind="dropped",
        rule=lambda old, g, axes, b2, d, p: law("PPSF-V-003", old, g, axes, b2, d, d),
    ),
    Mutant(
        "means over the other axis",
        clause="PPSF-V-003",
        kind="axis",
        rule=lambda old, g, axes, b2, d, p: law("PPSF-V-003", old, g + 0.25 * num.mean(g, axes.dr), axes, b2, d, p),
    ),
    Mutant("no root", clause="PPSF-V-004", kind="dropped", rule=lambda v: v),
    Mutant(
        "mean over the shrunk axis",
        clause="PPSF-V-005",
        kind="axis",
        rule=lambda row, col, axes: num.sqrt(col) + 0 * row,
    ),
    Mutant(
        "not divided by the mean",
        clause="PPSF-V-005",
        kind="dropped",
        rule=lambda row, col, axes: num.sqrt(row) * num.sqrt(col),
    ),
    Mutant(
        "not in units of d", clause="PPSF-V-010", kind="dropped", rule=lambda v, g, b2, d: b2 * v + (1 - b2) * (g * g)
    ),
    Mutant(
        "in units of sqrt(d)",
        clause="PPSF-V-010",
        kind="constant",
        rule=lambda v, g, b2, d: b2 * v + d * (1 - b2) * (g * g),
    ),
    Mutant("no decay", clause="PPSF-V-010", kind="dropped", rule=lambda v, g, b2, d: v + d * d * (1 - b2) * (g * g)),
    Mutant(
        "not in units of d",
        clause="PPSF-V-011",
        kind="dropped",
        rule=lambda o, g, a, b2, d: law("PPSF-V-011", o, g, a, b2, 1 + 0 * d),
    ),
    Mutant("column stands still", clause="PPSF-V-011", kind="stale", rule=_columns_kept("PPSF-V-011")),
    Mutant("axes exchanged", clause="PPSF-V-012", kind="axis", rule=_swapped),
    Mutant("the first two axes", clause="PPSF-V-012", kind="axis", rule=_first_two),
    Mutant(
        "large tensors only",
        clause="PPSF-V-012",
        kind="condition",
        rule=lambda shape, on: law("PPSF-V-002", shape, on, 32),
    ),
    Mutant("not corrected", clause="PPSF-V-013", kind="dropped", rule=lambda v, b2, k: v),
    Mutant(
        "corrected for the step before",
        clause="PPSF-V-013",
        kind="stale",
        rule=lambda v, b2, k: law("PPSF-V-013", v, b2, k + 1),
    ),
    Mutant(
        "rescaled the other way",
        clause="PPSF-V-001",
        kind="operand",
        rule=lambda v, g, b2, d, p: law("PPSF-V-001", v, g, b2, p, d),
    ),
    Mutant(
        "weights exchanged",
        clause="PPSF-V-001",
        kind="operand",
        rule=lambda v, g, b2, d, p: law("PPSF-V-001", v, g, 1 - b2, d, p),
    ),
    Mutant(
        "all of it rescaled",
        clause="PPSF-V-001",
        kind="order",
        rule=lambda v, g, b2, d, p: _gain(b2, d, p) * (b2 * v + (1 - b2) * (g * g)),
    ),
    Mutant(
        "magnitudes",
        clause="PPSF-V-001",
        kind="formula",
        rule=lambda v, g, b2, d, p: law("PPSF-V-001", v, 0 * g, b2, d, p) + (1 - b2) * abs(g),
    ),
    Mutant("rows never move", clause="PPSF-V-003", kind="stale", rule=_rows_stand),
    Mutant("squares of means", clause="PPSF-V-003", kind="formula", rule=_of_magnitudes),
    Mutant(
        "rescaled the other way",
        clause="PPSF-V-003",
        kind="operand",
        rule=lambda o, g, a, b2, d, p: law("PPSF-V-003", o, g, a, b2, p, d),
    ),
    Mutant("fourth root", clause="PPSF-V-004", kind="constant", rule=lambda v: num.sqrt(num.sqrt(v))),
    Mutant("1e-8 added", clause="PPSF-V-004", kind="constant", rule=lambda v: num.sqrt(v) + 1e-8),
    Mutant(
        "columns without root",
        clause="PPSF-V-005",
        kind="dropped",
        rule=lambda row, col, axes: law("PPSF-V-005", row, col * col, axes),
    ),
    Mutant(
        "mean of the columns",
        clause="PPSF-V-005",
        kind="operand",
        rule=lambda row, col, axes: (
            num.sqrt(num.share(row, num.mean(col, axes.dr), most=2 * row.shape[axes.dc])) * num.sqrt(col)
        ),
    ),
    Mutant(
        "mean over every axis",
        clause="PPSF-V-005",
        kind="axis",
        rule=lambda row, col, axes: num.sqrt(num.share(row, num.mean(row) + 0 * row, most=np.inf)) * num.sqrt(col),
    ),
    Mutant(
        "all of it in units of d",
        clause="PPSF-V-010",
        kind="order",
        rule=lambda v, g, b2, d: d * d * (b2 * v + (1 - b2) * (g * g)),
    ),
    Mutant("rows stand still", clause="PPSF-V-011", kind="stale", rule=_row_of_weighted),
    Mutant(
        "no decay",
        clause="PPSF-V-011",
        kind="dropped",
        rule=lambda o, g, a, b2, d: Factors(
            *(new + (1 - b2) * old for new, old in zip(law("PPSF-V-011", o, g, a, b2, d), o, strict=True))
        ),
    ),
    Mutant("matrices only", clause="PPSF-V-012", kind="condition", rule=_matrices_only),
    Mutant(
        "root of the correction",
        clause="PPSF-V-013",
        kind="constant",
        rule=lambda v, b2, k: v / num.sqrt(1 - num.power(b2, k)),
    ),
)
