"""Area V: the second moment."""

from __future__ import annotations

from typing import Any

from ppsf_conformance.vectors.draws import after, array, drawn, f32, fraction, integer, positive, signed
from ppsf_conformance.vectors.model import case, exact, spec
from ppsf_ref.clauses import moment
from ppsf_ref.clauses.moment import Axes, Factors

BETA2 = f32(0.99)
TINY = 2.0**-149
G = ((1.0, 2.0, -3.0), (0.5, -1.0, 0.25))


def _axes(found: Axes | None) -> dict[str, int | None]:
    return {"dr": None, "dc": None} if found is None else {"dr": found.dr, "dc": found.dc}


def _factors(found: Factors) -> dict[str, Any]:
    return {"v_row": found.row, "v_col": found.col}


def _rescaled(i: Any) -> dict[str, Any]:
    old, axes = Factors(i.v_row, i.v_col), Axes(i.dr, i.dc)
    return _factors(moment.factored_moments(old, i.g, axes, i.beta2, i.d, i.d_prev))


def _weighted(i: Any) -> dict[str, Any]:
    return _factors(moment.weighted_factors(Factors(i.v_row, i.v_col), i.g, Axes(i.dr, i.dc), i.beta2, i.d))


#: Of a matrix of two rows and three columns; the larger axis, the second, is reduced in the row factor.
START = {"v_row": ((0.0,), (0.0,)), "v_col": ((0.0, 0.0, 0.0),), "dr": 1, "dc": 0}
LATER = {"v_row": ((0.5,), (0.25,)), "v_col": ((0.125, 0.5, 1.0),), "dr": 1, "dc": 0}
FACTORS = "v_row:array v_col:array"

