"""Wrong laws about the estimate of d."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref import GroupState
from ppsf_ref import numbers as num
from ppsf_ref.clauses.distance import Capped, Estimate, Share, Weights, Window


def _mean_over_processes(own: Share, elsewhere: Sequence[Share]) -> Share:
    summed: Share = law("PPSF-D-032", own, elsewhere)
    return Share(*(part / (1 + len(elsewhere)) for part in summed))


def _keeps_s(k: int, prodigy_steps: int) -> Window:
    window: Window = law("PPSF-D-008", k, prodigy_steps)
    return window._replace(releases=False)


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


def _releases_early(k: int, prodigy_steps: int) -> Window:
    window: Window = law("PPSF-D-008", k, prodigy_steps)
    return window._replace(releases=k == prodigy_steps - 1)


def _late(k: int, prodigy_steps: int) -> Window:
    return Window(adapts=prodigy_steps == 0 or k <= prodigy_steps + 1, releases=k == prodigy_steps + 1)


def _falls_back(pool: GroupState) -> GroupState:
    return replace(pool, d=pool.d_prev)


DISTANCE: tuple[Mutant, ...] = (
    Mutant("weight d", clause="PPSF-D-001", kind="operand", rule=lambda d: d),
    Mutant("weight 1", clause="PPSF-D-001", kind="constant", rule=lambda d: 1 + 0 * d),
    Mutant("sign flipped", clause="PPSF-D-002", kind="sign", rule=lambda g, x0, y, w: -law("PPSF-D-002", g, x0, y, w)),
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
        rule=lambda n, a, beta3, d, d0: law("PPSF-D-005", n, a, 1 + 0 * beta3, d, d0),
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
        rule=lambda n, m, coef: law("PPSF-D-006", n, m, 1 + 0 * coef),
    ),
    Mutant(
        "pi/2 when nothing was summed",
        clause="PPSF-D-006",
        kind="condition",
        rule=lambda n, m, coef: law("PPSF-D-006", n, m, coef) if num.value_of(m) > 0 else 1.57 + 0 * n,
    ),
    Mutant("d may fall", clause="PPSF-D-007", kind="condition", rule=lambda d, d_hat: Estimate(d=d_hat, d_prev=d)),
    Mutant(
        "d_prev forgotten",
        clause="PPSF-D-007",
        kind="stale",
        rule=lambda d, d_hat: law("PPSF-D-007", d, d_hat)._replace(d_prev=d_hat),
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
        rule=lambda pool: replace(law("PPSF-D-009", pool), d_numerator=0 * pool.d),
    ),
    Mutant("own share alone", clause="PPSF-D-032", kind="dropped", rule=lambda own, elsewhere: own),
    Mutant("mean over processes", clause="PPSF-D-032", kind="formula", rule=_mean_over_processes),
    Mutant("adapts by anything", clause="PPSF-D-033", kind="condition", rule=lambda numerator, denominator: True),
    Mutant(
        "only the denominator counts",
        clause="PPSF-D-033",
        kind="operand",
        rule=lambda numerator, denominator: math.isfinite(denominator),
    ),
    Mutant(
        "only NaN counts",
        clause="PPSF-D-033",
        kind="dropped",
        rule=lambda numerator, denominator: not math.isnan(numerator) and not math.isnan(denominator),
    ),
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
)
