"""Areas Z and W: averaging and weight decay."""

from __future__ import annotations

from typing import Any

from ppsf_conformance.vectors.draws import after, array, drawn, f32, fraction, integer, positive, signed
from ppsf_conformance.vectors.model import case, exact, spec
from ppsf_ref.clauses import average

BETA1 = f32(0.9)
DLR = f32(1e-3)
Y, Z, U = (1.0, -2.0, f32(0.1)), (0.5, -2.5, f32(0.3)), (1.0, f32(-0.3), 0.0)
MOVE = "y:array z:array u:array c:number dlr:number beta1:number"
#: Draws of weights and of what moves them.
WEIGHTS, STEP = array((4,), signed(-3, 1)), array((4,), signed(-3, 1))


def _averaging(i: Any) -> dict[str, Any]:
    found = average.averaging(i.W, i.dlr)
    return {"c": found.c, "W": found.weight_sum}


def _largest(i: Any) -> dict[str, Any]:
    found = average.averaging_by_largest(i.W, i.lr_max, i.dlr, i.k, i.r, i.weight_lr_power)
    return {"c": found.c, "W": found.weight_sum, "lr_max": found.lr_max}


def _decayed_update(i: Any) -> Any:
    return average.decayed_update(average.Decaying(i.y, i.z, i.u), i.weight_decay, i.dlr, i.c, i.beta1).u


def _decay(i: Any) -> dict[str, Any]:
    lost = average.decay(average.Decaying(i.y, i.z, i.u), i.weight_decay, i.dlr, i.c, i.beta1).lost
    assert lost is not None
    return {"lost_by_z": lost.z, "lost_by_y": lost.y}


