"""Wrong laws for the clauses that revisions beside 1.9 have of their own, and for those that came with them."""

from __future__ import annotations

from typing import Any

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref import BFLOAT16
from ppsf_ref import numbers as num
from ppsf_ref.clauses.average import Largest
from ppsf_ref.clauses.distance import Capped, Estimate, Weights
from ppsf_ref.clauses.modifiers import Peak
from ppsf_ref.clauses.moment import Axes, Factors
from ppsf_ref.law import Rule


def _capped_from_d(d: Any, d_hat: Any, d_max: Any, d0: Any, growth_rate: float) -> Capped:
    """d0 is not special."""
    largest = num.maximum(d_max, d_hat)
    return Capped(d=num.minimum(largest, d * min(growth_rate, 1e30)), d_max=largest)


def _forgets_largest(d: Any, d_hat: Any, d_max: Any, d0: Any, growth_rate: float) -> Capped:
    right: Capped = law("PPSF-D-029", d, d_hat, d_max, d0, growth_rate)
    return right._replace(d_max=num.maximum(d_hat, d0))


def _both(weight: Any) -> Weights:
    return Weights(weight, weight)


def _smoothed_both_ways(d: Any, d_hat: Any, beta4: Any) -> Estimate:
    size = abs(beta4)
    return Estimate(d=size * d + (1 - size) * d_hat, d_prev=d)


def _row_only(old: Factors, g: Any, axes: Axes, beta2: Any, d: Any) -> Factors:
    new: Factors = law("PPSF-V-011", old, g, axes, beta2, d)
    return new._replace(col=old.col)


def _swapped(shape: tuple[int, ...], factored: bool) -> Axes | None:
    axes: Axes | None = law("PPSF-V-012", shape, factored)
    return axes and Axes(dr=axes.dc, dc=axes.dr)


def _first_two(shape: tuple[int, ...], factored: bool) -> Axes | None:
    return law("PPSF-V-012", shape, factored) and Axes(dr=1, dc=0)


def _largest(**wrong: Any) -> Rule:
    def rule(weight_sum: Any, lr_max: Any, dlr: Any, k: Any, r: float, power: float) -> Largest:
        given = {"weight_sum": weight_sum, "lr_max": lr_max, "dlr": dlr, "k": k, "r": r, "power": power}
        result: Largest = law("PPSF-Z-010", **{**given, **{name: change(given) for name, change in wrong.items()}})
        return result

    return rule


def _stops_counting(before: Peak, grew: bool, k: int, patience: int) -> Peak:
    right: Peak = law("PPSF-M-022", before, grew, k, patience)
    return right._replace(stalled=before.stalled + 1)


def _peak_moves(before: Peak, grew: bool, k: int, patience: int) -> Peak:
    return law("PPSF-M-022", before._replace(peak=None), grew, k, patience)  # type: ignore[no-any-return]


def _one_later(before: Peak, grew: bool, k: int, patience: int) -> Peak:
    return law("PPSF-M-022", before, grew, k, patience + 1)  # type: ignore[no-any-return]


