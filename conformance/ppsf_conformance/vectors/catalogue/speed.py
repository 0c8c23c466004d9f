"""Area M: SPEED, of revision 1.9 and of revision 2.0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ppsf_conformance.vectors.draws import after, array, drawn, f32, integer, positive, signed
from ppsf_conformance.vectors.model import case, exact, spec
from ppsf_ref import load_revision
from ppsf_ref.clauses import speed

D0 = f32(1e-6)
TINY = 2.0**-149


def _next(i: Any) -> dict[str, Any]:
    found = speed.next_estimate(i.d, i.d_hat)
    return {"d": found.d, "d_prev": found.d_prev}


def _bound(i: Any) -> Any:
    return speed.bound(replace(load_revision("1.9"), bound_at_start=i.bound_at_start, bound_later=i.bound_later))


def _course(i: Any) -> dict[str, Any]:
    before = None if i.pull is None else speed.Course(i.pull, i.l1, i.l2)
    return speed.course(before, i.inner, i.displacement, i.k)._asdict()


def _growing(i: Any) -> Any:
    return speed.growing_estimate(i.d, i.N_new, i.N, i.n_max, i.d_coef)


PLACES = {"N": 1.0, "N_new": 1.25, "n_max": 1.0, "d": 0.5, "d_coef": 1.0}

SPEED = (
    spec(
        "PPSF-M-010",
        "du:number d0:number",
        "du:number",
        lambda i: speed.weight(i.du, i.d0),
        case("the first step", "DefaultOptions FirstStep", du=f32(1e-3), d0=D0),
        case("all exact", "Exact", du=0.5, d0=0.25),
        case("d0 of 1", "Edge Exact", du=0.5, d0=1.0),
        case("a product below float32's normal numbers", "Subnormal", du=2.0**-70, d0=2.0**-70),
        drawn("M-010", 2, du=positive(-10, 0), d0=positive(-20, -10)),
    ),
    exact(
        "PPSF-M-011",
        "a:raw",
        "sign:raw",
        lambda i: speed.signed(i.a),
        case("both signs and 0", "Tie", a=(3.0, -0.5, 0.0)),
        case("sizes play no part", "WideMagnitudes", a=(f32(1e-30), f32(-1e30))),
        case("the smallest numbers have a sign", "NearGuard Subnormal", a=(TINY, -TINY)),
        case("zeros", "ZeroGradient Zero", a=(0.0, 0.0)),
    ),
    spec(
        "PPSF-M-012",
        "d:number d_hat:number",
        "d:number d_prev:number",
        _next,
        case("held down to the power 0.975", "DefaultOptions", d=D0, d_hat=1.0),
        case("a candidate below the cap", "", d=f32(1e-3), d_hat=f32(1.1e-3)),
        case("a candidate above the cap", "", d=f32(1e-3), d_hat=f32(1.2e-3)),
        case("a smaller candidate", "", d=f32(1e-3), d_hat=f32(1e-4)),
        case("no evidence", "Zero", d=f32(1e-3), d_hat=0.0),
        case("at 1 nothing grows any more", "Tie", d=1.0, d_hat=2.0),
        case("above 1 the power is below d: it stays", "Edge", d=2.0, d_hat=3.0),
        drawn("M-012", 3, d=positive(-12, -8), d_hat=positive(-8, 0)),
    ),
    exact(
        "PPSF-M-013",
        "bound_at_start:option bound_later:option",
        "b:option",
        _bound,
        case("narrow from the start", "DefaultOptions Decoy", bound_at_start=50.0, bound_later=1.0),
        case("whatever the revision says", "Decoy", bound_at_start=3.0, bound_later=0.5),
    ),
    spec(
        "PPSF-M-040",
        "pull:number l1:number l2:number inner:number displacement:array k:count",
        "pull:number l1:number l2:number",
        _course,
        case(
            "the first step: nothing has moved",
            "FirstStep",
            pull=None,
            l1=None,
            l2=None,
            inner=0.0,
            displacement=(0.0, 0.0),
            k=1,
        ),
        case(
            "the first step of a late parameter: its inner product counts whole",
            "FirstStep",
            pull=None,
            l1=None,
            l2=None,
            inner=0.5,
            displacement=(3.0, -4.0),
            k=7,
        ),
        case("the second step", "", pull=0.5, l1=f32(1e-8), l2=f32(1e-8), inner=0.25, displacement=(3.0, -4.0), k=2),
        case("step 16: an eighth", "", pull=1.0, l1=1.0, l2=1.0, inner=2.0, displacement=(3.0, -4.0), k=16),
        case(
            "closer than it has been: the largest stays",
            "",
            pull=0.5,
            l1=9.0,
            l2=8.0,
            inner=-0.25,
            displacement=(3.0, -4.0),
            k=30,
        ),
        case(
            "one norm grows, the other does not",
            "NearGuard",
            pull=0.5,
            l1=6.5,
            l2=5.5,
            inner=-0.25,
            displacement=(4.0, -3.0),
            k=30,
        ),
        drawn(
            "M-040",
            3,
            pull=signed(-4, 0),
            l1=positive(-4, 2),
            l2=positive(-4, 1),
            inner=signed(-4, 0),
            displacement=array((4,), signed(-3, 0)),
            k=integer(2, 60),
        ),
    ),
    spec(
        "PPSF-M-041",
        "pull:number l1:number l2:number du:number",
        "A:number",
        lambda i: speed.course_item(speed.Course(i.pull, i.l1, i.l2), i.du),
        case("all exact", "Exact", pull=2.0, l1=4.0, l2=1.0, du=1.0),
        case("nothing has moved", "FirstStep", pull=0.0, l1=f32(1e-8), l2=f32(1e-8), du=f32(1e-3)),
        case("far away", "WideMagnitudes", pull=f32(1e3), l1=f32(1e4), l2=f32(2e3), du=f32(1e-3)),
        case("pulled back", "", pull=-0.5, l1=0.5, l2=f32(0.3), du=f32(1e-3)),
        drawn("M-041", 3, pull=signed(-4, 0), l1=positive(-2, 3), l2=positive(-2, 2), du=positive(-10, 0)),
    ),
    spec(
        "PPSF-M-042",
        "d:number N_new:number N:number n_max:number d_coef:number",
        "d:number",
        _growing,
        case("grows with the root of the numerator", "DefaultOptions", **PLACES),
        case("at most by a fourth of an octave", "DefaultOptions", **PLACES | {"N_new": 4.0}),
        case("off the peak: it stays", "DefaultOptions", **PLACES | {"n_max": 2.0}),
        case("on the peak", "Tie", **PLACES | {"n_max": 1.25}),
        case("just off the peak", "NearGuard", **PLACES | {"n_max": after(1.25)}),
        case("no numerator before", "Tie FirstStep", **PLACES | {"N": 0.0, "n_max": 0.0}),
        case("a negative numerator before", "", **PLACES | {"N": -1.0, "n_max": 0.0}),
        case("a numerator of 0", "Tie", **PLACES | {"N_new": 0.0, "n_max": 0.0}),
        case("d_coef 2", "", **PLACES | {"d_coef": 2.0}),
        case("d_coef 1/2: the product is below d, which never falls", "", **PLACES | {"d_coef": 0.125}),
        case(
            "the smallest numerators", "Subnormal", **PLACES | {"N": TINY, "N_new": TINY, "n_max": 0.0, "d_coef": 2.0}
        ),
        drawn(
            "M-042",
            3,
            d=positive(-12, 0),
            N_new=positive(0, 1),
            N=positive(-1, 0),
            n_max=positive(-2, -1),
            d_coef=positive(0, 1),
        ),
        host=2,
    ),
)
