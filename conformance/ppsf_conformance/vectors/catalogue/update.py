"""Areas U and C: the update and its clipping."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ppsf_conformance.vectors.draws import after, array, chosen, drawn, f32, fraction, positive, signed
from ppsf_conformance.vectors.model import case, spec
from ppsf_ref import load_revision
from ppsf_ref.clauses import update

D0 = f32(1e-6)
EPS = f32(1e-8)
BETA1 = f32(0.9)
TINY = 2.0**-149
FOUR_OVER_PI = 1.2732395


def _bound(i: Any) -> Any:
    revision = replace(load_revision("1.9"), bound_at_start=i.bound_at_start, bound_later=i.bound_later)
    return update.bound(i.d, i.d0, revision)


UPDATE = (
    spec(
        "PPSF-U-001",
        "d:number d0:number bound_at_start:option bound_later:option",
        "b:option",
        _bound,
        case(
            "before the estimate has grown",
            "DefaultOptions FirstStep Tie",
            d=D0,
            d0=D0,
            bound_at_start=50.0,
            bound_later=1.0,
        ),
        case("grown by one unit", "DefaultOptions NearGuard", d=after(D0), d0=D0, bound_at_start=50.0, bound_later=1.0),
        case(
            "below the first estimate",
            "DefaultOptions NearGuard",
            d=after(D0, -1),
            d0=D0,
            bound_at_start=50.0,
            bound_later=1.0,
        ),
        case("grown far", "DefaultOptions", d=1.0, d0=D0, bound_at_start=50.0, bound_later=1.0),
        case("a first estimate of 1", "", d=1.0, d0=1.0, bound_at_start=50.0, bound_later=1.0),
        arithmetics=(),
    ),
    spec(
        "PPSF-U-002",
        "g:array denom:array eps:number",
        "u:array",
        lambda i: update.quotient(i.g, i.denom, i.eps),
        case("ordinary numbers", "DefaultOptions", g=(1.0, -0.5, f32(0.1)), denom=(0.5, 2.0, f32(0.3)), eps=EPS),
        case("eps is all of the divisor", "ZeroGradient", g=(0.0, 1.0), denom=(0.0, 0.0), eps=EPS),
        case("eps as large as the divisor", "", g=(f32(1e-8), f32(-3e-8)), denom=(EPS, EPS), eps=EPS),
        case("eps above the divisor", "", g=(f32(1e-10), f32(1e-9)), denom=(f32(1e-10), f32(1e-9)), eps=EPS),
        case("a large eps", "Exact", g=(3.0, -1.0), denom=(0.5, 0.5), eps=0.5),
        case("gradient below float32's normal numbers", "Subnormal", g=(TINY, -TINY), denom=(0.0, 1.0), eps=EPS),
        drawn("U-002", 3, g=array((4,), signed(-28, 2)), denom=array((4,), positive(-28, 2)), eps=positive(-28, -10)),
    ),
    spec(
        "PPSF-U-003",
        "g:array denom:array b:option",
        "u:array",
        lambda i: update.angle(i.g, i.denom, i.b),
        case("ordinary numbers", "", g=(1.0, -0.5, f32(0.1)), denom=(0.5, 2.0, f32(0.3)), b=1.0),
        case("before the estimate has grown", "FirstStep", g=(1.0, -0.5, f32(0.1)), denom=(0.5, 2.0, f32(0.3)), b=50.0),
        case("nothing over nothing is nothing", "ZeroGradient Zero", g=(0.0, 0.0), denom=(0.0, 1.0), b=1.0),
        case("something over nothing: the limit", "Edge", g=(1.0, -TINY), denom=(0.0, 0.0), b=1.0),
        case("the limit at the start", "Edge", g=(1.0, -TINY), denom=(0.0, 0.0), b=50.0),
        case("far apart", "WideMagnitudes", g=(f32(1e15), f32(1e-15)), denom=(f32(1e-15), f32(1e15)), b=1.0),
        drawn("U-003", 2, g=array((4,), signed(-8, 2)), denom=array((4,), positive(-8, 2)), b=chosen(1.0, 50.0)),
    ),
    spec(
        "PPSF-U-010",
        "m:array g:array beta1:number d:number",
        "m:array",
        lambda i: update.momentum(i.m, i.g, i.beta1, i.d),
        case("the first step", "FirstStep", m=(0.0, 0.0), g=(1.0, -0.5), beta1=BETA1, d=D0),
        case("all exact", "Exact", m=(1.0, -4.0), g=(2.0, -1.0), beta1=0.5, d=0.5),
        case("no average is kept", "Edge", m=None, g=(1.0, f32(-0.3)), beta1=0.0, d=f32(0.1)),
        case("gradient of zeros: only decay", "ZeroGradient", m=(1.0, -4.0), g=(0.0, 0.0), beta1=BETA1, d=0.5),
        case("moment and gradient cancel", "Cancellation Exact", m=(1.0,), g=(-2.0,), beta1=0.5, d=0.5),
        drawn(
            "U-010",
            3,
            m=array((4,), signed(-16, -8)),
            g=array((4,), signed(-8, 2)),
            beta1=fraction(0.5),
            d=positive(-10, -8),
        ),
    ),
    spec(
        "PPSF-U-011",
        "g:array d:number",
        "n:array",
        lambda i: update.weighted_gradient(i.g, i.d),
        case("the first step", "FirstStep", g=(1.0, -0.5, f32(0.1)), d=D0),
        case("all exact", "Exact", g=(3.0, -0.5), d=0.25),
        case("d of 1", "Edge Exact", g=(3.0, -0.5), d=1.0),
        case("gradient of zeros", "ZeroGradient", g=(0.0, 0.0), d=D0),
        case("products below float32's normal numbers", "Subnormal", g=(2.0**-100, 3 * 2.0**-130), d=2.0**-30),
        drawn("U-011", 2, g=array((4,), signed(-8, 2)), d=positive(-20, 0)),
    ),
    spec(
        "PPSF-U-012",
        "n:array denom:array d:number eps:number dlr:number",
        "u:array",
        lambda i: update.weighted_quotient(i.n, i.denom, i.eps, i.d, i.dlr),
        case(
            "ordinary numbers",
            "",
            n=(f32(1e-3), f32(-2e-3)),
            denom=(f32(2e-3), f32(1e-3)),
            d=f32(1e-3),
            eps=EPS,
            dlr=f32(1e-3),
        ),
        case(
            "eps carries d too",
            "",
            n=(f32(1e-11), f32(-1e-11)),
            denom=(f32(1e-11), 0.0),
            d=f32(1e-3),
            eps=EPS,
            dlr=f32(1e-3),
        ),
        case("nothing over eps", "ZeroGradient", n=(0.0, 0.0), denom=(0.0, 1.0), d=f32(1e-3), eps=EPS, dlr=f32(1e-3)),
        case("a large eps", "", n=(3.0, -1.0), denom=(0.5, 0.5), d=0.5, eps=1.0, dlr=0.5),
        case("the step size plays no part", "Decoy", n=(3.0, -1.0), denom=(0.5, 0.5), d=0.5, eps=1.0, dlr=64.0),
        drawn(
            "U-012",
            3,
            n=array((4,), signed(-20, -6)),
            denom=array((4,), positive(-20, -6)),
            d=positive(-10, -8),
            eps=positive(-20, -8),
            dlr=positive(-10, -8),
        ),
    ),
    spec(
        "PPSF-U-013",
        "n:array denom:array a:option",
        "u:array",
        lambda i: update.scaled_angle(i.n, i.denom, i.a),
        case("ordinary numbers", "", n=(1.0, -0.5, f32(0.1)), denom=(0.5, 2.0, f32(0.3)), a=1.0),
        case("the scale of revision 2.0", "", n=(1.0, -0.5, f32(0.1)), denom=(0.5, 2.0, f32(0.3)), a=FOUR_OVER_PI),
        case("nothing over nothing is nothing", "ZeroGradient Zero", n=(0.0, 0.0), denom=(0.0, 1.0), a=FOUR_OVER_PI),
        case("something over nothing: the limit", "Edge", n=(1.0, -TINY), denom=(0.0, 0.0), a=FOUR_OVER_PI),
        case(
            "equal: an eighth of a turn, times the scale",
            "",
            n=(f32(1e-9), f32(-1e9)),
            denom=(f32(1e-9), f32(1e9)),
            a=FOUR_OVER_PI,
        ),
        drawn(
            "U-013", 3, n=array((4,), signed(-8, 2)), denom=array((4,), positive(-8, 2)), a=chosen(1.0, FOUR_OVER_PI)
        ),
    ),
    spec(
        "PPSF-C-001",
        "u:array b:option",
        "u:array",
        lambda i: update.clipped(i.u, i.b),
        case("small: left as it is", "DefaultOptions", u=(0.5, -0.25, f32(0.1)), b=1.0),
        case("large: brought down to 1", "DefaultOptions", u=(4.0, -2.0, f32(0.1)), b=1.0),
        case("before the estimate has grown: left as it is", "FirstStep", u=(4.0, -2.0, f32(0.1)), b=50.0),
        case("larger than 50", "FirstStep", u=(400.0, -20.0, f32(0.1)), b=50.0),
        case("a root mean square of 1", "Tie", u=(1.0, -1.0), b=1.0),
        case("just above", "NearGuard", u=(after(1.0, 8), -1.0), b=1.0),
        case("just below", "NearGuard", u=(after(1.0, -8), -1.0), b=1.0),
        case("zeros", "ZeroGradient", u=(0.0, 0.0), b=1.0),
        case("one element", "Edge", u=(3.0,), b=1.0),
        case("no elements", "Edge", u=(), b=1.0),
        case("one large element among many", "WideMagnitudes", u=(f32(1e6), *([f32(1e-3)] * 7)), b=1.0),
        case("a matrix", "", u=((3.0, 4.0), (0.0, -5.0)), b=1.0),
        drawn("C-001", 3, u=array((6,), signed(-2, 4)), b=chosen(1.0)),
    ),
    spec(
        "PPSF-C-010",
        "u:array",
        "u:array",
        lambda i: update.softly_clipped(i.u),
        case("small: left as it is", "DefaultOptions", u=(0.5, -0.25, f32(0.1))),
        case("a root mean square of 16 becomes 4", "DefaultOptions", u=(16.0, -16.0)),
        case("a root mean square of 1", "Tie", u=(1.0, -1.0)),
        case("just above", "NearGuard", u=(after(1.0, 8), -1.0)),
        case("zeros", "ZeroGradient", u=(0.0, 0.0)),
        case("one element", "Edge", u=(3.0,)),
        case("no elements", "Edge", u=()),
        case("one large element among many", "WideMagnitudes", u=(f32(1e6), *([f32(1e-3)] * 7))),
        drawn("C-010", 3, u=array((6,), signed(-2, 4))),
    ),
)
