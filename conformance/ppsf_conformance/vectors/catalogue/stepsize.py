"""Area M, what multiplies the step size: rectification, bias correction, warm-up, cosine decay."""

from __future__ import annotations

from typing import Any

import mpmath

from ppsf_conformance.mutant import law
from ppsf_conformance.vectors.draws import after, drawn, f32, fraction, integer, positive
from ppsf_conformance.vectors.exact import Exact
from ppsf_conformance.vectors.model import case, exact, spec
from ppsf_ref import numbers
from ppsf_ref.clauses import modifiers

BETA1, BETA2 = f32(0.9), f32(0.99)
D = f32(1e-3)


def _peak(i: Any) -> dict[str, Any]:
    grew = numbers.is_positive(i.d_new - i.d, "d_grew")
    found = modifiers.peak_after(modifiers.Peak(i.stalled, i.K), grew, i.k, i.peak_patience)
    return {"stalled": found.stalled, "K": found.peak}


def precise_cosine(peak: int | None, k: int, total_training_steps: int | None) -> Any:
    """The factor of PPSF-M-023 to 50 digits; the reference takes the cosine of the host."""
    factor = law("PPSF-M-023", peak, k, total_training_steps)
    if peak is None or factor == 0:
        return factor
    length = modifiers.DECAY_LENGTH if total_training_steps is None else total_training_steps - peak
    return (1 + mpmath.cos(mpmath.pi * (k - 1 - peak) / length)) / 2


def _cosine(i: Any) -> Any:
    """The factor with a bound. Its argument, at most pi, is made in three roundings (pi, product, quotient), 4 u pi
    with room; the cosine is within 1 unit, at most 2 u; its sum with 1 rounds by at most 2 u; the half is exact. That
    is (4 pi + 4) u / 2 < 9 u in all.
    """
    factor, one = modifiers.cosine_factor(i.K, i.k, i.total_training_steps), i.lift.scalar(1.0)
    if factor in (0.0, 1.0) or not isinstance(one, Exact):
        return factor * one
    return one._like(precise_cosine(i.K, i.k, i.total_training_steps), 9 * float(one.form.unit))


