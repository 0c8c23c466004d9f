"""Wrong laws: one small fault each. The suite has to notice every one of them, or a test is missing.

A mutant replaces the reference function of its clause. An implementation that follows the law must then be found
outside the bounds, on some input that the regimes of :mod:`ppsf_conformance.problems` or the checks produce.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.formula_mutants import FORMULA_MUTANTS
from ppsf_conformance.fused_mutants import FUSED_MUTANTS
from ppsf_conformance.mutant import Mutant, created_with, refuses, stored_in
from ppsf_conformance.mutant import law as _law
from ppsf_conformance.revision_mutants import REVISION_MUTANTS
from ppsf_conformance.scaling_mutants import SCALING_MUTANTS
from ppsf_conformance.state_mutants import STATE_MUTANTS
from ppsf_ref import BFLOAT16, FLOAT32, Options
from ppsf_ref import numbers as num
from ppsf_ref.clauses.average import Averaging, Decay, Decaying
from ppsf_ref.clauses.distance import Estimate, Share, Window
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.clauses.muon import LEAST_NORM, POLYNOMIAL, STEPS, Direction
from ppsf_ref.clauses.orthograd import component, length
from ppsf_ref.clauses.speed import GROWTH
from ppsf_ref.law import Rule
from ppsf_ref.newton_schulz import Polynomial, Turned


def _mean_over_processes(own: Share, elsewhere: Sequence[Share]) -> Share:
    summed: Share = _law("PPSF-D-032", own, elsewhere)
    return Share(*(part / (1 + len(elsewhere)) for part in summed))


def _axes_swapped(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    axes = _law("PPSF-V-002", shape, factored, min_dim)
    return axes and Axes(dr=axes.dc, dc=axes.dr)


def _last_two(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    axes = _law("PPSF-V-002", shape, factored, min_dim)
    return axes and Axes(dr=len(shape) - 1, dc=len(shape) - 2)


def _all_dims(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    return _law("PPSF-V-002", shape, factored, min_dim) if shape and min(shape) >= min_dim else None


def _earlier_first(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    if _law("PPSF-V-002", shape, factored, min_dim) is None:
        return None
    order = sorted(range(len(shape)), key=lambda axis: (shape[axis], -axis))
    return Axes(dr=order[-1], dc=order[-2])


def _row_only(old: Factors, g: Any, axes: Axes, beta2: Any, d: Any, d_prev: Any) -> Factors:
    new: Factors = _law("PPSF-V-003", old, g, axes, beta2, d, d_prev)
    return new._replace(col=old.col)


def _losing(change: Callable[[Decay], Decay]) -> Rule:
    """The decay beside the update, changed."""

    def rule(*args: Any) -> Decaying:
        decaying: Decaying = _law("PPSF-W-002", *args)
        assert decaying.lost is not None
        return decaying._replace(lost=change(decaying.lost))

    return rule


def _linear_weight(weight_sum: Any, dlr: Any) -> Averaging:
    total = weight_sum + dlr
    return Averaging(c=num.share(dlr, total, 2), weight_sum=total)


def _old_sum(weight_sum: Any, dlr: Any) -> Averaging:
    right: Averaging = _law("PPSF-Z-001", weight_sum, dlr)
    return right._replace(c=num.share(dlr * dlr, weight_sum + 2 * dlr * dlr, 2))


def _low_bits_swapped(seed: int, k: int, parameter: int, count: int) -> Any:
    y, z = _law("PPSF-R-004", seed, k, parameter, count)
    return z, y


def _keeps_s(k: int, prodigy_steps: int) -> Window:
    window: Window = _law("PPSF-D-008", k, prodigy_steps)
    return window._replace(releases=False)


def _rounding_scaled_up(g: Any, p: Any) -> Any:
    part = component(g, p.y)
    return part * num.share(length(g), length(part), np.inf)


def _turned_by(polynomial: Polynomial, steps: int = STEPS, least: float = LEAST_NORM) -> Rule:
    return lambda g, *_: _law("PPSF-M-015", g, polynomial, steps, least)


def _last_as_columns(g: Any, *_: Any) -> Turned:
    turned: Turned = _law("PPSF-M-015", g.reshape(math.prod(g.shape[:-1]), g.shape[-1]))
    return turned._replace(matrix=turned.matrix.reshape(*g.shape))


def _in_proportion(turned: Turned) -> Direction:
    return Direction(turned.along * turned.matrix, turned.along * turned.length)


def _shortened_below_two(turned: Turned) -> Direction:
    return Direction(*_law("PPSF-M-016", turned._replace(along=0.5 * turned.along)))


def _first_size(rms_sq: Any, o: Direction, beta2: Any, d: Any, d_prev: Any) -> Any:
    started = bool(num.value_of(rms_sq) > 0)
    return 1 * rms_sq if started else _law("PPSF-M-017", rms_sq, o, 0 * beta2, d, d_prev)


def _sum_of_squares(rms_sq: Any, o: Direction, beta2: Any, d: Any, d_prev: Any) -> Any:
    whole = o._replace(length=o.length * math.sqrt(max(math.prod(o.o.shape), 1)))
    return _law("PPSF-M-017", rms_sq, whole, beta2, d, d_prev)


def _accepts(*args: Any, **kwargs: Any) -> None:
    return None


def _ignores_group_options(defaults: Options, given: Any) -> Options:
    return defaults


def _harmonic_becomes_arithmetic(own: int, groups: Any, mean: bool) -> Any:
    active = [group.d for group in groups if group.k > 1]
    return num.add_up(active, 0) / len(active) if mean and active else groups[own].d


def _counts_idle(own: int, groups: Any, mean: bool) -> Any:
    return len(groups) / num.add_up([1 / group.d for group in groups], 0) if mean else groups[own].d


def _lost_on_load(**parts: Any) -> Rule:
    def rule(state: Any) -> Any:
        return replace(state, groups=tuple(replace(group, **parts) for group in state.groups))

    return rule


def _forgets_arrays(state: Any) -> Any:
    groups = (
        replace(group, params=tuple(replace(p, s=None if p.s is None else 0 * p.s) for p in group.params))
        for group in state.groups
    )
    return replace(state, groups=tuple(groups))


#: Every mutant; each clause has at least one.
MUTANTS: tuple[Mutant, ...] = (
    Mutant("every tenth element", clause="PPSF-N-001", kind="constant", rule=lambda t, stride: t.reshape(-1)[::10]),
    Mutant("starts at element 1", clause="PPSF-N-001", kind="slice", rule=lambda t, stride: t.reshape(-1)[1::stride]),
    Mutant(
        "beta2 itself", clause="PPSF-O-001", kind="operand", rule=lambda beta3, beta2: beta2 if beta3 is None else beta3
    ),
    Mutant("given beta3 ignored", clause="PPSF-O-001", kind="option", rule=lambda beta3, beta2: num.sqrt(beta2)),
    Mutant("clips with atan2 too", clause="PPSF-O-002", kind="condition", rule=lambda use, eps: use),
    Mutant("never clips", clause="PPSF-O-002", kind="condition", rule=lambda use, eps: False),
    Mutant("options of a group ignored", clause="PPSF-O-003", kind="option", rule=_ignores_group_options),
    Mutant("lr = 0 takes part", clause="PPSF-G-001", kind="condition", rule=lambda gradient, lr: gradient),
    Mutant(
        "groups never share",
        clause="PPSF-G-002",
        kind="condition",
        rule=lambda count, split: tuple((i,) for i in range(count)),
    ),
    Mutant(
        "groups always share", clause="PPSF-G-002", kind="condition", rule=lambda count, split: (tuple(range(count)),)
    ),
    Mutant("arithmetic mean", clause="PPSF-G-003", kind="formula", rule=_harmonic_becomes_arithmetic),
    Mutant("idle groups counted", clause="PPSF-G-003", kind="condition", rule=_counts_idle),
    Mutant("always the own d", clause="PPSF-G-003", kind="operand", rule=lambda own, groups, mean: groups[own].d),
    Mutant("lr ignored", clause="PPSF-G-004", kind="dropped", rule=lambda estimate, lr: estimate),
    Mutant(
        "lr off by 2**-20",
        clause="PPSF-G-004",
        kind="constant",
        rule=lambda estimate, lr: estimate * lr * (1 + 2.0**-20),
    ),
    Mutant(
        "d_prev stays behind",
        clause="PPSF-G-005",
        kind="stale",
        rule=lambda group, pool, position: replace(
            _law("PPSF-G-005", group, pool, position), d_prev=group.d_prev if position else pool.d_prev
        ),
    ),
    Mutant("an idle pool moves", clause="PPSF-G-006", kind="condition", rule=lambda took_part: True),
    Mutant("every parameter needed", clause="PPSF-G-006", kind="condition", rule=lambda took_part: all(took_part)),
    Mutant("weight d", clause="PPSF-D-001", kind="operand", rule=lambda d: d),
    Mutant("weight 1", clause="PPSF-D-001", kind="constant", rule=lambda d: 1 + 0 * d),
    Mutant("sign flipped", clause="PPSF-D-002", kind="sign", rule=lambda g, x0, y, w: -_law("PPSF-D-002", g, x0, y, w)),
    Mutant("unweighted", clause="PPSF-D-002", kind="dropped", rule=lambda g, x0, y, w: num.total(g * (x0 - y))),
    Mutant("distance from zero", clause="PPSF-D-002", kind="operand", rule=lambda g, x0, y, w: w * num.total(g * y)),
    Mutant("no decay", clause="PPSF-D-003", kind="dropped", rule=lambda s, g, beta3, w: s + w * g),
    Mutant(
        "a true average",
        clause="PPSF-D-003",
        kind="formula",
        rule=lambda s, g, beta3, w: beta3 * s + (1 - beta3) * (w * g),
    ),
    Mutant("sum without magnitude", clause="PPSF-D-004", kind="sign", rule=num.total),
    Mutant("2-norm", clause="PPSF-D-004", kind="formula", rule=lambda s: num.sqrt(num.total(s * s))),
    Mutant("first element dropped", clause="PPSF-D-004", kind="slice", rule=lambda s: num.total(abs(s[1:]))),
    Mutant(
        "no decay",
        clause="PPSF-D-005",
        kind="dropped",
        rule=lambda n, a, beta3, d, d0: _law("PPSF-D-005", n, a, 1 + 0 * beta3, d, d0),
    ),
    Mutant(
        "negative items always count",
        clause="PPSF-D-005",
        kind="condition",
        rule=lambda n, a, beta3, d, d0: beta3 * n + a,
    ),
    Mutant(
        "negative items never count",
        clause="PPSF-D-005",
        kind="stale",
        rule=lambda n, a, beta3, d, d0: beta3 * n + num.maximum(a, 0 * a),
    ),
    Mutant(
        "a plain quotient",
        clause="PPSF-D-006",
        kind="formula",
        rule=lambda n, m, coef: coef * n / m if num.is_positive(m, "denominator_positive") else 0 * n,
    ),
    Mutant(
        "d_coef ignored",
        clause="PPSF-D-006",
        kind="dropped",
        rule=lambda n, m, coef: _law("PPSF-D-006", n, m, 1 + 0 * coef),
    ),
    Mutant(
        "pi/2 when nothing was summed",
        clause="PPSF-D-006",
        kind="condition",
        rule=lambda n, m, coef: _law("PPSF-D-006", n, m, coef) if num.value_of(m) > 0 else 1.57 + 0 * n,
    ),
    Mutant("d may fall", clause="PPSF-D-007", kind="condition", rule=lambda d, d_hat: Estimate(d=d_hat, d_prev=d)),
    Mutant(
        "d_prev forgotten",
        clause="PPSF-D-007",
        kind="stale",
        rule=lambda d, d_hat: _law("PPSF-D-007", d, d_hat)._replace(d_prev=d_hat),
    ),
    Mutant(
        "one step early",
        clause="PPSF-D-008",
        kind="stale",
        rule=lambda k, n: Window(adapts=n == 0 or k < n, releases=k == n),
    ),
    Mutant("for ever", clause="PPSF-D-008", kind="condition", rule=lambda k, n: Window(adapts=True, releases=False)),
    Mutant("memory kept", clause="PPSF-D-008", kind="reset", rule=_keeps_s),
    Mutant("d_prev left behind", clause="PPSF-D-009", kind="stale", rule=lambda pool: pool),
    Mutant(
        "numerator reset",
        clause="PPSF-D-009",
        kind="reset",
        rule=lambda pool: replace(_law("PPSF-D-009", pool), d_numerator=0 * pool.d),
    ),
    Mutant(
        "no rescaling by d",
        clause="PPSF-V-001",
        kind="dropped",
        rule=lambda v, g, b2, d, p: _law("PPSF-V-001", v, g, b2, d, d),
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
        rule=lambda shape, factored, n: _law("PPSF-V-002", shape, factored, n + 1),
    ),
    Mutant("columns never move", clause="PPSF-V-003", kind="stale", rule=_row_only),
    Mutant(
        "no rescaling by d",
        clause="PPSF-V-003",
        kind="dropped",
        rule=lambda old, g, axes, b2, d, p: _law("PPSF-V-003", old, g, axes, b2, d, d),
    ),
    Mutant(
        "means over the other axis",
        clause="PPSF-V-003",
        kind="axis",
        rule=lambda old, g, axes, b2, d, p: _law("PPSF-V-003", old, g + 0.25 * num.mean(g, axes.dr), axes, b2, d, p),
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
        "wide for ever", clause="PPSF-U-001", kind="condition", rule=lambda d, d0, revision: revision.bound_at_start
    ),
    Mutant(
        "narrow from the start",
        clause="PPSF-U-001",
        kind="condition",
        rule=lambda d, d0, revision: revision.bound_later,
    ),
    Mutant(
        "eps inside the root", clause="PPSF-U-002", kind="order", rule=lambda g, v, eps: g / num.sqrt(v * v + eps * eps)
    ),
    Mutant("eps ten times too large", clause="PPSF-U-002", kind="constant", rule=lambda g, v, eps: g / (v + 10 * eps)),
    Mutant("no eps", clause="PPSF-U-002", kind="dropped", rule=lambda g, v, eps: g / (v + 0 * eps + 1e-30)),
    Mutant("unscaled", clause="PPSF-U-003", kind="dropped", rule=lambda g, v, b: num.atan2(g, v)),
    Mutant(
        "scaled by 4/pi",
        clause="PPSF-U-003",
        kind="constant",
        rule=lambda g, v, b: 1.2732395 * _law("PPSF-U-003", g, v, b),
    ),
    Mutant(
        "bound 1 throughout", clause="PPSF-C-001", kind="constant", rule=lambda u, bound: _law("PPSF-C-001", u, 1.0)
    ),
    Mutant(
        "soft clipping", clause="PPSF-C-001", kind="formula", rule=lambda u, bound: u / num.sqrt(_rms_over(u, bound))
    ),
    Mutant(
        "small updates raised",
        clause="PPSF-C-001",
        kind="constant",
        rule=lambda u, bound: u / (_rms_over(u, bound) * 1.0001),
    ),
    Mutant(
        "weights after the step",
        clause="PPSF-W-001",
        kind="order",
        rule=lambda b, wd, *_: b._replace(u=b.u + wd * (b.y - wd * b.y)),
    ),
    Mutant("sign flipped", clause="PPSF-W-001", kind="sign", rule=lambda b, wd, *_: b._replace(u=b.u - wd * b.y)),
    Mutant("sign flipped", clause="PPSF-W-002", kind="sign", rule=_losing(lambda lost: Decay(z=-lost.z, y=-lost.y))),
    Mutant(
        "y decays like z", clause="PPSF-W-002", kind="operand", rule=_losing(lambda lost: Decay(z=lost.z, y=lost.z))
    ),
    Mutant(
        "only y decays", clause="PPSF-W-002", kind="dropped", rule=_losing(lambda lost: Decay(z=0 * lost.z, y=lost.y))
    ),
    Mutant("grams wins", clause="PPSF-O-004", kind="condition", rule=lambda use_grams, use_cautious: use_grams),
    Mutant("grams never applies", clause="PPSF-O-004", kind="condition", rule=lambda use_grams, use_cautious: False),
    Mutant(
        "not scaled up",
        clause="PPSF-M-001",
        kind="dropped",
        rule=lambda decrease, u: decrease * num.indicator(decrease * u),
    ),
    Mutant(
        "keeps what opposes",
        clause="PPSF-M-001",
        kind="sign",
        rule=lambda decrease, u: _law("PPSF-M-001", decrease, -u),
    ),
    Mutant("nothing masked", clause="PPSF-M-001", kind="dropped", rule=lambda decrease, u: decrease),
    Mutant("sign of the decrease", clause="PPSF-M-002", kind="sign", rule=lambda decrease, u: decrease),
    Mutant(
        "magnitude of the update",
        clause="PPSF-M-002",
        kind="operand",
        rule=lambda decrease, u: abs(u) * num.sign(decrease),
    ),
    Mutant("not rectified", clause="PPSF-M-003", kind="dropped", rule=lambda dlr, beta2, k: dlr),
    Mutant(
        "one step behind",
        clause="PPSF-M-003",
        kind="stale",
        rule=lambda dlr, beta2, k: _law("PPSF-M-003", dlr, beta2, k + 1),
    ),
    Mutant("beta2 itself", clause="PPSF-M-004", kind="dropped", rule=lambda beta2, k: beta2),
    Mutant(
        "one step behind", clause="PPSF-M-004", kind="stale", rule=lambda beta2, k: _law("PPSF-M-004", beta2, k + 1)
    ),
    Mutant("moves at once", clause="PPSF-M-005", kind="condition", rule=lambda is_new, k: False),
    Mutant("the first step of the pool fills", clause="PPSF-M-005", kind="condition", rule=lambda is_new, k: k == 1),
    Mutant("divides by the new moment", clause="PPSF-M-006", kind="stale", rule=lambda before, after: after),
    Mutant("the whole gradient", clause="PPSF-M-007", kind="dropped", rule=lambda g, p: g),
    Mutant(
        "orthogonal to z",
        clause="PPSF-M-007",
        kind="operand",
        rule=lambda g, p: _law("PPSF-M-007", g, replace(p, y=p.z)),
    ),
    Mutant("not as long as the gradient", clause="PPSF-M-007", kind="dropped", rule=lambda g, p: component(g, p.y)),
    Mutant("rounding scaled up", clause="PPSF-M-007", kind="rounding", rule=_rounding_scaled_up),
    Mutant(
        "rescaled with d",
        clause="PPSF-M-008",
        kind="reset",
        rule=lambda v, y, b2, r: _law("PPSF-M-008", r * r * v, y, b2, r),
    ),
    Mutant(
        "weights forgotten",
        clause="PPSF-M-008",
        kind="dropped",
        rule=lambda v, y, b2, r: _law("PPSF-M-008", v, v, b2, r),
    ),
    Mutant("no attraction", clause="PPSF-M-009", kind="dropped", rule=lambda g, v, y: num.sign(g)),
    Mutant(
        "repelled by the average", clause="PPSF-M-009", kind="sign", rule=lambda g, v, y: _law("PPSF-M-009", g, y, v)
    ),
    Mutant("the gradient itself", clause="PPSF-M-009", kind="operand", rule=lambda g, v, y: g - 0.1 * num.sign(v - y)),
    Mutant("factored all the same", clause="PPSF-O-005", kind="condition", rule=lambda factored, use_focus: factored),
    Mutant("never factored", clause="PPSF-O-005", kind="condition", rule=lambda factored, use_focus: False),
    Mutant("Muon wins", clause="PPSF-O-006", kind="condition", rule=lambda use_muon_pp, use_focus: use_muon_pp),
    Mutant("Muon never applies", clause="PPSF-O-006", kind="condition", rule=lambda use_muon_pp, use_focus: False),
    Mutant(
        "only matrices", clause="PPSF-M-014", kind="condition", rule=lambda shape, applies: applies and len(shape) == 2
    ),
    Mutant(
        "only large ones",
        clause="PPSF-M-014",
        kind="condition",
        rule=lambda shape, applies: applies and np.prod(shape[1:]) > 3,
    ),
    Mutant(
        "linear term off by 0.01",
        clause="PPSF-M-015",
        kind="constant",
        rule=_turned_by(POLYNOMIAL._replace(linear=3.4345)),
    ),
    Mutant(
        "cubic term off by 0.01",
        clause="PPSF-M-015",
        kind="constant",
        rule=_turned_by(POLYNOMIAL._replace(cubic=-4.785)),
    ),
    Mutant(
        "quintic term off by 0.01",
        clause="PPSF-M-015",
        kind="constant",
        rule=_turned_by(POLYNOMIAL._replace(quintic=2.0215)),
    ),
    Mutant("the cubic iteration", clause="PPSF-M-015", kind="formula", rule=_turned_by(Polynomial(1.5, -0.5, 0.0))),
    Mutant("five steps", clause="PPSF-M-015", kind="constant", rule=_turned_by(POLYNOMIAL, 5)),
    Mutant("seven steps", clause="PPSF-M-015", kind="constant", rule=_turned_by(POLYNOMIAL, 7)),
    Mutant("1e-4 added to the norm", clause="PPSF-M-015", kind="constant", rule=_turned_by(POLYNOMIAL, least=1e-4)),
    Mutant("last dimension as columns", clause="PPSF-M-015", kind="axis", rule=_last_as_columns),
    Mutant(
        "never shortened",
        clause="PPSF-M-016",
        kind="dropped",
        rule=lambda turned: Direction(turned.matrix, turned.length),
    ),
    Mutant("lengthened too", clause="PPSF-M-016", kind="formula", rule=_in_proportion),
    Mutant("shortened below 2", clause="PPSF-M-016", kind="constant", rule=_shortened_below_two),
    Mutant(
        "no rescaling by d",
        clause="PPSF-M-017",
        kind="dropped",
        rule=lambda q, o, b2, d, p: _law("PPSF-M-017", q, o, b2, d, d),
    ),
    Mutant(
        "no memory",
        clause="PPSF-M-017",
        kind="dropped",
        rule=lambda q, o, b2, d, p: _law("PPSF-M-017", q, o, 0 * b2, d, p),
    ),
    Mutant("the first size for ever", clause="PPSF-M-017", kind="stale", rule=_first_size),
    Mutant("sum of squares", clause="PPSF-M-017", kind="formula", rule=_sum_of_squares),
    Mutant("no root", clause="PPSF-M-018", kind="dropped", rule=lambda o, q: o / (q + 1e-8)),
    Mutant("1e-4 added", clause="PPSF-M-018", kind="constant", rule=lambda o, q: o / (num.sqrt(q) + 1e-4)),
    Mutant("not divided", clause="PPSF-M-018", kind="dropped", rule=lambda o, q: o),
    Mutant("without d0", clause="PPSF-M-010", kind="dropped", rule=lambda weight, d0: weight),
    Mutant("magnitudes", clause="PPSF-M-011", kind="operand", rule=lambda x: x),
    Mutant(
        "0 counts as positive",
        clause="PPSF-M-011",
        kind="sign",
        rule=lambda x: 2 * num.indicator(num.sign(x) + 0.5) - 1,
    ),
    Mutant(
        "growth not capped", clause="PPSF-M-012", kind="dropped", rule=lambda d, d_hat: _law("PPSF-D-007", d, d_hat)
    ),
    Mutant(
        "always grows",
        clause="PPSF-M-012",
        kind="condition",
        rule=lambda d, d_hat: _law("PPSF-M-012", d, d + d_hat + 1),
    ),
    Mutant(
        "d may fall",
        clause="PPSF-M-012",
        kind="condition",
        rule=lambda d, d_hat: Estimate(d=num.minimum(num.maximum(d, d_hat), num.power(d, GROWTH)), d_prev=d),
    ),
    Mutant("wide at the start", clause="PPSF-M-013", kind="condition", rule=lambda revision: revision.bound_at_start),
    Mutant("weight dlr", clause="PPSF-Z-001", kind="operand", rule=_linear_weight),
    Mutant("one weight too many", clause="PPSF-Z-001", kind="stale", rule=_old_sum),
    Mutant(
        "no interpolation of the step",
        clause="PPSF-Z-002",
        kind="dropped",
        rule=lambda y, z, u, c, dlr, beta1: num.lerp(y, z, c) - dlr * u,
    ),
    Mutant(
        "new z",
        clause="PPSF-Z-002",
        kind="order",
        rule=lambda y, z, u, c, dlr, beta1: _law("PPSF-Z-002", y, z - dlr * u, u, c, dlr, beta1),
    ),
    Mutant(
        "beta1 off by 1e-4",
        clause="PPSF-Z-002",
        kind="constant",
        rule=lambda y, z, u, c, dlr, beta1: _law("PPSF-Z-002", y, z, u, c, dlr, beta1 + 1e-4),
    ),
    Mutant("sign flipped", clause="PPSF-Z-003", kind="sign", rule=lambda z, u, dlr: z + dlr * u),
    Mutant("half a step", clause="PPSF-Z-003", kind="constant", rule=lambda z, u, dlr: z - 0.5 * dlr * u),
    Mutant("z itself", clause="PPSF-Z-004", kind="operand", rule=lambda y, z, beta1: z),
    Mutant("the other direction", clause="PPSF-Z-004", kind="sign", rule=lambda y, z, beta1: y + (1 - beta1) * (z - y)),
    Mutant("the inverse weight", clause="PPSF-Z-005", kind="operand", rule=lambda x, z, beta1: x + beta1 * (z - x)),
    Mutant(
        "the last parameter decides",
        clause="PPSF-Z-006",
        kind="condition",
        rule=lambda before, after, moved: after if moved and moved[-1] else before,
    ),
    Mutant("x0 in bfloat16", clause="PPSF-R-001", kind="dtype", rule=stored_in(x0=BFLOAT16)),
    Mutant("s in bfloat16", clause="PPSF-R-001", kind="dtype", rule=stored_in(s=BFLOAT16)),
    Mutant("memory of Muon in bfloat16", clause="PPSF-R-001", kind="dtype", rule=stored_in(rms_sq=BFLOAT16)),
    Mutant("factors always float32", clause="PPSF-R-001", kind="dtype", rule=stored_in(v_row=FLOAT32, v_col=FLOAT32)),
    Mutant(
        "toward zero",
        clause="PPSF-R-002",
        kind="rounding",
        rule=lambda x, form: _law("PPSF-R-002", x * (1 - 2.0**-9), form),
    ),
    Mutant(
        "15 random bits",
        clause="PPSF-R-003",
        kind="constant",
        rule=lambda x, bits: _law("PPSF-R-003", x, bits >> np.uint32(1)),
    ),
    Mutant(
        "one bit too many",
        clause="PPSF-R-003",
        kind="rounding",
        rule=lambda x, bits: _law("PPSF-R-003", x, bits + np.uint32(256)),
    ),
    Mutant(
        "the same bits in every step",
        clause="PPSF-R-004",
        kind="rounding",
        rule=lambda s, k, p, n: _law("PPSF-R-004", s, 1, p, n),
    ),
    Mutant(
        "the same bits for all parameters",
        clause="PPSF-R-004",
        kind="rounding",
        rule=lambda s, k, p, n: _law("PPSF-R-004", s, k, 0, n),
    ),
    Mutant(
        "seed ignored", clause="PPSF-R-004", kind="rounding", rule=lambda s, k, p, n: _law("PPSF-R-004", 0, k, p, n)
    ),
    Mutant("y and z exchanged", clause="PPSF-R-004", kind="rounding", rule=_low_bits_swapped),
    Mutant(
        "infinity becomes the largest number",
        clause="PPSF-R-005",
        kind="rounding",
        rule=lambda x, rounded: np.nan_to_num(rounded),
    ),
    Mutant(
        "NaN becomes zero",
        clause="PPSF-R-005",
        kind="rounding",
        rule=lambda x, rounded: np.where(np.isnan(x), 0.0, rounded),
    ),
    Mutant("z = 0", clause="PPSF-L-001", kind="reset", rule=created_with(z=lambda made: 0 * made.y)),
    Mutant("v = 1", clause="PPSF-L-001", kind="reset", rule=created_with(v=lambda made: 0 * made.y + 1)),
    Mutant("FOCUS starts at 0", clause="PPSF-L-001", kind="reset", rule=lambda *args: _law("PPSF-L-001", *args[:7])),
    Mutant("x0 = 0", clause="PPSF-L-001", kind="reset", rule=created_with(x0=lambda made: 0 * made.x0)),
    Mutant("not counted", clause="PPSF-L-002", kind="stale", rule=lambda k: k),
    Mutant(
        "eval() switches back and forth",
        clause="PPSF-L-003",
        kind="condition",
        rule=lambda mode, call, averages=True: not mode,
    ),
    Mutant("runs on NaN", clause="PPSF-L-004", kind="condition", rule=lambda gradients: True),
    Mutant(
        "only NaN counts",
        clause="PPSF-L-004",
        kind="condition",
        rule=lambda gradients: not any(np.isnan(gradient).any() for gradient in gradients),
    ),
    Mutant("d forgotten", clause="PPSF-L-005", kind="lost", rule=_lost_on_load(d=np.float64(1e-6))),
    Mutant("d_prev forgotten", clause="PPSF-L-005", kind="lost", rule=_lost_on_load(d_prev=np.float64(1e-6))),
    Mutant("s forgotten", clause="PPSF-L-005", kind="lost", rule=_forgets_arrays),
    Mutant(
        "closure after the step",
        clause="PPSF-L-006",
        kind="order",
        rule=lambda: ("gradients enabled", "step", "closure", "return"),
    ),
    Mutant(
        "gradients disabled",
        clause="PPSF-L-006",
        kind="condition",
        rule=lambda: ("gradients disabled", "closure", "step", "return"),
    ),
    Mutant("always a pool of its own", clause="PPSF-L-007", kind="lost", rule=lambda fresh, first, split: fresh),
    Mutant(
        "always the first pool's",
        clause="PPSF-L-007",
        kind="lost",
        rule=lambda fresh, first, split: _law("PPSF-L-007", fresh, first, False),
    ),
    Mutant("accepted", clause="PPSF-X-001", kind="refusal", rule=_accepts),
    Mutant("accepted", clause="PPSF-X-002", kind="refusal", rule=_accepts),
    Mutant("refused", clause="PPSF-X-002", kind="refusal", rule=refuses),
    Mutant("accepted", clause="PPSF-X-003", kind="refusal", rule=_accepts),
    Mutant("refused", clause="PPSF-X-003", kind="refusal", rule=refuses),
    Mutant("accepted", clause="PPSF-X-004", kind="refusal", rule=_accepts),
    Mutant("accepted", clause="PPSF-X-005", kind="refusal", rule=_accepts),
    Mutant("accepted", clause="PPSF-X-006", kind="refusal", rule=_accepts),
    Mutant("refused", clause="PPSF-X-006", kind="refusal", rule=refuses),
    Mutant("accepted", clause="PPSF-X-008", kind="refusal", rule=_accepts),
    Mutant("accepted", clause="PPSF-X-009", kind="refusal", rule=_accepts),
    Mutant("refused", clause="PPSF-X-009", kind="refusal", rule=refuses),
    Mutant("refused", clause="PPSF-X-008", kind="refusal", rule=refuses),
    Mutant("own share alone", clause="PPSF-D-032", kind="dropped", rule=lambda own, elsewhere: own),
    Mutant("mean over processes", clause="PPSF-D-032", kind="formula", rule=_mean_over_processes),
    *SCALING_MUTANTS,
    *REVISION_MUTANTS,
    *FUSED_MUTANTS,
    *FORMULA_MUTANTS,
    *STATE_MUTANTS,
)


def _rms_over(u: Any, bound: float) -> Any:
    rms = num.sqrt(num.mean_square(u))
    return num.maximum(rms / bound, 1 + 0 * rms)
