"""Area M, what changes the update: cautious, Grams, ADOPT, OrthoGrad, FOCUS."""

from __future__ import annotations

from typing import Any

from ppsf_conformance.vectors.draws import after, array, drawn, f32, fraction, integer, positive, signed
from ppsf_conformance.vectors.model import case, exact, spec
from ppsf_ref import ParamState
from ppsf_ref.clauses import adopt, focus, modifiers, orthograd

BETA1, BETA2 = f32(0.9), f32(0.99)
TINY = 2.0**-149
#: Shares of the gradient at which OrthoGrad cuts and ceases to cut.
CUT, WHOLE = 2.0**-8, 2.0**-7


def _average(i: Any) -> dict[str, Any]:
    found = focus.average(i.v, i.y, i.beta2, i.d_prev / i.d)
    return {"compared": found.compared, "v": found.kept}


def _aside(share: float) -> dict[str, Any]:
    """A gradient along the weights (1, 0), but for this share."""
    return {"g": (1.0, share), "y": (1.0, 0.0), "z": (0.0, 1.0)}


MODIFIERS = (
    spec(
        "PPSF-M-001",
        "U:array u:array",
        "taken:array",
        lambda i: modifiers.cautious(i.U, i.u),
        case("half of them agree", "Exact", U=(1.0, -2.0, 3.0, -4.0), u=(1.0, 1.0, 1.0, 1.0)),
        case("all agree: nothing changes", "Exact", U=(1.0, -2.0), u=(0.5, -0.5)),
        case("none agrees", "", U=(1.0, -2.0), u=(-0.5, 0.5)),
        case("zeros are not kept", "Zero Tie", U=(0.0, 2.0, 0.0, -1.0), u=(1.0, 0.0, 0.0, -3.0)),
        case("one of three", "", U=(f32(0.1), f32(0.2), f32(-0.3)), u=(1.0, -1.0, 1.0)),
        case(
            "by the sign, not the size", "WideMagnitudes", U=(f32(1e-6), f32(1e6), 1.0), u=(f32(1e6), f32(1e-6), -1.0)
        ),
        case("one element", "Edge", U=(3.0,), u=(2.0,)),
        case("no elements", "Edge", U=(), u=()),
        drawn("M-001", 3, U=array((7,), signed(-10, 0)), u=array((7,), signed(-4, 1))),
    ),
    spec(
        "PPSF-M-002",
        "U:array u:array",
        "taken:array",
        lambda i: modifiers.grams(i.U, i.u),
        case("all four signs", "Exact", U=(1.0, -2.0, 3.0, -4.0), u=(1.0, 1.0, -1.0, -1.0)),
        case("where the update is 0 nothing is taken", "Zero Tie", U=(1.0, -2.0), u=(0.0, 0.0)),
        case("where the decrease is 0", "Zero", U=(0.0, 0.0), u=(1.0, -1.0)),
        case("the smallest update has a sign", "NearGuard Subnormal", U=(1.0, 1.0), u=(TINY, -TINY)),
        drawn("M-002", 3, U=array((5,), signed(-10, 0)), u=array((5,), signed(-4, 1))),
    ),
    exact(
        "PPSF-M-005",
        "is_new:boolean k:integer",
        "fills:boolean",
        lambda i: adopt.only_fills(i.is_new, i.k),
        case("the first step of parameter and pool", "FirstStep", is_new=True, k=1),
        case("a parameter that comes later", "Decoy FirstStep", is_new=True, k=7),
        case("a parameter with state, in a later step", "", is_new=False, k=7),
        case("a parameter with state in the first step of its pool", "Decoy", is_new=False, k=1),
    ),
    exact(
        "PPSF-M-006",
        "v:raw v_new:raw",
        "divided_by:raw",
        lambda i: adopt.divides(i.v, i.v_new),
        case("the moment as it was stored", "", v=(1.0, 4.0), v_new=(2.0, 3.0)),
        case("it was 0", "Zero", v=(0.0, 4.0), v_new=(2.0, 3.0)),
        case("nothing has changed", "Tie", v=(1.0, 4.0), v_new=(1.0, 4.0)),
    ),
    spec(
        "PPSF-M-007",
        "g:array y:array z:array",
        "g:array",
        lambda i: orthograd.orthogonal(i.g, ParamState(y=i.y, z=i.z)),
        case("at a right angle already", "", g=(0.0, 2.0), y=(1.0, 0.0), z=(1.0, 1.0)),
        case("along the weights: nothing is left", "", g=(2.0, 0.0), y=(1.0, 0.0), z=(0.0, 1.0)),
        case("half a right angle: as long as it was", "Decoy", g=(1.0, 1.0), y=(1.0, 0.0), z=(0.0, 1.0)),
        case("just below the cut: nothing", "NearGuard", **_aside(CUT * 0.99)),
        case("just above the cut: little", "NearGuard", **_aside(f32(CUT * 1.01))),
        case("half-way between cut and whole", "", **_aside(1.5 * CUT)),
        case("just below whole", "NearGuard", **_aside(f32(WHOLE * 0.99))),
        case("just above whole", "NearGuard", **_aside(f32(WHOLE * 1.01))),
        case("weights that are all 0 have no direction", "Zero", g=(3.0, -4.0), y=(0.0, 0.0), z=(1.0, 1.0)),
        case("a gradient of zeros", "ZeroGradient", g=(0.0, 0.0), y=(1.0, 2.0), z=(1.0, 1.0)),
        case("one element: always along", "Edge", g=(3.0,), y=(2.0,), z=(1.0,)),
        case(
            "a small gradient, large weights",
            "WideMagnitudes",
            g=(f32(1e-8), f32(-1e-8), f32(2e-8)),
            y=(f32(1e4), f32(2e4), f32(-5e3)),
            z=(1.0, 1.0, 1.0),
        ),
        drawn(
            "M-007", 3, g=array((2, 3), signed(-4, 2)), y=array((2, 3), signed(-2, 1)), z=array((2, 3), signed(-2, 1))
        ),
    ),
    spec(
        "PPSF-M-008",
        "v:array y:array beta2:number d:number d_prev:number",
        "compared:array v:array",
        _average,
        case("starts at the weights", "FirstStep", v=(1.0, -2.0), y=(1.0, -2.0), beta2=BETA2, d=0.5, d_prev=0.5),
        case("all exact", "Exact", v=(1.0, -2.0), y=(3.0, 2.0), beta2=0.5, d=0.5, d_prev=0.5),
        case(
            "growth of the estimate plays no part", "Decoy", v=(1.0, -2.0), y=(3.0, 2.0), beta2=0.5, d=0.5, d_prev=0.125
        ),
        case("no memory", "Edge", v=(1.0, -2.0), y=(3.0, 2.0), beta2=0.0, d=0.5, d_prev=0.5),
        case("weights of 0", "Zero", v=(1.0, -2.0), y=(0.0, 0.0), beta2=BETA2, d=0.5, d_prev=0.5),
        drawn(
            "M-008",
            3,
            v=array((4,), signed(-3, 1)),
            y=array((4,), signed(-3, 1)),
            beta2=fraction(0.9),
            d=positive(-2, -1),
            d_prev=positive(-4, -3),
        ),
    ),
    spec(
        "PPSF-M-009",
        "g:array v:array y:array",
        "u:array",
        lambda i: focus.direction(i.g, i.v, i.y),
        case("all four signs", "", g=(1.0, -1.0, 2.0, -2.0), v=(1.0, 1.0, -1.0, -1.0), y=(0.0, 0.0, 0.0, 0.0)),
        case("average and weights are the same", "Tie", g=(1.0, -1.0), v=(0.5, -0.5), y=(0.5, -0.5)),
        case("a gradient of zeros: only the pull", "ZeroGradient Tie", g=(0.0, 0.0), v=(1.0, -1.0), y=(0.0, 0.0)),
        case("nothing at all", "ZeroGradient Tie", g=(0.0,), v=(1.0,), y=(1.0,)),
        case("apart by one unit", "NearGuard", g=(1.0, 1.0), v=(after(1.0), after(1.0, -1)), y=(1.0, 1.0)),
        case(
            "the size of the gradient plays no part",
            "WideMagnitudes",
            g=(f32(1e-30), f32(-1e30)),
            v=(1.0, 1.0),
            y=(0.0, 0.0),
        ),
        drawn("M-009", 2, g=array((4,), signed(-4, 4)), v=array((4,), signed(-3, 1)), y=array((4,), signed(-3, 1))),
        host=1,
    ),
    spec(
        "PPSF-M-030",
        "m:array g:array",
        "n:array",
        lambda i: modifiers.cautious_momentum(i.m, i.g),
        case("half of them agree", "Exact", m=(1.0, -2.0, 3.0, -4.0), g=(1.0, 1.0, 1.0, 1.0)),
        case("all agree", "Exact", m=(1.0, -2.0), g=(0.5, -0.5)),
        case("none agrees", "", m=(1.0, -2.0), g=(-0.5, 0.5)),
        case("zeros are not kept", "Zero Tie", m=(0.0, 2.0, 0.0, -1.0), g=(1.0, 0.0, 0.0, -3.0)),
        case("two of three", "", m=(f32(0.1), f32(0.2), f32(-0.3)), g=(1.0, 1.0, 1.0)),
        case("no elements", "Edge", m=(), g=()),
        drawn("M-030", 3, m=array((7,), signed(-10, 0)), g=array((7,), signed(-4, 1))),
    ),
    spec(
        "PPSF-M-031",
        "m:array g:array",
        "n:array",
        lambda i: modifiers.grams_momentum(i.m, i.g),
        case("all four signs", "Exact", m=(1.0, -2.0, 3.0, -4.0), g=(1.0, 1.0, -1.0, -1.0)),
        case("where the gradient is 0 nothing moves", "Zero Tie", m=(1.0, -2.0), g=(0.0, 0.0)),
        case("the smallest gradient has a sign", "NearGuard Subnormal", m=(1.0, 1.0), g=(TINY, -TINY)),
        drawn("M-031", 3, m=array((5,), signed(-10, 0)), g=array((5,), signed(-4, 1))),
    ),
    spec(
        "PPSF-M-032",
        "m:array u:array beta1:number k:count",
        "m:array",
        lambda i: adopt.normalized_moment(i.m, i.u, i.beta1, i.k),
        case("small: not cut", "", m=(0.5, -0.5), u=(0.25, -0.75), beta1=BETA1, k=1),
        case("the first step: cut at 1", "FirstStep", m=(0.0, 0.0), u=(3.0, -3.0), beta1=BETA1, k=1),
        case("step 16: cut at 2", "", m=(0.5, -0.5), u=(1.5, -9.0), beta1=BETA1, k=16),
        case("just at the cut", "Tie", m=(0.0, 0.0), u=(2.0, -2.0), beta1=0.5, k=16),
        case("no average is kept", "Edge", m=None, u=(9.0, -1.5), beta1=0.0, k=16),
        case("step 81: cut at 3", "", m=(1.0, 1.0), u=(f32(1e9), f32(1e-9)), beta1=BETA1, k=81),
        drawn(
            "M-032",
            3,
            m=array((4,), signed(-3, 0)),
            u=array((4,), signed(-2, 4)),
            beta1=fraction(0.5),
            k=integer(2, 99),
        ),
    ),
)
