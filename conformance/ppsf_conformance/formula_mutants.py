"""Wrong laws in the formulas: areas D, V, U, C, M, Z and W. A fault each of the kinds that are easily made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref import GroupState, ParamState
from ppsf_ref import numbers as num
from ppsf_ref.clauses.average import Averaging, Decay, Decaying
from ppsf_ref.clauses.distance import Estimate, Weights, Window
from ppsf_ref.clauses.focus import Average
from ppsf_ref.clauses.modifiers import Peak
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.clauses.muon import Direction
from ppsf_ref.clauses.speed import Course
from ppsf_ref.law import Rule


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


def _rms(u: Any) -> Any:
    return num.sqrt(num.mean_square(u))


def _norm(u: Any) -> Any:
    return num.sqrt(num.total(u * u))


def _clipped_by(scale: Callable[[Any], Any]) -> Rule:
    return lambda u, bound: num.over_scale(u, num.maximum(scale(u) / bound, 1 + 0 * scale(u))) if np.size(u) else u


def _losing(change: Callable[[Decaying, Decay, Any], Decay]) -> Rule:
    def rule(before: Decaying, weight_decay: Any, dlr: Any, *rest: Any) -> Decaying:
        decaying: Decaying = law("PPSF-W-002", before, weight_decay, dlr, *rest)
        assert decaying.lost is not None
        return decaying._replace(lost=change(before, decaying.lost, dlr))

    return rule


def _masked(kept: Callable[[Any, Any], Any], least: float = 1e-3) -> Rule:
    def rule(decrease: Any, u: Any) -> Any:
        if np.size(u) == 0:
            return decrease
        mask = kept(decrease, u)
        return decrease * num.share(mask, num.maximum(num.mean(mask), least), most=2 / least)

    return rule


def _not_negative(x: Any) -> Any:
    return 1 - num.indicator(-x)


def _larger(before: Any, after: Any) -> Any:
    """AMSGrad's choice."""
    if not isinstance(after, ParamState):
        return num.maximum(before, after)
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in ("v", "v_row", "v_col")}
    return replace(after, **{name: num.maximum(*pair) for name, pair in pairs.items() if pair[0] is not None})


def _without_root(dlr: Any, beta2: Any, k: int) -> Any:
    factor = law("PPSF-M-003", 1 + 0 * dlr, beta2, k)
    return dlr * factor * factor


def _at_least_five(dlr: Any, beta2: Any, k: int) -> Any:
    power = num.value_of(beta2) ** k
    longest = 2 / (1 - num.value_of(beta2)) - 1
    return 0 * dlr if longest - 2 * k * power / (1 - power) <= 5 else law("PPSF-M-003", dlr, beta2, k)


def _capped_at(power: float) -> Rule:
    return lambda d, d_hat: Estimate(num.maximum(d, num.minimum(d_hat, num.power(d, power))), d)


def _whole_size(rms_sq: Any, o: Direction, beta2: Any, d: Any, d_prev: Any) -> Any:
    return law("PPSF-M-017", rms_sq, o, beta2, d_prev, d)


def _linear(peak: int | None, k: int, total: int | None) -> float:
    if peak is None:
        return 1.0
    length = 1000 if total is None else total - peak
    done = k - 1 - peak
    return 1 - done / length if done < length else 0.0


def _average_cut(m: Any, u: Any, beta1: Any, k: Any) -> Any:
    limit = num.power(k, 0.25) + 0 * u
    average = u if m is None else beta1 * m + (1 - beta1) * u
    return num.maximum(num.minimum(average, limit), -limit)


def _without_pull(before: Course | None, inner: Any, displacement: Any, k: Any) -> Course:
    right: Course = law("PPSF-M-040", before, inner, displacement, k)
    return right._replace(pull=inner)


def _present(norm: str) -> Rule:
    def rule(before: Course | None, inner: Any, displacement: Any, k: Any) -> Course:
        right: Course = law("PPSF-M-040", before, inner, displacement, k)
        return right._replace(**{norm: getattr(law("PPSF-M-040", None, inner, displacement, k), norm)})

    return rule