MOMENT = (
    spec(
        "PPSF-V-001",
        "v:array g:array beta2:number d:number d_prev:number",
        "v:array",
        lambda i: moment.second_moment(i.v, i.g, i.beta2, i.d, i.d_prev),
        case(
            "the first step",
            "DefaultOptions FirstStep",
            v=(0.0, 0.0),
            g=(1.0, -0.5),
            beta2=BETA2,
            d=f32(1e-6),
            d_prev=f32(1e-6),
        ),
        case("the estimate has not grown", "", v=(0.5, 2.0), g=(1.0, -0.5), beta2=BETA2, d=f32(1e-3), d_prev=f32(1e-3)),
        case("the estimate has doubled", "Exact", v=(1.0, 4.0), g=(1.0, -2.0), beta2=0.5, d=1.0, d_prev=0.5),
        case(
            "it has grown a thousandfold",
            "WideMagnitudes",
            v=(1.0, f32(1e6)),
            g=(f32(0.1), 0.0),
            beta2=BETA2,
            d=f32(1e-3),
            d_prev=f32(1e-6),
        ),
        case("no memory", "Edge", v=(1.0, 4.0), g=(1.0, -0.5), beta2=0.0, d=1.0, d_prev=0.5),
        case("gradient of zeros: only decay", "ZeroGradient", v=(1.0, 4.0), g=(0.0, 0.0), beta2=0.5, d=1.0, d_prev=1.0),
        case("squares below float32", "Subnormal", v=(0.0, 0.0), g=(2.0**-74, 2.0**-76), beta2=0.5, d=1.0, d_prev=1.0),
        case("squares above float32", "Overflow", v=(0.0,), g=(f32(1e20),), beta2=BETA2, d=1.0, d_prev=1.0),
        drawn(
            "V-001",
            3,
            v=array((4,), positive(-10, 2)),
            g=array((4,), signed(-8, 2)),
            beta2=fraction(0.9),
            d=positive(-8, -6),
            d_prev=positive(-10, -8),
        ),
    ),
    exact(
        "PPSF-V-002",
        "shape:shape factored:boolean min_dim:integer",
        "dr:integer dc:integer",
        lambda i: _axes(moment.factored_axes(tuple(i.shape), i.factored, i.min_dim)),
        case("a matrix with a long row", "DefaultOptions Factored", shape=(3, 32), factored=True, min_dim=32),
        case("a matrix with a long column", "DefaultOptions Factored", shape=(32, 3), factored=True, min_dim=32),
        case("one too short", "DefaultOptions NearGuard", shape=(31, 31), factored=True, min_dim=32),
        case(
            "equal sizes: the later axis is the larger",
            "DefaultOptions Factored Tie",
            shape=(33, 33),
            factored=True,
            min_dim=32,
        ),
        case("a convolution kernel", "DefaultOptions Factored", shape=(64, 32, 3, 3), factored=True, min_dim=32),
        case(
            "the two largest stand first and last",
            "DefaultOptions Factored",
            shape=(40, 2, 50),
            factored=True,
            min_dim=32,
        ),
        case("the second largest is a tie", "DefaultOptions Factored Tie", shape=(3, 3, 34), factored=True, min_dim=32),
        case("three equal axes", "DefaultOptions Factored Tie", shape=(32, 32, 32), factored=True, min_dim=32),
        case("a vector", "DefaultOptions Edge", shape=(1000,), factored=True, min_dim=32),
        case("no dimension", "DefaultOptions Edge", shape=(), factored=True, min_dim=32),
        case("no elements", "DefaultOptions Edge", shape=(0, 64), factored=True, min_dim=32),
        case("an axis of size 1", "DefaultOptions Factored Edge", shape=(1, 32), factored=True, min_dim=32),
        case("switched off", "", shape=(64, 64), factored=False, min_dim=32),
    ),
    spec(
        "PPSF-V-003",
        f"{FACTORS} g:array dr:integer dc:integer beta2:number d:number d_prev:number",
        FACTORS,
        _rescaled,
        case(
            "the first step",
            "DefaultOptions Factored FirstStep",
            **START,
            g=G,
            beta2=BETA2,
            d=f32(1e-6),
            d_prev=f32(1e-6),
        ),
        case("a later step", "Factored", **LATER, g=G, beta2=BETA2, d=f32(1e-3), d_prev=f32(1e-3)),
        case("the estimate has doubled", "Factored", **LATER, g=G, beta2=0.5, d=1.0, d_prev=0.5),
        case(
            "the axes are exchanged",
            "Factored",
            v_row=((0.5, 0.25, 1.0),),
            v_col=((0.25,), (0.5,)),
            dr=0,
            dc=1,
            g=G,
            beta2=0.5,
            d=1.0,
            d_prev=1.0,
        ),
        case(
            "gradient of zeros: only decay",
            "Factored ZeroGradient",
            **LATER,
            g=((0.0,) * 3,) * 2,
            beta2=0.5,
            d=1.0,
            d_prev=1.0,
        ),
        case(
            "one wild element",
            "Factored WideMagnitudes",
            **LATER,
            g=((f32(1e8), f32(1e-8), 1.0), (0.0, 0.0, f32(1e-3))),
            beta2=BETA2,
            d=1.0,
            d_prev=1.0,
        ),
        drawn(
            "V-003",
            2,
            "Ordinary Factored",
            v_row=array((2, 1), positive(-6, 2)),
            v_col=array((1, 3), positive(-6, 2)),
            g=array((2, 3), signed(-6, 2)),
            dr=lambda _: 1,
            dc=lambda _: 0,
            beta2=fraction(0.9),
            d=positive(-8, -6),
            d_prev=positive(-10, -8),
        ),
        drawn(
            "V-003 b",
            1,
            "Ordinary Factored",
            v_row=array((2, 1, 2), positive(-6, 2)),
            v_col=array((1, 3, 2), positive(-6, 2)),
            g=array((2, 3, 2), signed(-6, 2)),
            dr=lambda _: 1,
            dc=lambda _: 0,
            beta2=fraction(0.9),
            d=positive(-8, -6),
            d_prev=positive(-10, -8),
        ),
    ),
    spec(
        "PPSF-V-004",
        "v:array",
        "denom:array",
        lambda i: moment.denominator(i.v),
        case("exact roots", "", v=(4.0, 0.25, 1.0, 0.0)),
        case("ordinary numbers", "", v=(f32(0.1), 2.0, 3.0)),
        case("the smallest number of float32", "Subnormal", v=(TINY, 3 * TINY)),
        case("very large", "WideMagnitudes", v=(2.0**126, f32(1e30))),
        case("no elements", "Edge", v=()),
        drawn("V-004", 2, v=array((4,), positive(-30, 10))),
    ),
    spec(
        "PPSF-V-005",
        f"{FACTORS} dr:integer dc:integer",
        "denom:array",
        lambda i: moment.factored_denominator(i.v_row, i.v_col, Axes(i.dr, i.dc)),
        case(
            "a product of row and column: exact",
            "Factored",
            v_row=((4.0,), (12.0,)),
            v_col=((1.0, 4.0, 9.0),),
            dr=1,
            dc=0,
        ),
        case("the axes are exchanged", "Factored", v_row=((1.0, 4.0, 9.0),), v_col=((4.0,), (16.0,)), dr=0, dc=1),
        case("a row of zeros", "Factored ZeroGradient", v_row=((0.0,), (2.0,)), v_col=((1.0, 4.0, 0.0),), dr=1, dc=0),
        case(
            "all rows are zeros",
            "Factored ZeroGradient Zero",
            v_row=((0.0,), (0.0,)),
            v_col=((1.0, 4.0, 0.0),),
            dr=1,
            dc=0,
        ),
        case(
            "means far below 1e-30",
            "Factored Subnormal",
            v_row=((2.0**-120,), (2.0**-122,)),
            v_col=((2.0**-120, 2.0**-124, 0.0),),
            dr=1,
            dc=0,
        ),
        case(
            "rows of very different size",
            "Factored WideMagnitudes",
            v_row=((f32(1e-12),), (f32(1e12),)),
            v_col=((1.0, f32(1e-6), f32(1e6)),),
            dr=1,
            dc=0,
        ),
        case("an axis of size 1", "Factored Edge", v_row=((4.0,),), v_col=((1.0, 4.0, 9.0),), dr=1, dc=0),
        case(
            "scaled by 2^-40",
            "Factored",
            v_row=((2.0**-38,), (12 * 2.0**-40,)),
            v_col=((2.0**-40, 2.0**-38, 9 * 2.0**-40),),
            dr=1,
            dc=0,
        ),
        drawn(
            "V-005",
            2,
            "Ordinary Factored",
            v_row=array((3, 1), positive(-6, 2)),
            v_col=array((1, 4), positive(-6, 2)),
            dr=lambda _: 1,
            dc=lambda _: 0,
        ),
        drawn(
            "V-005 b",
            1,
            "Ordinary Factored",
            v_row=array((2, 1, 2), positive(-6, 2)),
            v_col=array((2, 3, 1), positive(-6, 2)),
            dr=lambda _: 1,
            dc=lambda _: 2,
        ),
    ),
    spec(
        "PPSF-V-010",
        "v:array g:array beta2:number d:number",
        "v:array",
        lambda i: moment.weighted_moment(i.v, i.g, i.beta2, i.d),
        case("the first step", "FirstStep", v=(0.0, 0.0), g=(1.0, -0.5), beta2=BETA2, d=f32(1e-6)),
        case("all exact", "Exact", v=(1.0, 4.0), g=(1.0, -2.0), beta2=0.5, d=0.5),
        case("nothing is estimated: d is 1", "", v=(0.5, 2.0), g=(1.0, -0.5), beta2=f32(0.999), d=1.0),
        case("no memory", "Edge", v=(1.0, 4.0), g=(1.0, -0.5), beta2=0.0, d=0.5),
        case("gradient of zeros: only decay", "ZeroGradient", v=(1.0, 4.0), g=(0.0, 0.0), beta2=0.5, d=0.5),
        case("squares below float32", "Subnormal", v=(0.0, 0.0), g=(2.0**-54, 2.0**-56), beta2=0.5, d=2.0**-20),
        drawn(
            "V-010",
            3,
            v=array((4,), positive(-24, -16)),
            g=array((4,), signed(-8, 2)),
            beta2=fraction(0.9),
            d=positive(-10, -8),
        ),
    ),
    spec(
        "PPSF-V-011",
        f"{FACTORS} g:array dr:integer dc:integer beta2:number d:number",
        FACTORS,
        _weighted,
        case("the first step", "Factored FirstStep", **START, g=G, beta2=BETA2, d=f32(1e-6)),
        case("a later step", "Factored", **LATER, g=G, beta2=BETA2, d=0.5),
        case(
            "the axes are exchanged",
            "Factored",
            v_row=((0.5, 0.25, 1.0),),
            v_col=((0.25,), (0.5,)),
            dr=0,
            dc=1,
            g=G,
            beta2=0.5,
            d=0.5,
        ),
        case("gradient of zeros: only decay", "Factored ZeroGradient", **LATER, g=((0.0,) * 3,) * 2, beta2=0.5, d=0.5),
        drawn(
            "V-011",
            3,
            "Ordinary Factored",
            v_row=array((2, 1), positive(-24, -16)),
            v_col=array((1, 3), positive(-24, -16)),
            g=array((2, 3), signed(-6, 2)),
            dr=lambda _: 1,
            dc=lambda _: 0,
            beta2=fraction(0.9),
            d=positive(-10, -8),
        ),
    ),
    exact(
        "PPSF-V-012",
        "shape:shape factored:boolean",
        "dr:integer dc:integer",
        lambda i: _axes(moment.last_axes(tuple(i.shape), i.factored)),
        case("a small matrix", "Factored", shape=(2, 3), factored=True),
        case("a tall matrix", "Factored", shape=(64, 3), factored=True),
        case("three dimensions, the first is the largest", "Factored", shape=(50, 2, 3), factored=True),
        case("four dimensions", "Factored", shape=(2, 3, 4, 5), factored=True),
        case("a large matrix", "Factored", shape=(40, 50), factored=True),
        case("a vector", "Edge", shape=(1000,), factored=True),
        case("no elements", "Edge", shape=(0, 64), factored=True),
        case("no dimension", "Edge", shape=(), factored=True),
        case("switched off", "DefaultOptions", shape=(64, 64), factored=False),
    ),
    spec(
        "PPSF-V-013",
        "v:array beta2:number k:integer",
        "v_hat:array",
        lambda i: moment.corrected_moment(i.v, i.beta2, i.k),
        case("the first step", "FirstStep", v=(f32(1e-3), 0.0), beta2=f32(0.999), k=1),
        case("a half", "FirstStep", v=(0.5, 3.0), beta2=0.5, k=1),
        case("the second step", "", v=(0.75, 3.0), beta2=0.5, k=2),
        case("after a thousand steps", "", v=(1.0, f32(0.1)), beta2=f32(0.999), k=1000),
        case("beta2 is 0", "Edge", v=(1.0, f32(0.1)), beta2=0.0, k=3),
        case("beta2 next to 1", "Cancellation", v=(f32(1e-7),), beta2=after(1.0, -1), k=1),
        drawn("V-013", 3, v=array((3,), positive(-10, 2)), beta2=fraction(0.9), k=integer(1, 40)),
    ),
)