AVERAGING = (
    spec(
        "PPSF-Z-001",
        "W:number dlr:number",
        "c:number W:number",
        _averaging,
        case("the first step: all of the average", "FirstStep Exact", W=0.0, dlr=0.5),
        case("the second equal step: half", "Exact", W=0.25, dlr=0.5),
        case("after many equal steps", "", W=f32(1e-4), dlr=DLR),
        case("the step size has grown", "WideMagnitudes", W=f32(1e-12), dlr=1.0),
        case("it has shrunk", "WideMagnitudes", W=1.0, dlr=f32(1e-8)),
        case("no step size: no weight", "Zero", W=0.25, dlr=0.0),
        case("nothing at all", "Zero Tie", W=0.0, dlr=0.0),
        drawn("Z-001", 3, W=positive(-16, 0), dlr=positive(-8, 0)),
    ),
    spec(
        "PPSF-Z-002",
        MOVE,
        "y:array",
        lambda i: average.next_y(i.y, i.z, i.u, i.c, i.dlr, i.beta1),
        case("the first step: y goes to z", "FirstStep", y=Y, z=Y, u=U, c=1.0, dlr=DLR, beta1=BETA1),
        case("a later step", "", y=Y, z=Z, u=U, c=f32(0.1), dlr=DLR, beta1=BETA1),
        case("all exact", "Exact", y=(1.0, -2.0), z=(3.0, 2.0), u=(1.0, -4.0), c=0.5, dlr=0.25, beta1=0.5),
        case("no averaging weight", "Zero", y=Y, z=Z, u=U, c=0.0, dlr=DLR, beta1=BETA1),
        case("no step size: only the way to z", "Zero", y=Y, z=Z, u=U, c=0.25, dlr=0.0, beta1=BETA1),
        case("no update", "ZeroGradient", y=Y, z=Z, u=(0.0, 0.0, 0.0), c=0.25, dlr=DLR, beta1=BETA1),
        case(
            "the step undoes the weight", "Cancellation Exact", y=(1.0,), z=(1.0,), u=(4.0,), c=1.0, dlr=0.25, beta1=0.5
        ),
        case(
            "a long step: every part of its share is seen",
            "",
            y=Y,
            z=Z,
            u=(100.0, -50.0, 25.0),
            c=f32(0.3),
            dlr=1.0,
            beta1=BETA1,
        ),
        case(
            "a step below the weights' last bit",
            "WideMagnitudes",
            y=(1.0, f32(1e6)),
            z=(1.0, f32(1e6)),
            u=(1.0, 1.0),
            c=f32(1e-3),
            dlr=f32(1e-9),
            beta1=BETA1,
        ),
        drawn("Z-002", 3, y=WEIGHTS, z=WEIGHTS, u=STEP, c=fraction(0.0), dlr=positive(-6, 0), beta1=fraction(0.5)),
    ),
    spec(
        "PPSF-Z-003",
        "z:array u:array dlr:number",
        "z:array",
        lambda i: average.next_z(i.z, i.u, i.dlr),
        case("all exact", "Exact", z=(1.0, -2.0), u=(4.0, -8.0), dlr=0.25),
        case("ordinary numbers", "", z=Z, u=U, dlr=DLR),
        case("no step size", "Zero", z=Z, u=U, dlr=0.0),
        case("no update", "ZeroGradient", z=Z, u=(0.0, 0.0, 0.0), dlr=DLR),
        case("the step undoes the weight", "Cancellation Exact", z=(1.0,), u=(4.0,), dlr=0.25),
        case("a step below the last bit", "WideMagnitudes", z=(f32(1e6),), u=(1.0,), dlr=f32(1e-9)),
        drawn("Z-003", 3, z=WEIGHTS, u=STEP, dlr=positive(-6, 0)),
    ),
    spec(
        "PPSF-Z-004",
        "y:array z:array beta1:number",
        "x:array",
        lambda i: average.averaged(i.y, i.z, i.beta1),
        case("the default beta", "DefaultOptions", y=Y, z=Z, beta1=BETA1),
        case("all exact", "Exact", y=(1.0, -2.0), z=(3.0, 2.0), beta1=0.5),
        case("y is z", "Tie", y=Y, z=Y, beta1=BETA1),
        case("a small beta reaches far", "WideMagnitudes", y=(1.0, -2.0), z=(3.0, 2.0), beta1=f32(0.01)),
        case("zeros", "Zero", y=(0.0, 0.0), z=(0.0, 0.0), beta1=BETA1),
        drawn("Z-004", 3, y=WEIGHTS, z=WEIGHTS, beta1=fraction(0.5)),
    ),
    spec(
        "PPSF-Z-005",
        "x:array z:array beta1:number",
        "y:array",
        lambda i: average.interpolated(i.x, i.z, i.beta1),
        case("the default beta", "DefaultOptions", x=Y, z=Z, beta1=BETA1),
        case("all exact", "Exact", x=(1.0, -2.0), z=(3.0, 2.0), beta1=0.5),
        case("x is z", "Tie", x=Y, z=Y, beta1=BETA1),
        case("three quarters stay", "Exact", x=(1.0, -2.0), z=(3.0, 2.0), beta1=0.75),
        case("zeros", "Zero", x=(0.0, 0.0), z=(0.0, 0.0), beta1=BETA1),
        drawn("Z-005", 3, x=WEIGHTS, z=WEIGHTS, beta1=fraction(0.5)),
    ),
    exact(
        "PPSF-Z-006",
        "W:option W_new:option moved:booleans",
        "W:option",
        lambda i: average.next_weight_sum(i.W, i.W_new, i.moved),
        case("all moved", "", W=0.25, W_new=0.5, moved=[True, True]),
        case("the last one had no gradient", "", W=0.25, W_new=0.5, moved=[True, False]),
        case("the first one had none", "", W=0.25, W_new=0.5, moved=[False, True]),
        case("none moved", "", W=0.25, W_new=0.5, moved=[False, False]),
        case("a group without parameters", "Edge", W=0.25, W_new=0.5, moved=[]),
    ),
    spec(
        "PPSF-Z-010",
        "W:number lr_max:number dlr:number k:count r:option weight_lr_power:option",
        "c:number W:number lr_max:number",
        _largest,
        case("the first step", "DefaultOptions FirstStep", W=0.0, lr_max=0.0, dlr=0.5, k=1, r=0.0, weight_lr_power=2.0),
        case("the second equal step", "DefaultOptions", W=0.25, lr_max=0.5, dlr=0.5, k=2, r=0.0, weight_lr_power=2.0),
        case(
            "the step size has fallen: the largest counts",
            "DefaultOptions",
            W=0.25,
            lr_max=0.5,
            dlr=0.25,
            k=2,
            r=0.0,
            weight_lr_power=2.0,
        ),
        case("weights that rise with k", "", W=0.25, lr_max=0.5, dlr=0.5, k=3, r=1.0, weight_lr_power=2.0),
        case("a root of k", "", W=f32(1e-3), lr_max=DLR, dlr=DLR, k=10, r=0.5, weight_lr_power=2.0),
        case("power 0: step sizes play no part", "Edge", W=3.0, lr_max=0.5, dlr=0.25, k=4, r=0.0, weight_lr_power=0.0),
        case("power 1", "", W=0.25, lr_max=0.5, dlr=0.25, k=4, r=0.0, weight_lr_power=1.0),
        case("power 0 of step size 0", "Zero Edge", W=0.0, lr_max=0.0, dlr=0.0, k=1, r=0.0, weight_lr_power=0.0),
        case("no step size yet: no weight", "Zero Tie", W=0.0, lr_max=0.0, dlr=0.0, k=1, r=0.0, weight_lr_power=2.0),
        drawn(
            "Z-010",
            3,
            W=positive(-8, 0),
            lr_max=positive(-6, -2),
            dlr=positive(-6, -2),
            k=integer(2, 40),
            r=lambda _: 1.0,
            weight_lr_power=lambda _: 2.0,
        ),
    ),
    spec(
        "PPSF-Z-011",
        "c:number beta1:number C:option",
        "c:number",
        lambda i: average.refined(i.c, i.beta1, i.C),
        case("forgets faster", "", c=f32(0.01), beta1=BETA1, C=50.0),
        case("cut at 1", "", c=0.5, beta1=BETA1, C=50.0),
        case("exactly 1", "Tie Exact", c=0.5, beta1=0.5, C=4.0),
        case("changes nothing", "Exact", c=f32(0.3), beta1=0.5, C=2.0),
        case("the first step keeps some of the initial weights", "FirstStep", c=1.0, beta1=BETA1, C=8.0),
        case("no weight", "Zero", c=0.0, beta1=BETA1, C=8.0),
        drawn("Z-011", 2, c=fraction(0.0), beta1=fraction(0.5), C=positive(0, 3)),
    ),
    spec(
        "PPSF-Z-012",
        "y:array u:array dlr:number",
        "y:array",
        lambda i: average.without_average(i.y, i.u, i.dlr),
        case("all exact", "Exact", y=(1.0, -2.0), u=(4.0, -8.0), dlr=0.25),
        case("ordinary numbers", "", y=Y, u=U, dlr=DLR),
        case("no step size", "Zero", y=Y, u=U, dlr=0.0),
        case("the step undoes the weight", "Cancellation Exact", y=(1.0,), u=(4.0,), dlr=0.25),
        drawn("Z-012", 3, y=WEIGHTS, u=STEP, dlr=positive(-6, 0)),
    ),
    spec(
        "PPSF-W-001",
        "u:array y:array z:array weight_decay:number dlr:number c:number beta1:number",
        "u:array",
        _decayed_update,
        case(
            "all exact",
            "Exact",
            u=(1.0, -1.0),
            y=(2.0, 4.0),
            z=(8.0, 8.0),
            weight_decay=0.25,
            dlr=0.5,
            c=0.5,
            beta1=0.5,
        ),
        case("a usual decay", "", u=U, y=Y, z=Z, weight_decay=f32(0.01), dlr=DLR, c=f32(0.1), beta1=BETA1),
        case("no decay", "DefaultOptions", u=U, y=Y, z=Z, weight_decay=0.0, dlr=DLR, c=f32(0.1), beta1=BETA1),
        case(
            "weights of 0 do not decay",
            "Zero",
            u=U,
            y=(0.0, 0.0, 0.0),
            z=Z,
            weight_decay=f32(0.1),
            dlr=DLR,
            c=f32(0.1),
            beta1=BETA1,
        ),
        case(
            "taken at y, whatever step size, average and z are",
            "Decoy",
            u=(0.0,),
            y=(1.0,),
            z=(-64.0,),
            weight_decay=0.5,
            dlr=8.0,
            c=0.0,
            beta1=0.25,
        ),
        case(
            "decay and update cancel",
            "Cancellation Exact",
            u=(-0.5,),
            y=(1.0,),
            z=(0.0,),
            weight_decay=0.5,
            dlr=0.5,
            c=0.5,
            beta1=0.5,
        ),
        drawn(
            "W-001",
            2,
            u=STEP,
            y=WEIGHTS,
            z=WEIGHTS,
            weight_decay=positive(-6, -1),
            dlr=positive(-6, 0),
            c=fraction(0.0),
            beta1=fraction(0.5),
        ),
    ),
    spec(
        "PPSF-W-002",
        "u:array y:array z:array weight_decay:number dlr:number c:number beta1:number",
        "lost_by_z:array lost_by_y:array",
        _decay,
        case(
            "all exact",
            "Exact",
            u=(1.0, -1.0),
            y=(2.0, 4.0),
            z=(8.0, 8.0),
            weight_decay=0.25,
            dlr=0.5,
            c=0.5,
            beta1=0.5,
        ),
        case("a usual decay", "", u=U, y=Y, z=Z, weight_decay=f32(0.01), dlr=DLR, c=f32(0.1), beta1=BETA1),
        case(
            "the first step: y loses as much as z",
            "FirstStep",
            u=U,
            y=Y,
            z=Z,
            weight_decay=f32(0.01),
            dlr=DLR,
            c=1.0,
            beta1=BETA1,
        ),
        case(
            "weights of 0 do not decay",
            "Zero",
            u=U,
            y=(0.0, 0.0, 0.0),
            z=Z,
            weight_decay=f32(0.1),
            dlr=DLR,
            c=f32(0.1),
            beta1=BETA1,
        ),
        case(
            "not multiplied by the step size",
            "Decoy",
            u=(0.0,),
            y=(1.0,),
            z=(-64.0,),
            weight_decay=0.5,
            dlr=8.0,
            c=0.0,
            beta1=0.25,
        ),
        drawn(
            "W-002",
            2,
            u=STEP,
            y=WEIGHTS,
            z=WEIGHTS,
            weight_decay=positive(-6, -1),
            dlr=positive(-6, 0),
            c=fraction(0.0),
            beta1=fraction(0.5),
        ),
    ),
    spec(
        "PPSF-W-010",
        "y:array weight_decay:number dlr:number by_lr:boolean",
        "y:array",
        lambda i: average.decayed_weights(i.y, i.weight_decay, i.dlr, i.by_lr),
        case("by the step size", "Exact", y=(2.0, -4.0), weight_decay=0.5, dlr=0.25, by_lr=True),
        case("whole", "Exact", y=(2.0, -4.0), weight_decay=0.5, dlr=0.25, by_lr=False),
        case("a usual decay", "DefaultOptions", y=Y, weight_decay=f32(0.01), dlr=DLR, by_lr=True),
        case("a usual decay, whole", "", y=Y, weight_decay=f32(0.01), dlr=DLR, by_lr=False),
        case("no step size: no decay", "Zero", y=Y, weight_decay=f32(0.01), dlr=0.0, by_lr=True),
        case("no step size: whole all the same", "Zero Decoy", y=Y, weight_decay=f32(0.01), dlr=0.0, by_lr=False),
        drawn("W-010", 2, y=WEIGHTS, weight_decay=positive(-6, -1), dlr=positive(-6, 0), by_lr=lambda _: True),
    ),
    spec(
        "PPSF-W-011",
        "g:array y:array weight_decay:number",
        "g:array",
        lambda i: average.coupled_gradient(i.g, i.y, i.weight_decay),
        case("all exact", "Exact", g=(1.0, -1.0), y=(2.0, 4.0), weight_decay=0.25),
        case("a usual decay", "", g=U, y=Y, weight_decay=f32(0.01)),
        case(
            "gradient of zeros: decay is all of it",
            "ZeroGradient",
            g=(0.0, 0.0),
            y=(1.0, f32(-0.3)),
            weight_decay=f32(0.01),
        ),
        case("gradient and decay cancel", "Cancellation Exact", g=(-0.5,), y=(1.0,), weight_decay=0.5),
        case(
            "next to the gradient's last bit", "WideMagnitudes", g=(f32(1e6),), y=(after(1.0),), weight_decay=f32(1e-4)
        ),
        drawn("W-011", 3, g=STEP, y=WEIGHTS, weight_decay=positive(-6, -1)),
    ),
)