def _not_squared(way: Course, weight: Any) -> Any:
    return weight / (1 + way.l2) * (way.pull / way.l1)


def _cubic(weight_sum: Any, dlr: Any) -> Averaging:
    weight = dlr * dlr * dlr
    total = weight_sum + weight
    return Averaging(c=num.share(weight, total, 2), weight_sum=total)


def _sum_kept(weight_sum: Any, dlr: Any) -> Averaging:
    right: Averaging = law("PPSF-Z-001", weight_sum, dlr)
    return right._replace(weight_sum=weight_sum)


def _once_each(before: Any, after: Any, moved: Sequence[bool]) -> Any:
    total = before
    for one in moved:
        total = total + (after - before) if one else total
    return total


def _releases_early(k: int, prodigy_steps: int) -> Window:
    window: Window = law("PPSF-D-008", k, prodigy_steps)
    return window._replace(releases=k == prodigy_steps - 1)


def _late(k: int, prodigy_steps: int) -> Window:
    return Window(adapts=prodigy_steps == 0 or k <= prodigy_steps + 1, releases=k == prodigy_steps + 1)


def _falls_back(pool: GroupState) -> GroupState:
    return replace(pool, d=pool.d_prev)


def _longer_patience(before: Peak, grew: bool, k: int, patience: int) -> Peak:
    right: Peak = law("PPSF-M-022", before, grew, k, patience)
    return right._replace(peak=None if right.peak is None or (before.peak is None and k == 1) else right.peak)


def _average(v: Any, y: Any, beta2: Any, growth: Any) -> Average:
    right: Average = law("PPSF-M-008", v, y, beta2, growth)
    return right._replace(compared=right.kept)


def _limited(d: Any, numerator: Any, before: Any, largest: Any, d_coef: Any) -> Any:
    """The growth of two steps is let through."""
    once = law("PPSF-M-042", d, numerator, before, largest, d_coef)
    return once * (once / d)