STEP_SIZE = (
    spec(
        "PPSF-M-003",
        "dlr:number beta2:number k:integer",
        "dlr:number",
        lambda i: modifiers.rectified(i.dlr, i.beta2, i.k),
        case("the first step: no step", "FirstStep", dlr=D, beta2=BETA2, k=1),
        case("the last step without one", "NearGuard", dlr=D, beta2=BETA2, k=4),
        case("the first step with one", "NearGuard", dlr=D, beta2=BETA2, k=5),
        case("the sixth step", "", dlr=D, beta2=BETA2, k=6),
        case("after a hundred steps", "", dlr=D, beta2=BETA2, k=100),
        case("after two thousand: nearly whole", "", dlr=1.0, beta2=BETA2, k=2000),
        case("beta2 0.999, fifth step", "NearGuard", dlr=1.0, beta2=f32(0.999), k=5),
        case("beta2 0.999, sixth step", "NearGuard", dlr=1.0, beta2=f32(0.999), k=6),
        case("beta2 0.625, a slow start", "NearGuard", dlr=1.0, beta2=0.625, k=10),
        case("beta2 0.625, later", "", dlr=1.0, beta2=0.625, k=40),
        case("step size 0", "Zero", dlr=0.0, beta2=BETA2, k=100),
        drawn("M-003", 3, dlr=positive(-12, 0), beta2=fraction(0.9), k=integer(20, 60)),
    ),
    spec(
        "PPSF-M-004",
        "beta2:number k:integer",
        "beta2:number",
        lambda i: modifiers.corrected_beta2(i.beta2, i.k),
        case("the first step: no memory", "FirstStep Cancellation", beta2=BETA2, k=1),
        case("the second step", "", beta2=BETA2, k=2),
        case("beta2 1/2, first step", "FirstStep", beta2=0.5, k=1),
        case("after a hundred steps", "", beta2=BETA2, k=100),
        case("after ten thousand: beta2 itself", "", beta2=BETA2, k=10_000),
        case("beta2 0.999, third step", "", beta2=f32(0.999), k=3),
        drawn("M-004", 3, beta2=fraction(0.9), k=integer(2, 60)),
    ),
    spec(
        "PPSF-M-020",
        "dlr:number beta1:number beta2:number k:integer",
        "dlr:number",
        lambda i: modifiers.adam_corrected(i.dlr, i.beta1, i.beta2, i.k),
        case("the first step", "FirstStep", dlr=D, beta1=BETA1, beta2=f32(0.999), k=1),
        case("the second step", "", dlr=D, beta1=BETA1, beta2=f32(0.999), k=2),
        case("after a hundred steps", "", dlr=D, beta1=BETA1, beta2=f32(0.999), k=100),
        case("after many: whole", "", dlr=1.0, beta1=BETA1, beta2=BETA2, k=10_000),
        case("no first moment", "Edge", dlr=1.0, beta1=0.0, beta2=BETA2, k=3),
        case("exact powers", "", dlr=1.0, beta1=0.5, beta2=0.75, k=1),
        drawn("M-020", 3, dlr=positive(-12, 0), beta1=fraction(0.5), beta2=fraction(0.9), k=integer(1, 40)),
    ),
    spec(
        "PPSF-M-021",
        "dlr:number k:integer warmup_steps:integer",
        "dlr:number",
        lambda i: modifiers.warmed_up(i.dlr, i.k, i.warmup_steps),
        case("the first of four steps", "FirstStep Exact", dlr=1.0, k=1, warmup_steps=4),
        case("the third of four", "Exact", dlr=1.0, k=3, warmup_steps=4),
        case("the last: whole", "Tie Exact", dlr=D, k=4, warmup_steps=4),
        case("long after", "Exact", dlr=D, k=400, warmup_steps=4),
        case("a warm-up of one step", "Edge Exact", dlr=D, k=1, warmup_steps=1),
        case("thirds", "", dlr=D, k=1, warmup_steps=3),
        case("the step before the last of a thousand", "NearGuard", dlr=D, k=999, warmup_steps=1000),
        drawn("M-021", 2, dlr=positive(-12, 0), k=integer(1, 50), warmup_steps=integer(51, 99)),
        host=1,
    ),
    exact(
        "PPSF-M-022",
        "stalled:integer K:integer d:number d_new:number k:integer peak_patience:integer",
        "stalled:integer K:integer",
        _peak,
        case("grew: counted from the start", "", stalled=3, K=None, d=0.5, d_new=1.0, k=9, peak_patience=5),
        case("did not grow", "Tie", stalled=3, K=None, d=0.5, d_new=0.5, k=9, peak_patience=5),
        case("grew by one unit", "NearGuard", stalled=4, K=None, d=1.0, d_new=after(1.0), k=9, peak_patience=5),
        case("patience is at its end: the peak", "Tie", stalled=4, K=None, d=0.5, d_new=0.5, k=9, peak_patience=5),
        case(
            "the default patience, one before its end",
            "DefaultOptions NearGuard",
            stalled=48,
            K=None,
            d=0.5,
            d_new=0.5,
            k=60,
            peak_patience=50,
        ),
        case(
            "the default patience, at its end",
            "DefaultOptions Tie",
            stalled=49,
            K=None,
            d=0.5,
            d_new=0.5,
            k=60,
            peak_patience=50,
        ),
        case("a peak that is there stays", "", stalled=7, K=9, d=0.5, d_new=0.5, k=12, peak_patience=5),
        case("it stays when the estimate grows again", "", stalled=7, K=9, d=0.5, d_new=1.0, k=12, peak_patience=5),
        case("a patience of one step", "Edge", stalled=0, K=None, d=0.5, d_new=0.5, k=1, peak_patience=1),
        case(
            "no patience: the peak was before the first step",
            "Edge",
            stalled=0,
            K=0,
            d=0.5,
            d_new=1.0,
            k=1,
            peak_patience=0,
        ),
    ),
    spec(
        "PPSF-M-023",
        "K:integer k:integer total_training_steps:integer",
        "factor:number",
        _cosine,
        case("before the peak", "DefaultOptions", K=None, k=7, total_training_steps=100),
        case("the first step after the peak: whole", "", K=20, k=21, total_training_steps=100),
        case("the second", "", K=20, k=22, total_training_steps=100),
        case("half-way", "", K=20, k=61, total_training_steps=100),
        case("the last step of training", "Edge", K=20, k=100, total_training_steps=100),
        case("one beyond the end", "Tie", K=20, k=101, total_training_steps=100),
        case("long after", "", K=20, k=5000, total_training_steps=100),
        case("length of training not given: 1000 steps", "DefaultOptions", K=20, k=271, total_training_steps=None),
        case(
            "length of training not given: the last of them",
            "DefaultOptions Edge",
            K=20,
            k=1020,
            total_training_steps=None,
        ),
        case("length of training not given: beyond", "DefaultOptions Tie", K=20, k=1021, total_training_steps=None),
        case("peak at the end of training", "Edge", K=100, k=101, total_training_steps=100),
        case("peak before the first step", "Edge", K=0, k=11, total_training_steps=40),
        case("a third of the way", "", K=10, k=21, total_training_steps=40),
    ),
)
