"""Area D: the distance estimate."""

from __future__ import annotations

import math
from typing import Any

from ppsf_conformance.vectors.draws import after, array, drawn, f32, fraction, positive, signed
from ppsf_conformance.vectors.model import case, exact, spec
from ppsf_ref import GroupState
from ppsf_ref.clauses import distance

D0 = f32(1e-6)
GROWN = after(D0)
BETA3 = f32(0.995)
TINY = 2.0**-149

#: Exponents of what the sums of this area are made of.
ITEM = signed(-12, 2)


def _window(i: Any) -> dict[str, bool]:
    found = distance.window(i.k, i.prodigy_steps)
    return {"adapts": found.adapts, "releases": found.releases}


def _over_processes(i: Any) -> dict[str, Any]:
    elsewhere = [distance.Share(*share) for share in zip(i.items, i.norms, strict=True)]
    return distance.over_processes(distance.Share(i.item, i.norm), elsewhere)._asdict()


def _frozen(i: Any) -> dict[str, Any]:
    pool = GroupState(i.d, i.d_prev, i.N, i.D, weight_sum=0.0, k=1, params=())
    left = distance.frozen(pool)
    return {"d": left.d, "d_prev": left.d_prev, "N": left.d_numerator, "D": left.d_denom}


def _estimate(found: distance.Estimate) -> dict[str, Any]:
    return {"d": found.d, "d_prev": found.d_prev}


def _weights(i: Any) -> dict[str, Any]:
    found = distance.prodigy_weights(i.d, i.d0, i.dlr, i.safeguard_warmup)
    return {"du": found.item, "du_s": found.sum}


def _capped(i: Any) -> dict[str, Any]:
    found = distance.capped_estimate(i.d, i.d_hat, i.d_max, i.d0, i.growth_rate)
    return {"d": found.d, "d_max": found.d_max}


ESTIMATE = "d:number d_prev:number"