FORMULA_MUTANTS = (
    # --- statistics
    Mutant("fourth root", clause="PPSF-D-001", kind="constant", rule=lambda d: num.sqrt(num.sqrt(d))),
    Mutant(
        "sum of the two points", clause="PPSF-D-002", kind="sign", rule=lambda g, x0, y, w: w * num.total(g * (x0 + y))
    ),
    Mutant(
        "last element dropped",
        clause="PPSF-D-002",
        kind="slice",
        rule=lambda g, x0, y, w: w * num.total(g[:-1] * (x0[:-1] - y[:-1])),
    ),
    Mutant(
        "mean, not sum",
        clause="PPSF-D-002",
        kind="constant",
        rule=lambda g, x0, y, w: law("PPSF-D-002", g, x0, y, w) / max(g.size, 1),
    ),
    Mutant("gradient decays too", clause="PPSF-D-003", kind="order", rule=lambda s, g, beta3, w: beta3 * (s + w * g)),
    Mutant("against the gradient", clause="PPSF-D-003", kind="sign", rule=lambda s, g, beta3, w: beta3 * s - w * g),
    Mutant("memory dropped", clause="PPSF-D-003", kind="dropped", rule=lambda s, g, beta3, w: 0 * s + w * g),
    Mutant("mean, not sum", clause="PPSF-D-004", kind="constant", rule=lambda s: num.total(abs(s)) / max(s.size, 1)),
    Mutant("last element dropped", clause="PPSF-D-004", kind="slice", rule=lambda s: num.total(abs(s[:-1]))),
    Mutant(
        "item decays too",
        clause="PPSF-D-005",
        kind="order",
        rule=lambda n, a, b3, d, d0: law("PPSF-D-005", n, b3 * a, b3, d, d0),
    ),
    Mutant(
        "memory dropped",
        clause="PPSF-D-005",
        kind="dropped",
        rule=lambda n, a, b3, d, d0: law("PPSF-D-005", 0 * n, a, b3, d, d0),
    ),
    Mutant(
        "d_coef on the denominator",
        clause="PPSF-D-006",
        kind="operand",
        rule=lambda n, m, coef: law("PPSF-D-006", n, coef * m, 1 + 0 * coef),
    ),
    Mutant(
        "half the angle",
        clause="PPSF-D-006",
        kind="constant",
        rule=lambda n, m, coef: 0.5 * law("PPSF-D-006", n, m, coef),
    ),
    Mutant(
        "grows by the candidate",
        clause="PPSF-D-007",
        kind="formula",
        rule=lambda d, h: Estimate(d + num.maximum(h, 0 * h), d),
    ),
    Mutant("one step late", clause="PPSF-D-008", kind="stale", rule=_late),
    Mutant("memory released too early", clause="PPSF-D-008", kind="stale", rule=_releases_early),
    Mutant("d falls back", clause="PPSF-D-009", kind="stale", rule=_falls_back),
    Mutant("times the root of d0", clause="PPSF-D-020", kind="operand", rule=lambda d, d0: d * d * num.sqrt(d0)),
    Mutant(
        "item by d",
        clause="PPSF-D-021",
        kind="operand",
        rule=lambda d, d0, dlr, g: law("PPSF-D-021", d, d0, dlr, g)._replace(item=d / d0 * d),
    ),
    Mutant(
        "sum without ratio",
        clause="PPSF-D-021",
        kind="dropped",
        rule=lambda d, d0, dlr, g: Weights(d / d0 * dlr, d if g else dlr),
    ),
    Mutant(
        "root of the share", clause="PPSF-D-022", kind="constant", rule=lambda dlr, beta3: dlr * num.sqrt(1 - beta3)
    ),
    Mutant("memory dropped", clause="PPSF-D-024", kind="dropped", rule=lambda n, a, b3: 0 * n + a),
    Mutant("d_coef twice", clause="PPSF-D-025", kind="constant", rule=lambda n, d, c: c * law("PPSF-D-025", n, d, c)),
    Mutant("d_coef twice", clause="PPSF-D-026", kind="constant", rule=lambda d, h, c: law("PPSF-D-026", d, c * h, c)),
    Mutant(
        "a third of an octave",
        clause="PPSF-D-026",
        kind="constant",
        rule=lambda d, h, c: num.minimum(h, 2 ** (1 / 3) * d),
    ),
    Mutant(
        "floor twice as high", clause="PPSF-D-027", kind="constant", rule=lambda d_hat, d0: num.maximum(d_hat, 2 * d0)
    ),
    Mutant(
        "d_prev forgotten",
        clause="PPSF-D-028",
        kind="stale",
        rule=lambda d, h, b4: law("PPSF-D-028", d, h, b4)._replace(d_prev=h),
    ),
    Mutant("a lower ceiling", clause="PPSF-D-031", kind="constant", rule=lambda d: num.minimum(d, 2.0**39 + 0 * d)),
    # --- second moment
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
        "mean over all rows and columns",
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
    # --- update
    Mutant(
        "wide once it has grown",
        clause="PPSF-U-001",
        kind="condition",
        rule=lambda d, d0, r: r.bound_later if law("PPSF-U-001", d, d0, r) == r.bound_at_start else r.bound_at_start,
    ),
    Mutant("eps squared", clause="PPSF-U-002", kind="constant", rule=lambda g, v, eps: g / (v + eps * eps)),
    Mutant(
        "eps as a floor", clause="PPSF-U-002", kind="formula", rule=lambda g, v, eps: g / num.maximum(v, eps + 0 * v)
    ),
    Mutant("bound outside only", clause="PPSF-U-003", kind="dropped", rule=lambda g, v, b: b * num.atan2(g, v)),
    Mutant(
        "weights exchanged",
        clause="PPSF-U-010",
        kind="operand",
        rule=lambda m, g, b1, d: law("PPSF-U-010", m, g, 1 - b1, d),
    ),
    Mutant(
        "eps by d squared",
        clause="PPSF-U-012",
        kind="constant",
        rule=lambda n, den, eps, d, dlr: n / (den + d * d * eps),
    ),
    Mutant("by the 2-norm", clause="PPSF-C-001", kind="formula", rule=_clipped_by(_norm)),
    Mutant(
        "by the largest element",
        clause="PPSF-C-001",
        kind="operand",
        rule=_clipped_by(lambda u: num.sqrt(num.mean_square(u)) + num.mean(abs(u))),
    ),
    Mutant(
        "fourth root",
        clause="PPSF-C-010",
        kind="constant",
        rule=lambda u: u / num.sqrt(num.sqrt(num.maximum(_rms(u), 1 + 0 * _rms(u)))) if np.size(u) else u,
    ),
    # --- modifiers
    Mutant(
        "0 counts as kept",
        clause="PPSF-M-001",
        kind="condition",
        rule=_masked(lambda decrease, u: _not_negative(decrease * u)),
    ),
    Mutant(
        "at least a half counts as kept",
        clause="PPSF-M-001",
        kind="constant",
        rule=_masked(lambda decrease, u: num.indicator(decrease * u), 0.5),
    ),
    Mutant(
        "the sign of nothing is 1",
        clause="PPSF-M-002",
        kind="sign",
        rule=lambda decrease, u: abs(decrease) * (2 * _not_negative(u) - 1),
    ),
    Mutant("no root", clause="PPSF-M-003", kind="dropped", rule=_without_root),
    Mutant("rectified above 5", clause="PPSF-M-003", kind="condition", rule=_at_least_five),
    Mutant(
        "two steps behind", clause="PPSF-M-004", kind="stale", rule=lambda beta2, k: law("PPSF-M-004", beta2, k + 2)
    ),
    Mutant("the larger of the two", clause="PPSF-M-006", kind="formula", rule=_larger),
    Mutant(
        "weights exchanged",
        clause="PPSF-M-008",
        kind="operand",
        rule=lambda v, y, b2, r: law("PPSF-M-008", v, y, 1 - b2, r),
    ),
    Mutant("compared with the new average", clause="PPSF-M-008", kind="stale", rule=_average),
    Mutant(
        "attraction 0.2", clause="PPSF-M-009", kind="constant", rule=lambda g, v, y: num.sign(g) - 0.2 * num.sign(v - y)
    ),
    Mutant("root of d0", clause="PPSF-M-010", kind="constant", rule=lambda weight, d0: weight * num.sqrt(d0)),
    Mutant("over d0", clause="PPSF-M-010", kind="operand", rule=lambda weight, d0: weight / d0),
    Mutant("half a sign", clause="PPSF-M-011", kind="constant", rule=lambda x: 0.5 * num.sign(x)),
    Mutant("capped at the power 0.97", clause="PPSF-M-012", kind="constant", rule=_capped_at(0.97)),
    Mutant("half the bound", clause="PPSF-M-013", kind="constant", rule=lambda revision: 0.5 * revision.bound_later),
    Mutant(
        "vectors too", clause="PPSF-M-014", kind="condition", rule=lambda shape, applies: applies and len(shape) > 0
    ),
    Mutant("rescaled the other way", clause="PPSF-M-017", kind="operand", rule=_whole_size),
    Mutant("starts a step late", clause="PPSF-M-022", kind="stale", rule=_longer_patience),
    Mutant("along a line", clause="PPSF-M-023", kind="formula", rule=_linear),
    Mutant(
        "0 counts as kept",
        clause="PPSF-M-030",
        kind="condition",
        rule=lambda m, g: (
            m * (_not_negative(m * g) / num.maximum(num.mean(_not_negative(m * g)), 1e-3)) if np.size(g) else m
        ),
    ),
    Mutant(
        "the sign of nothing is 1",
        clause="PPSF-M-031",
        kind="sign",
        rule=lambda m, g: abs(m) * (2 * _not_negative(g) - 1),
    ),
    Mutant("the average is cut", clause="PPSF-M-032", kind="order", rule=_average_cut),
    Mutant(
        "averaged over all steps alike",
        clause="PPSF-M-040",
        kind="constant",
        rule=lambda w, a, x, k: law("PPSF-M-040", w, a, x, num.power(k, 4 / 3)),
    ),
    Mutant("no memory of the pull", clause="PPSF-M-040", kind="dropped", rule=_without_pull),
    Mutant("present 1-norm", clause="PPSF-M-040", kind="stale", rule=_present("l1")),
    Mutant("present 2-norm", clause="PPSF-M-040", kind="stale", rule=_present("l2")),
    Mutant("penalty not squared", clause="PPSF-M-041", kind="constant", rule=_not_squared),
    Mutant(
        "d_coef left out",
        clause="PPSF-M-042",
        kind="dropped",
        rule=lambda d, n, p, m, c: law("PPSF-M-042", d, n, p, m, 1 + 0 * c),
    ),
    Mutant("growth squared", clause="PPSF-M-042", kind="constant", rule=_limited),
    # --- averaging and decay
    Mutant("weight dlr cubed", clause="PPSF-Z-001", kind="constant", rule=_cubic),
    Mutant("sum not kept", clause="PPSF-Z-001", kind="stale", rule=_sum_kept),
    Mutant(
        "no average",
        clause="PPSF-Z-002",
        kind="dropped",
        rule=lambda y, z, u, c, dlr, b1: law("PPSF-Z-002", y, y, u, c, dlr, b1),
    ),
    Mutant("not multiplied by dlr", clause="PPSF-Z-003", kind="dropped", rule=lambda z, u, dlr: z - u),
    Mutant("by dlr squared", clause="PPSF-Z-003", kind="constant", rule=lambda z, u, dlr: z - dlr * dlr * u),
    Mutant("y itself", clause="PPSF-Z-004", kind="dropped", rule=lambda y, z, beta1: y),
    Mutant("x itself", clause="PPSF-Z-005", kind="dropped", rule=lambda x, z, beta1: x),
    Mutant("z itself", clause="PPSF-Z-005", kind="operand", rule=lambda x, z, beta1: z),
    Mutant(
        "the first parameter decides",
        clause="PPSF-Z-006",
        kind="slice",
        rule=lambda before, after, moved: after if any(moved[:1]) else before,
    ),
    Mutant("added for each parameter", clause="PPSF-Z-006", kind="reset", rule=_once_each),
    Mutant("added in any case", clause="PPSF-Z-006", kind="condition", rule=lambda before, after, moved: after),
    Mutant("not multiplied by dlr", clause="PPSF-Z-012", kind="dropped", rule=lambda y, u, dlr: y - u),
    Mutant("of z", clause="PPSF-W-001", kind="operand", rule=lambda b, wd, *_: b._replace(u=b.u + wd * b.z)),
    Mutant(
        "half of it", clause="PPSF-W-001", kind="constant", rule=lambda b, wd, *_: b._replace(u=b.u + 0.5 * wd * b.y)
    ),
    Mutant(
        "times dlr",
        clause="PPSF-W-002",
        kind="operand",
        rule=_losing(lambda before, lost, dlr: Decay(dlr * lost.z, dlr * lost.y)),
    ),
    Mutant(
        "half of it",
        clause="PPSF-W-002",
        kind="constant",
        rule=_losing(lambda before, lost, dlr: Decay(0.5 * lost.z, 0.5 * lost.y)),
    ),
    Mutant(
        "decay grows", clause="PPSF-W-010", kind="sign", rule=lambda y, wd, dlr, by: law("PPSF-W-010", y, -wd, dlr, by)
    ),
    Mutant("half of it", clause="PPSF-W-011", kind="constant", rule=lambda g, y, wd: g + 0.5 * wd * y),
)
