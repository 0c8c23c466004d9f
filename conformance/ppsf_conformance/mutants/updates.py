"""Wrong laws about updates and their clipping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref import numbers as num
from ppsf_ref.law import Rule


def _rms_over(u: Any, bound: float) -> Any:
    rms = num.sqrt(num.mean_square(u))
    return num.maximum(rms / bound, 1 + 0 * rms)


def _rms(u: Any) -> Any:
    return num.sqrt(num.mean_square(u))


def _norm(u: Any) -> Any:
    return num.sqrt(num.total(u * u))


def _clipped_by(scale: Callable[[Any], Any]) -> Rule:
    return lambda u, bound: num.over_scale(u, num.maximum(scale(u) / bound, 1 + 0 * scale(u))) if np.size(u) else u


UPDATES: tuple[Mutant, ...] = (
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
        rule=lambda g, v, b: 1.2732395 * law("PPSF-U-003", g, v, b),
    ),
    Mutant("bound 1 throughout", clause="PPSF-C-001", kind="constant", rule=lambda u, bound: law("PPSF-C-001", u, 1.0)),
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
)