DISTANCE = (
    spec(
        "PPSF-D-001",
        "d:number",
        "du:number",
        lambda i: distance.statistic_weight(i.d),
        case("before the estimate has grown", "DefaultOptions FirstStep", d=D0),
        case("a root of 1/2", "", d=0.25),
        case("the root of 1", "Exact Edge", d=1.0),
        case("above 1", "", d=f32(1.7)),
        case("the smallest number of float32", "Subnormal", d=TINY),
        case("very large", "WideMagnitudes", d=2.0**100),
        drawn("D-001", 3, d=positive(-24, 3)),
    ),
    spec(
        "PPSF-D-002",
        "du:number g:array x0:array y:array",
        "A:number",
        lambda i: distance.numerator_item(i.g, i.x0, i.y, i.du),
        case("nothing has moved yet", "FirstStep", du=f32(1e-3), g=[1.5, -2.0], x0=[0.5, 3.0], y=[0.5, 3.0]),
        case("one element, all exact", "Exact", du=0.5, g=[2.0], x0=[1.0], y=[0.25]),
        case("moved against the gradient", "Exact", du=1.0, g=[1.0, 2.0], x0=[1.0, 1.0], y=[0.5, 0.0]),
        case("moved along the gradient", "Exact", du=1.0, g=[1.0, 2.0], x0=[0.5, 0.0], y=[1.0, 1.0]),
        case("gradient of zeros", "ZeroGradient", du=f32(1e-3), g=[0.0, 0.0], x0=[1.0, 2.0], y=[0.5, 3.0]),
        case("products that cancel exactly", "Cancellation Exact", du=0.25, g=[1.0, 1.0], x0=[3.0, 1.0], y=[1.0, 3.0]),
        case(
            "products that nearly cancel",
            "Cancellation",
            du=f32(0.1),
            g=[1.0, f32(0.1)],
            x0=[f32(0.1), 1.0],
            y=[0.0, after(2.0)],
        ),
        case(
            "from 1e-20 to 1e5",
            "WideMagnitudes",
            du=f32(0.03),
            g=[f32(1e-20), f32(1e5), f32(-3e-7)],
            x0=[1.0, 2.0, f32(1e5)],
            y=[0.0, f32(1.9), 0.0],
        ),
        case("past the largest float32", "Overflow", du=1.0, g=[f32(1e30)], x0=[f32(1e10)], y=[0.0]),
        case("a parameter without elements", "Edge", du=1.0, g=[], x0=[], y=[]),
        drawn("D-002", 3, du=positive(-10, 0), g=array((5,), ITEM), x0=array((5,), ITEM), y=array((5,), ITEM)),
    ),
    spec(
        "PPSF-D-003",
        "s:array g:array beta3:number du:number",
        "s:array",
        lambda i: distance.gradient_sum(i.s, i.g, i.beta3, i.du),
        case("the first step", "FirstStep", s=[0.0, 0.0, 0.0], g=[1.0, -0.5, 0.0], beta3=BETA3, du=f32(1e-3)),
        case("a step later", "", s=[f32(1e-3), f32(-5e-4), 0.0], g=[0.5, 0.25, -1.0], beta3=BETA3, du=f32(1e-3)),
        case("no memory", "Edge", s=[1.0, 2.0], g=[0.5, -4.0], beta3=0.0, du=0.5),
        case("gradient of zeros: only decay", "ZeroGradient", s=[1.0, -2.0], g=[0.0, 0.0], beta3=0.5, du=0.5),
        case("memory and gradient cancel", "Cancellation Exact", s=[2.0, -1.0], g=[-2.0, 1.0], beta3=0.5, du=0.5),
        case("gradients near the smallest float32", "Subnormal", s=[0.0, TINY], g=[TINY, 3 * TINY], beta3=0.5, du=1.0),
        case("memory far larger than the gradient", "WideMagnitudes", s=[f32(1e8)], g=[f32(1e-8)], beta3=BETA3, du=1.0),
        drawn("D-003", 3, s=array((4,), ITEM), g=array((4,), ITEM), beta3=fraction(0.9), du=positive(-10, 0)),
    ),
    spec(
        "PPSF-D-004",
        "s:array",
        "D:number",
        lambda i: distance.denominator_item(i.s),
        case("signs do not cancel", "Exact", s=[1.0, -2.0, 3.0]),
        case("nothing was summed", "ZeroGradient", s=[0.0, 0.0]),
        case("one element", "Exact Edge", s=[-0.75]),
        case("a sample without elements", "Edge", s=[]),
        case("from 1e-30 to 1", "WideMagnitudes", s=[f32(1e-30), -1.0, f32(1e-12), f32(0.1)]),
        case("the smallest numbers of float32", "Subnormal", s=[TINY, -3 * TINY]),
        case("past the largest float32", "Overflow", s=[f32(3e38), f32(-3e38)]),
        drawn("D-004", 3, s=array((7,), ITEM)),
    ),
    spec(
        "PPSF-D-005",
        "N:number A:number beta3:number d:number d0:number",
        "N:number",
        lambda i: distance.numerator(i.N, i.A, i.beta3, i.d, i.d0),
        case("not grown, item positive", "DefaultOptions", N=0.5, A=0.25, beta3=BETA3, d=D0, d0=D0),
        case("not grown, item negative: dropped", "Tie", N=0.5, A=-0.25, beta3=0.5, d=D0, d0=D0),
        case("grown by one unit, item negative: added", "NearGuard", N=0.5, A=-0.25, beta3=0.5, d=GROWN, d0=D0),
        case("grown, item positive", "", N=f32(0.3), A=f32(0.1), beta3=BETA3, d=f32(1e-4), d0=D0),
        case("grown, sum turns negative", "", N=f32(0.1), A=-1.0, beta3=BETA3, d=f32(1e-4), d0=D0),
        case("below the first estimate, item negative", "NearGuard", N=1.0, A=-1.0, beta3=0.5, d=after(D0, -1), d0=D0),
        case("memory and item cancel", "Cancellation Exact", N=2.0, A=-1.0, beta3=0.5, d=1.0, d0=D0),
        case("no item: only decay", "ZeroGradient", N=1.0, A=0.0, beta3=0.75, d=D0, d0=D0),
        case("no memory", "Edge", N=1.0, A=f32(0.1), beta3=0.0, d=D0, d0=D0),
        drawn(
            "D-005", 3, N=signed(-8, 0), A=signed(-8, 0), beta3=fraction(0.9), d=positive(-10, 0), d0=positive(-24, -12)
        ),
    ),
    spec(
        "PPSF-D-006",
        "N:number D:number d_coef:number",
        "d_hat:number",
        lambda i: distance.distance_estimate(i.N, i.D, i.d_coef),
        case("equal statistics: an eighth of a turn", "DefaultOptions", N=1.0, D=1.0, d_coef=1.0),
        case("small ratio: nearly the ratio", "WideMagnitudes", N=f32(1e-9), D=1.0, d_coef=1.0),
        case("large ratio: nearly a quarter turn", "WideMagnitudes", N=f32(1e9), D=1.0, d_coef=1.0),
        case("negative numerator", "", N=-0.5, D=1.0, d_coef=1.0),
        case("no evidence, numerator left over", "Zero Tie", N=0.5, D=0.0, d_coef=1.0),
        case("no evidence, negative numerator", "Zero Tie", N=-0.5, D=0.0, d_coef=1.0),
        case("no evidence at all", "Zero Tie FirstStep", N=0.0, D=0.0, d_coef=1.0),
        case("least evidence", "NearGuard Subnormal", N=0.0, D=TINY, d_coef=1.0),
        case("no numerator", "Zero", N=0.0, D=1.0, d_coef=1.0),
        case("d_coef 2", "", N=0.5, D=1.0, d_coef=2.0),
        case("d_coef 1/2", "", N=1.0, D=1.0, d_coef=0.5),
        drawn("D-006", 3, N=signed(-12, 2), D=positive(-6, 2), d_coef=positive(-1, 1)),
    ),
    spec(
        "PPSF-D-007",
        "d:number d_hat:number",
        ESTIMATE,
        lambda i: _estimate(distance.next_estimate(i.d, i.d_hat)),
        case("a larger candidate", "DefaultOptions", d=D0, d_hat=f32(1e-3)),
        case("a smaller candidate", "", d=0.5, d_hat=0.25),
        case("an equal candidate", "Tie", d=0.5, d_hat=0.5),
        case("larger by one unit", "NearGuard", d=D0, d_hat=GROWN),
        case("smaller by one unit", "NearGuard", d=GROWN, d_hat=D0),
        case("a negative candidate", "", d=D0, d_hat=-1.0),
        case("no evidence", "Zero", d=D0, d_hat=0.0),
    ),
    exact(
        "PPSF-D-008",
        "k:integer prodigy_steps:integer",
        "adapts:boolean releases:boolean",
        _window,
        case("no window: first step", "DefaultOptions FirstStep", k=1, prodigy_steps=0),
        case("no window: a million steps later", "DefaultOptions", k=1_000_000, prodigy_steps=0),
        case("a window of one step", "Edge", k=1, prodigy_steps=1),
        case("after a window of one step", "NearGuard", k=2, prodigy_steps=1),
        case("the step before the last", "NearGuard", k=99, prodigy_steps=100),
        case("the last step of the window", "Tie", k=100, prodigy_steps=100),
        case("the first step after the window", "NearGuard", k=101, prodigy_steps=100),
        case("long after", "", k=5000, prodigy_steps=100),
    ),
    exact(
        "PPSF-D-009",
        "d:number d_prev:number N:number D:number",
        "d:number d_prev:number N:number D:number",
        _frozen,
        case("the estimate had just grown", "", d=0.5, d_prev=0.25, N=1.5, D=2.5),
        case("it had not", "", d=0.5, d_prev=0.5, N=1.5, D=2.5),
        case("statistics of both signs", "", d=1.0, d_prev=0.125, N=-1.5, D=0.75),
        case("nothing was ever estimated", "FirstStep", d=D0, d_prev=D0, N=0.0, D=0.0),
    ),
    spec(
        "PPSF-D-020",
        "d:number d0:number",
        "du:number",
        lambda i: distance.squared_weight(i.d, i.d0),
        case("before the estimate has grown", "DefaultOptions FirstStep", d=D0, d0=D0),
        case("powers of two", "", d=0.5, d0=0.25),
        case("grown far", "WideMagnitudes", d=1.0, d0=D0),
        case("d0 of 1", "Edge", d=0.5, d0=1.0),
        case("d squared is subnormal", "Subnormal", d=2.0**-70, d0=2.0**-70),
        drawn("D-020", 3, d=positive(-20, 2), d0=positive(-24, -12)),
    ),
    spec(
        "PPSF-D-021",
        "d:number d0:number dlr:number safeguard_warmup:boolean",
        "du:number du_s:number",
        _weights,
        case("the first step", "DefaultOptions FirstStep", d=D0, d0=D0, dlr=D0, safeguard_warmup=False),
        case("all exact", "Exact", d=0.5, d0=0.25, dlr=2.0, safeguard_warmup=False),
        case("all exact, guarded", "Exact", d=0.5, d0=0.25, dlr=2.0, safeguard_warmup=True),
        case("warming up", "", d=f32(1e-3), d0=D0, dlr=f32(1e-6), safeguard_warmup=False),
        case(
            "warming up, guarded: the sum does not see dlr",
            "",
            d=f32(1e-3),
            d0=D0,
            dlr=f32(1e-6),
            safeguard_warmup=True,
        ),
        case("step size 0, guarded", "Zero", d=f32(1e-3), d0=D0, dlr=0.0, safeguard_warmup=True),
        drawn(
            "D-021", 2, d=positive(-12, 0), d0=positive(-20, -12), dlr=positive(-12, 0), safeguard_warmup=lambda _: True
        ),
        drawn(
            "D-021 b",
            2,
            d=positive(-12, 0),
            d0=positive(-20, -12),
            dlr=positive(-12, 0),
            safeguard_warmup=lambda _: False,
        ),
    ),
    spec(
        "PPSF-D-022",
        "dlr:number beta3:number",
        "du:number",
        lambda i: distance.share_weight(i.dlr, i.beta3),
        case("the first step", "DefaultOptions FirstStep", dlr=D0, beta3=BETA3),
        case("all exact", "Exact", dlr=0.5, beta3=0.75),
        case("no memory", "Edge", dlr=f32(0.1), beta3=0.0),
        case("beta3 next to 1", "Cancellation", dlr=1.0, beta3=after(1.0, -1)),
        case("step size 0", "Zero", dlr=0.0, beta3=BETA3),
        drawn("D-022", 3, dlr=positive(-20, 0), beta3=fraction(0.9)),
    ),
    spec(
        "PPSF-D-023",
        "a:array",
        "a:array",
        lambda i: distance.amplified(i.a),
        case("roots of both signs", "", a=[4.0, -4.0, 0.25, -0.25, 0.0, 1.0, -1.0]),
        case("small numbers are raised, large ones lowered", "", a=[f32(1e-6), f32(-1e-6), f32(1e6), f32(-1e6)]),
        case("the smallest number of float32", "Subnormal", a=[TINY, -TINY]),
        case("very large", "WideMagnitudes", a=[2.0**126, -(2.0**126)]),
        drawn("D-023", 3, a=array((5,), signed(-20, 10))),
    ),
    spec(
        "PPSF-D-024",
        "N:number A:number beta3:number",
        "N:number",
        lambda i: distance.plain_numerator(i.N, i.A, i.beta3),
        case("the first step", "FirstStep", N=0.0, A=0.0, beta3=BETA3),
        case("a positive item", "Exact", N=1.0, A=0.5, beta3=0.5),
        case("a negative item counts", "Exact", N=1.0, A=-2.0, beta3=0.5),
        case("memory and item cancel", "Cancellation Exact", N=2.0, A=-1.0, beta3=0.5),
        case("no item: only decay", "ZeroGradient", N=1.0, A=0.0, beta3=BETA3),
        drawn("D-024", 3, N=signed(-8, 0), A=signed(-8, 0), beta3=fraction(0.9)),
    ),
    spec(
        "PPSF-D-025",
        "N:number D:number d_coef:number",
        "d_hat:number",
        lambda i: distance.ratio_estimate(i.N, i.D, i.d_coef),
        case("equal statistics", "DefaultOptions Exact", N=1.0, D=1.0, d_coef=1.0),
        case("a ratio above any angle", "Exact", N=8.0, D=2.0, d_coef=1.0),
        case("negative numerator", "Exact", N=-0.5, D=1.0, d_coef=1.0),
        case("d_coef 2", "Exact", N=0.5, D=1.0, d_coef=2.0),
        case("no evidence, numerator left over", "Zero Tie", N=0.5, D=0.0, d_coef=1.0),
        case("no evidence at all", "Zero Tie FirstStep", N=0.0, D=0.0, d_coef=1.0),
        case("least evidence", "NearGuard Subnormal", N=0.0, D=TINY, d_coef=1.0),
        case(
            "d_coef multiplies before it would underflow", "WideMagnitudes", N=f32(1e-30), D=f32(1e-25), d_coef=f32(0.1)
        ),
        drawn("D-025", 3, N=signed(-12, 2), D=positive(-6, 2), d_coef=positive(-1, 1)),
    ),
    spec(
        "PPSF-D-026",
        "d:number d_hat:number d_coef:number",
        "d_hat:number",
        lambda i: distance.limited_estimate(i.d, i.d_hat, i.d_coef),
        case("below the limit", "DefaultOptions", d=1.0, d_hat=1.125, d_coef=1.0),
        case("above the limit", "DefaultOptions", d=1.0, d_hat=1.25, d_coef=1.0),
        case("just below", "NearGuard", d=1.0, d_hat=f32(1.1892), d_coef=1.0),
        case("just above", "NearGuard", d=1.0, d_hat=f32(1.18925), d_coef=1.0),
        case("far above", "WideMagnitudes", d=D0, d_hat=1.0, d_coef=1.0),
        case("negative", "", d=D0, d_hat=-1.0, d_coef=1.0),
        case("a small d_coef plays no part", "Decoy", d=0.5, d_hat=0.53125, d_coef=0.5),
        case("a large d_coef plays no part", "Decoy", d=0.5, d_hat=2.0, d_coef=8.0),
        drawn("D-026", 2, d=positive(-10, 0), d_hat=positive(-2, 3), d_coef=positive(-1, 1)),
        host=1,
    ),
    spec(
        "PPSF-D-027",
        "d_hat:number d0:number",
        "d_hat:number",
        lambda i: distance.floored_estimate(i.d_hat, i.d0),
        case("above the floor", "", d_hat=0.5, d0=D0),
        case("below the floor", "", d_hat=f32(1e-8), d0=D0),
        case("negative", "", d_hat=-1.0, d0=D0),
        case("no evidence", "Zero", d_hat=0.0, d0=D0),
        case("on the floor", "Tie", d_hat=D0, d0=D0),
        case("the floor is d0, not 1e-6", "Edge", d_hat=f32(1e-7), d0=f32(1e-2)),
        case("a floor below 1e-6", "Edge", d_hat=f32(1e-9), d0=f32(1e-8)),
    ),
    spec(
        "PPSF-D-028",
        "d:number d_hat:number beta4:number",
        ESTIMATE,
        lambda i: _estimate(distance.smoothed_estimate(i.d, i.d_hat, i.beta4)),
        case("positive: rises slowly", "Exact", d=0.5, d_hat=1.0, beta4=0.75),
        case("positive: falls slowly", "Exact", d=1.0, d_hat=0.5, beta4=0.75),
        case("negative: rises at once", "Exact", d=0.5, d_hat=1.0, beta4=-0.75),
        case("negative: falls slowly", "Exact", d=1.0, d_hat=0.5, beta4=-0.75),
        case("the candidate is the estimate", "Tie", d=0.5, d_hat=0.5, beta4=-0.75),
        case("beta4 as beta2", "", d=f32(1e-3), d_hat=f32(1e-2), beta4=f32(0.99)),
        case("falls from far", "WideMagnitudes", d=1.0, d_hat=D0, beta4=f32(-0.99)),
        drawn("D-028", 2, d=positive(-6, 0), d_hat=positive(-6, 0), beta4=fraction(0.5)),
        drawn("D-028 b", 2, d=positive(-6, 0), d_hat=positive(-6, 0), beta4=lambda s: -fraction(0.5)(s)),
    ),
    spec(
        "PPSF-D-029",
        "d:number d_hat:number d_max:number d0:number growth_rate:option",
        "d:number d_max:number",
        _capped,
        case(
            "first growth, unlimited",
            "DefaultOptions FirstStep",
            d=D0,
            d_hat=0.5,
            d_max=D0,
            d0=D0,
            growth_rate=math.inf,
        ),
        case(
            "first growth: to the candidate, then by the rate",
            "Tie",
            d=D0,
            d_hat=0.5,
            d_max=D0,
            d0=D0,
            growth_rate=f32(1.02),
        ),
        case("later growth: by the rate", "NearGuard", d=GROWN, d_hat=0.5, d_max=0.25, d0=D0, growth_rate=f32(1.02)),
        case("held down by the rate, the largest is kept", "", d=0.25, d_hat=1.0, d_max=0.5, d0=D0, growth_rate=2.0),
        case(
            "a fallen candidate: goes on towards the largest",
            "",
            d=0.25,
            d_hat=0.125,
            d_max=1.0,
            d0=D0,
            growth_rate=2.0,
        ),
        case("at the largest", "Tie", d=1.0, d_hat=0.5, d_max=1.0, d0=D0, growth_rate=2.0),
        case("no growth allowed", "Edge", d=0.5, d_hat=1.0, d_max=0.5, d0=D0, growth_rate=1.0),
        case("a negative candidate, not grown", "", d=D0, d_hat=-1.0, d_max=D0, d0=D0, growth_rate=2.0),
        drawn(
            "D-029",
            2,
            d=positive(-4, 0),
            d_hat=positive(-4, 2),
            d_max=positive(0, 1),
            d0=lambda _: D0,
            growth_rate=positive(0, 1),
        ),
    ),
    exact(
        "PPSF-D-030",
        "D:number",
        "moves:boolean",
        lambda i: distance.has_evidence(i.D),
        case("evidence", "", D=1.0),
        case("least evidence", "NearGuard Subnormal", D=TINY),
        case("none", "Zero Tie", D=0.0),
        case("much", "WideMagnitudes", D=f32(1e30)),
    ),
    spec(
        "PPSF-D-031",
        "d:number",
        "d:number",
        lambda i: distance.ceiling(i.d),
        case("below", "Exact", d=0.5),
        case("on the ceiling", "Tie Exact", d=2.0**40),
        case("a unit below", "NearGuard Exact", d=after(2.0**40, -1)),
        case("a unit above", "NearGuard Exact", d=after(2.0**40)),
        case("one and a half times the ceiling", "Exact", d=1.5 * 2.0**40),
        case("far above", "WideMagnitudes Exact", d=2.0**100),
    ),
    spec(
        "PPSF-D-032",
        "item:number norm:number items:numbers norms:numbers",
        "item:number norm:number",
        _over_processes,
        case("one process: nothing is added", "Edge", item=-0.5, norm=2.0, items=[], norms=[]),
        case("two processes", "Exact", item=-0.5, norm=2.0, items=[0.75], norms=[1.0]),
        case(
            "a process without gradients has a share of 0",
            "Zero",
            item=0.0,
            norm=0.0,
            items=[f32(0.3)],
            norms=[f32(0.7)],
        ),
        case(
            "sums that are rounded",
            "",
            item=f32(0.1),
            norm=f32(0.3),
            items=[f32(0.7), f32(1e-3)],
            norms=[f32(1.7), f32(0.2)],
        ),
        case(
            "items cancel, norms do not", "Cancellation Exact", item=1.0, norm=1.0, items=[-1.5, 0.5], norms=[1.5, 0.5]
        ),
    ),
    exact(
        "PPSF-D-033",
        "N:option D:option",
        "adapts:boolean",
        lambda i: distance.are_numbers(i.N, i.D),
        case("numbers", "DefaultOptions", N=1.5, D=2.5),
        case("of any size", "WideMagnitudes", N=-1e300, D=1e-300),
        case("nothing yet", "FirstStep Zero", N=0.0, D=0.0),
        case("a numerator that is none", "NonFinite", N=math.nan, D=1.0),
        case("an infinite numerator", "NonFinite", N=-math.inf, D=1.0),
        case("a denominator that is none", "NonFinite", N=1.0, D=math.nan),
        case("an infinite denominator", "NonFinite", N=1.0, D=math.inf),
    ),
)
