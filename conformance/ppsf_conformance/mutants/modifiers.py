"""Wrong laws about the switches of an update."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref import ParamState
from ppsf_ref import numbers as num
from ppsf_ref.clauses.distance import Estimate
from ppsf_ref.clauses.focus import Average
from ppsf_ref.clauses.modifiers import Peak
from ppsf_ref.clauses.muon import LEAST_NORM, POLYNOMIAL, STEPS, Direction
from ppsf_ref.clauses.orthograd import component, length
from ppsf_ref.clauses.speed import GROWTH, Course
from ppsf_ref.law import Rule
from ppsf_ref.newton_schulz import Polynomial, Turned


def _rounding_scaled_up(g: Any, p: Any) -> Any:
    part = component(g, p.y)
    return part * num.share(length(g), length(part), np.inf)


def _turned_by(polynomial: Polynomial, steps: int = STEPS, least: float = LEAST_NORM) -> Rule:
    return lambda g, *_: law("PPSF-M-015", g, polynomial, steps, least)


def _last_as_columns(g: Any, *_: Any) -> Turned:
    turned: Turned = law("PPSF-M-015", g.reshape(math.prod(g.shape[:-1]), g.shape[-1]))
    return turned._replace(matrix=turned.matrix.reshape(*g.shape))


def _in_proportion(turned: Turned) -> Direction:
    return Direction(turned.along * turned.matrix, turned.along * turned.length)


def _shortened_below_two(turned: Turned) -> Direction:
    return Direction(*law("PPSF-M-016", turned._replace(along=0.5 * turned.along)))


def _first_size(rms_sq: Any, o: Direction, beta2: Any, d: Any, d_prev: Any) -> Any:
    started = bool(num.value_of(rms_sq) > 0)
    return 1 * rms_sq if started else law("PPSF-M-017", rms_sq, o, 0 * beta2, d, d_prev)


def _sum_of_squares(rms_sq: Any, o: Direction, beta2: Any, d: Any, d_prev: Any) -> Any:
    whole = o._replace(length=o.length * math.sqrt(max(math.prod(o.o.shape), 1)))
    return law("PPSF-M-017", rms_sq, whole, beta2, d, d_prev)


def _stops_counting(before: Peak, grew: bool, k: int, patience: int) -> Peak:
    right: Peak = law("PPSF-M-022", before, grew, k, patience)
    return right._replace(stalled=before.stalled + 1)


def _peak_moves(before: Peak, grew: bool, k: int, patience: int) -> Peak:
    return law("PPSF-M-022", before._replace(peak=None), grew, k, patience)  # type: ignore[no-any-return]


def _one_later(before: Peak, grew: bool, k: int, patience: int) -> Peak:
    return law("PPSF-M-022", before, grew, k, patience + 1)  # type: ignore[no-any-return]


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


MODIFIERS: tuple[Mutant, ...] = (
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
        rule=lambda decrease, u: law("PPSF-M-001", decrease, -u),
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
        rule=lambda dlr, beta2, k: law("PPSF-M-003", dlr, beta2, k + 1),
    ),
    Mutant("beta2 itself", clause="PPSF-M-004", kind="dropped", rule=lambda beta2, k: beta2),
    Mutant("one step behind", clause="PPSF-M-004", kind="stale", rule=lambda beta2, k: law("PPSF-M-004", beta2, k + 1)),
    Mutant("moves at once", clause="PPSF-M-005", kind="condition", rule=lambda is_new, k: False),
    Mutant("the first step of the pool fills", clause="PPSF-M-005", kind="condition", rule=lambda is_new, k: k == 1),
    Mutant("divides by the new moment", clause="PPSF-M-006", kind="stale", rule=lambda before, after: after),
    Mutant("the whole gradient", clause="PPSF-M-007", kind="dropped", rule=lambda g, p: g),
    Mutant(
        "orthogonal to z",
        clause="PPSF-M-007",
        kind="operand",
        rule=lambda g, p: law("PPSF-M-007", g, replace(p, y=p.z)),
    ),
    Mutant("not as long as the gradient", clause="PPSF-M-007", kind="dropped", rule=lambda g, p: component(g, p.y)),
    Mutant("rounding scaled up", clause="PPSF-M-007", kind="rounding", rule=_rounding_scaled_up),
    Mutant(
        "rescaled with d",
        clause="PPSF-M-008",
        kind="reset",
        rule=lambda v, y, b2, r: law("PPSF-M-008", r * r * v, y, b2, r),
    ),
    Mutant(
        "weights forgotten",
        clause="PPSF-M-008",
        kind="dropped",
        rule=lambda v, y, b2, r: law("PPSF-M-008", v, v, b2, r),
    ),
    Mutant("no attraction", clause="PPSF-M-009", kind="dropped", rule=lambda g, v, y: num.sign(g)),
    Mutant(
        "repelled by the average", clause="PPSF-M-009", kind="sign", rule=lambda g, v, y: law("PPSF-M-009", g, y, v)
    ),
    Mutant("the gradient itself", clause="PPSF-M-009", kind="operand", rule=lambda g, v, y: g - 0.1 * num.sign(v - y)),
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
        rule=lambda q, o, b2, d, p: law("PPSF-M-017", q, o, b2, d, d),
    ),
    Mutant(
        "no memory",
        clause="PPSF-M-017",
        kind="dropped",
        rule=lambda q, o, b2, d, p: law("PPSF-M-017", q, o, 0 * b2, d, p),
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
    Mutant("growth not capped", clause="PPSF-M-012", kind="dropped", rule=lambda d, d_hat: law("PPSF-D-007", d, d_hat)),
    Mutant(
        "always grows",
        clause="PPSF-M-012",
        kind="condition",
        rule=lambda d, d_hat: law("PPSF-M-012", d, d + d_hat + 1),
    ),
    Mutant(
        "d may fall",
        clause="PPSF-M-012",
        kind="condition",
        rule=lambda d, d_hat: Estimate(d=num.minimum(num.maximum(d, d_hat), num.power(d, GROWTH)), d_prev=d),
    ),
    Mutant("wide at the start", clause="PPSF-M-013", kind="condition", rule=lambda revision: revision.bound_at_start),
    Mutant("neither masked nor scaled", clause="PPSF-M-030", kind="dropped", rule=lambda m, g: m),
    Mutant("not scaled up", clause="PPSF-M-030", kind="dropped", rule=lambda m, g: m * num.indicator(m * g)),
    Mutant("keeps what opposes", clause="PPSF-M-030", kind="sign", rule=lambda m, g: law("PPSF-M-030", m, -g)),
    Mutant("sign of the moment", clause="PPSF-M-031", kind="sign", rule=lambda m, g: m),
    Mutant("magnitude of the gradient", clause="PPSF-M-031", kind="operand", rule=lambda m, g: abs(g) * num.sign(m)),
    Mutant(
        "second moment only",
        clause="PPSF-M-020",
        kind="dropped",
        rule=lambda dlr, b1, b2, k: dlr * num.sqrt(1 - num.power(b2, k)),
    ),
    Mutant(
        "first moment only",
        clause="PPSF-M-020",
        kind="dropped",
        rule=lambda dlr, b1, b2, k: dlr / (1 - num.power(b1, k)),
    ),
    Mutant(
        "of the next step",
        clause="PPSF-M-020",
        kind="stale",
        rule=lambda a, b1, b2, k: law("PPSF-M-020", a, b1, b2, k + 1),
    ),
    Mutant(
        "quadratic", clause="PPSF-M-021", kind="constant", rule=lambda dlr, k, n: dlr * (k / n) ** 2 if k < n else dlr
    ),
    Mutant("one step late", clause="PPSF-M-021", kind="stale", rule=lambda dlr, k, n: law("PPSF-M-021", dlr, k - 1, n)),
    Mutant("no warm-up", clause="PPSF-M-021", kind="dropped", rule=lambda dlr, k, n: dlr),
    Mutant("growth does not reset the count", clause="PPSF-M-022", kind="reset", rule=_stops_counting),
    Mutant("the peak moves", clause="PPSF-M-022", kind="reset", rule=_peak_moves),
    Mutant("one step later", clause="PPSF-M-022", kind="stale", rule=_one_later),
    Mutant("no decay", clause="PPSF-M-023", kind="dropped", rule=lambda peak, k, total: 1.0),
    Mutant(
        "one step ahead",
        clause="PPSF-M-023",
        kind="stale",
        rule=lambda peak, k, total: law("PPSF-M-023", peak, k + 1, total),
    ),
    Mutant(
        "whole training long",
        clause="PPSF-M-023",
        kind="constant",
        rule=lambda peak, k, total: law("PPSF-M-023", peak, k, total and total + (peak or 0)),
    ),
    Mutant(
        "never cut",
        clause="PPSF-M-032",
        kind="dropped",
        rule=lambda m, u, b1, k: law("PPSF-M-032", m, u, b1, 1e30 + 0 * k),
    ),
    Mutant(
        "cut at 1",
        clause="PPSF-M-032",
        kind="constant",
        rule=lambda m, u, b1, k: law("PPSF-M-032", m, u, b1, 1 + 0 * k),
    ),
    Mutant("no share", clause="PPSF-M-032", kind="dropped", rule=lambda m, u, b1, k: u if m is None else b1 * m + u),
    Mutant(
        "constant memory",
        clause="PPSF-M-040",
        kind="constant",
        rule=lambda w, a, x, k: law("PPSF-M-040", w, a, x, 2 + 0 * k),
    ),
    Mutant(
        "present norms", clause="PPSF-M-040", kind="stale", rule=lambda w, a, x, k: law("PPSF-M-040", None, a, x, k)
    ),
    Mutant("no penalty", clause="PPSF-M-041", kind="dropped", rule=lambda way, weight: weight * (way.pull / way.l1)),
    Mutant(
        "by the other norm",
        clause="PPSF-M-041",
        kind="operand",
        rule=lambda w, du: law("PPSF-M-041", w._replace(l1=w.l2), du),
    ),
    Mutant(
        "off the peak too",
        clause="PPSF-M-042",
        kind="condition",
        rule=lambda d, n, p, m, c: law("PPSF-M-042", d, n, p, 0 * n, c),
    ),
    Mutant(
        "d_coef whole",
        clause="PPSF-M-042",
        kind="constant",
        rule=lambda d, n, p, m, c: law("PPSF-M-042", d, n, p, m, c * c),
    ),
    Mutant("stays", clause="PPSF-M-042", kind="dropped", rule=lambda d, n, p, m, c: d),
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
)