REVISION_MUTANTS = (
    # --- options
    Mutant("beta4 None is 0", clause="PPSF-O-010", kind="option", rule=lambda beta4, beta2: beta4 or 0.0),
    Mutant(
        "beta4 None is sqrt(beta2)",
        clause="PPSF-O-010",
        kind="constant",
        rule=lambda b4, b2: b2**0.5 if b4 is None else b4,
    ),
    # --- weights of the statistics
    Mutant("d, not d squared", clause="PPSF-D-020", kind="constant", rule=lambda d, d0: d / num.sqrt(d0)),
    Mutant("over d0, not its root", clause="PPSF-D-020", kind="constant", rule=lambda d, d0: d * d / d0),
    Mutant("safeguard ignored", clause="PPSF-D-021", kind="option", rule=lambda d, d0, dlr, guard: _both(d / d0 * dlr)),
    Mutant(
        "safeguard on both",
        clause="PPSF-D-021",
        kind="operand",
        rule=lambda d, d0, dlr, g: _both(d / d0 * (d if g else dlr)),
    ),
    Mutant(
        "d0 left out",
        clause="PPSF-D-021",
        kind="dropped",
        rule=lambda d, d0, dlr, g: Weights(d * dlr, d * (d if g else dlr)),
    ),
    Mutant("no share", clause="PPSF-D-022", kind="dropped", rule=lambda dlr, beta3: dlr),
    Mutant("the other share", clause="PPSF-D-022", kind="operand", rule=lambda dlr, beta3: dlr * beta3),
    Mutant("not amplified", clause="PPSF-D-023", kind="dropped", rule=lambda x: x),
    Mutant("sign lost", clause="PPSF-D-023", kind="sign", rule=lambda x: abs(num.signed_sqrt(x))),
    Mutant(
        "cube root of magnitude",
        clause="PPSF-D-023",
        kind="constant",
        rule=lambda x: num.signed_sqrt(num.signed_sqrt(x)),
    ),
    # --- estimate
    Mutant("gated", clause="PPSF-D-024", kind="formula", rule=lambda n, a, b3: b3 * n + num.maximum(a, 0 * a)),
    Mutant("does not decay", clause="PPSF-D-024", kind="dropped", rule=lambda n, a, b3: n + a),
    Mutant("item decays too", clause="PPSF-D-024", kind="order", rule=lambda n, a, b3: b3 * (n + a)),
    Mutant("angle", clause="PPSF-D-025", kind="formula", rule=lambda n, d, c: law("PPSF-D-006", n, d, c)),
    Mutant("d_coef left out", clause="PPSF-D-025", kind="dropped", rule=lambda n, d, c: law("PPSF-D-025", n, d, 1.0)),
    Mutant("no limit", clause="PPSF-D-026", kind="dropped", rule=lambda d, d_hat, d_coef: d_hat),
    Mutant(
        "a whole octave", clause="PPSF-D-026", kind="constant", rule=lambda d, d_hat, d_coef: num.minimum(d_hat, 2 * d)
    ),
    Mutant(
        "limit is a floor",
        clause="PPSF-D-026",
        kind="formula",
        rule=lambda d, d_hat, d_coef: num.maximum(d_hat, 2**0.25 * d),
    ),
    Mutant("no floor", clause="PPSF-D-027", kind="dropped", rule=lambda d_hat, d0: d_hat),
    Mutant(
        "floor of the old code",
        clause="PPSF-D-027",
        kind="constant",
        rule=lambda d_hat, d0: num.maximum(d_hat, 1e-6 + 0 * d0),
    ),
    Mutant(
        "never falls",
        clause="PPSF-D-028",
        kind="formula",
        rule=lambda d, h, b4: Estimate(d=num.maximum(d, h), d_prev=d),
    ),
    Mutant("smooth both ways", clause="PPSF-D-028", kind="formula", rule=_smoothed_both_ways),
    Mutant(
        "weights exchanged",
        clause="PPSF-D-028",
        kind="operand",
        rule=lambda d, h, b4: law("PPSF-D-028", d, h, 1 - b4 if num.value_of(b4) > 0 else -1 - b4),
    ),
    Mutant(
        "no cap",
        clause="PPSF-D-029",
        kind="dropped",
        rule=lambda d, h, m, d0, rate: law("PPSF-D-029", d, h, m, d0, float("inf")),
    ),
    Mutant("d0 is not special", clause="PPSF-D-029", kind="formula", rule=_capped_from_d),
    Mutant("largest candidate forgotten", clause="PPSF-D-029", kind="stale", rule=_forgets_largest),
    Mutant("moves without evidence", clause="PPSF-D-030", kind="condition", rule=lambda denominator: True),
    Mutant("never moves", clause="PPSF-D-030", kind="condition", rule=lambda denominator: False),
    Mutant("no ceiling", clause="PPSF-D-031", kind="dropped", rule=lambda d: d),
    Mutant("a higher ceiling", clause="PPSF-D-031", kind="constant", rule=lambda d: num.minimum(d, 2.0**41 + 0 * d)),
    Mutant("without d", clause="PPSF-G-010", kind="dropped", rule=lambda dlr, d: dlr),
    Mutant("lr alone", clause="PPSF-G-010", kind="dropped", rule=lambda dlr, d: 1.0 + 0 * d),
    # --- second moment
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
    Mutant("column stands still", clause="PPSF-V-011", kind="stale", rule=_row_only),
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
    # --- update
    Mutant(
        "moment without d",
        clause="PPSF-U-010",
        kind="dropped",
        rule=lambda m, g, b1, d: law("PPSF-U-010", m, g, b1, 1 + 0 * d),
    ),
    Mutant(
        "moment without share",
        clause="PPSF-U-010",
        kind="dropped",
        rule=lambda m, g, b1, d: d * g if m is None else b1 * m + d * g,
    ),
    Mutant("gradient without d", clause="PPSF-U-011", kind="dropped", rule=lambda g, d: g),
    Mutant("gradient with d squared", clause="PPSF-U-011", kind="constant", rule=lambda g, d: d * d * g),
    Mutant("eps without d", clause="PPSF-U-012", kind="dropped", rule=lambda n, den, eps, d, dlr: n / (den + eps)),
    Mutant("no eps", clause="PPSF-U-012", kind="dropped", rule=lambda n, den, eps, d, dlr: n / (den + 1e-30)),
    Mutant("no scale", clause="PPSF-U-013", kind="dropped", rule=lambda n, den, scale: law("PPSF-U-013", n, den, 1.0)),
    Mutant(
        "scale inside", clause="PPSF-U-013", kind="constant", rule=lambda n, den, scale: num.atan2((2 * scale) * n, den)
    ),
    Mutant("hard clipping", clause="PPSF-C-010", kind="formula", rule=lambda u: law("PPSF-C-001", u, 1.0)),
    Mutant("no clipping", clause="PPSF-C-010", kind="dropped", rule=lambda u: u),
    # --- weights
    Mutant("power 1", clause="PPSF-Z-010", kind="constant", rule=_largest(power=lambda given: 1.0)),
    Mutant("r left out", clause="PPSF-Z-010", kind="dropped", rule=_largest(r=lambda given: 0.0)),
    Mutant(
        "present step size", clause="PPSF-Z-010", kind="stale", rule=_largest(lr_max=lambda given: 0 * given["lr_max"])
    ),
    Mutant("count from 0", clause="PPSF-Z-010", kind="stale", rule=_largest(k=lambda given: given["k"] - 1)),
    Mutant("no cut", clause="PPSF-Z-011", kind="dropped", rule=lambda c, b1, C: c * ((1 - b1) * C)),
    Mutant(
        "beta1 for its complement",
        clause="PPSF-Z-011",
        kind="operand",
        rule=lambda c, b1, C: law("PPSF-Z-011", c, 1 - b1, C),
    ),
    Mutant("original", clause="PPSF-Z-011", kind="dropped", rule=lambda c, b1, C: c),
    Mutant("uphill", clause="PPSF-Z-012", kind="sign", rule=lambda y, u, dlr: y + dlr * u),
    Mutant("twice the step", clause="PPSF-Z-012", kind="constant", rule=lambda y, u, dlr: y - 2 * dlr * u),
    Mutant(
        "decay not by dlr",
        clause="PPSF-W-010",
        kind="condition",
        rule=lambda y, wd, dlr, by: law("PPSF-W-010", y, wd, dlr, False),
    ),
    Mutant(
        "decay always by dlr",
        clause="PPSF-W-010",
        kind="condition",
        rule=lambda y, wd, dlr, by: law("PPSF-W-010", y, wd, dlr, True),
    ),
    Mutant("no coupled decay", clause="PPSF-W-011", kind="dropped", rule=lambda g, y, wd: g),
    Mutant("decay grows", clause="PPSF-W-011", kind="sign", rule=lambda g, y, wd: g - wd * y),
    Mutant("neither masked nor scaled", clause="PPSF-M-030", kind="dropped", rule=lambda m, g: m),
    Mutant("not scaled up", clause="PPSF-M-030", kind="dropped", rule=lambda m, g: m * num.indicator(m * g)),
    Mutant("keeps what opposes", clause="PPSF-M-030", kind="sign", rule=lambda m, g: law("PPSF-M-030", m, -g)),
    Mutant("sign of the moment", clause="PPSF-M-031", kind="sign", rule=lambda m, g: m),
    Mutant("magnitude of the gradient", clause="PPSF-M-031", kind="operand", rule=lambda m, g: abs(g) * num.sign(m)),
    # --- step size
    Mutant("always the revision's", clause="PPSF-O-011", kind="condition", rule=lambda own, averages: own),
    Mutant("always Adam's", clause="PPSF-O-011", kind="condition", rule=lambda own, averages: "adam"),
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
    # --- ADOPT and SPEED
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
    # --- storage
    Mutant("never compact", clause="PPSF-R-010", kind="dtype", rule=lambda forms, on: forms),
    Mutant(
        "always compact",
        clause="PPSF-R-010",
        kind="dtype",
        rule=lambda forms, on: {**forms, "x0": BFLOAT16, "s": BFLOAT16},
    ),
)
