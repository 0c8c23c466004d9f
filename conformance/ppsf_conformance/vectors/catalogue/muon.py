"""Area M: Muon."""

from __future__ import annotations

from typing import Any

from ppsf_conformance.vectors.draws import array, drawn, f32, fraction, positive, signed
from ppsf_conformance.vectors.model import case, exact, spec
from ppsf_ref import numbers
from ppsf_ref.clauses import muon
from ppsf_ref.newton_schulz import Turned

BETA2 = f32(0.99)


def _norm(x: Any) -> Any:
    return numbers.sqrt(numbers.total(x * x))


def _shortened(i: Any) -> Any:
    return muon.shortened(Turned(i.X, _norm(i.X), numbers.total(i.G * i.X))).o


def _memory(i: Any) -> Any:
    return muon.size_memory(i.q, muon.Direction(i.o, _norm(i.o)), i.beta2, i.d, i.d_prev)


MUON = (
    exact(
        "PPSF-M-014",
        "shape:shape applies:boolean",
        "moved_by_muon:boolean",
        lambda i: muon.moves(tuple(i.shape), i.applies),
        case("a matrix", "", shape=(4, 5), applies=True),
        case("a vector", "Edge", shape=(64,), applies=True),
        case("no dimension", "Edge", shape=(), applies=True),
        case("a convolution kernel", "", shape=(8, 3, 3, 3), applies=True),
        case("a matrix of one element", "Edge", shape=(1, 1), applies=True),
        case("a matrix with one column", "Edge", shape=(5, 1), applies=True),
        case("a group without it", "DefaultOptions", shape=(4, 5), applies=False),
    ),
    spec(
        "PPSF-M-015",
        "G:array",
        "X:array",
        lambda i: muon.orthogonalized(i.G).matrix,
        case("a diagonal matrix", "", G=((1.0, 0.0), (0.0, 0.5))),
        case("wide", "", G=((1.0, 2.0, -1.0), (0.5, -0.25, 1.0))),
        case("tall", "", G=((1.0, 0.5), (2.0, -0.25), (-1.0, 1.0))),
        case(
            "three dimensions: the first makes the rows", "", G=(((1.0, 2.0), (0.5, -1.0)), ((0.25, 1.0), (-2.0, 1.5)))
        ),
        case(
            "three dimensions, two rows of six",
            "",
            G=(((1.0, 2.0), (0.5, -1.0), (0.25, 1.0)), ((-2.0, 1.5), (0.75, 0.5), (1.0, -1.0))),
        ),
        case("one row", "Edge", G=((3.0, 4.0),)),
        case("zeros", "ZeroGradient", G=((0.0, 0.0), (0.0, 0.0))),
        case("one row of zeros", "ZeroGradient", G=((1.0, 2.0), (0.0, 0.0))),
        case("a gradient as small as what is added to its norm", "", G=((f32(1e-7), 0.0), (0.0, f32(5e-8)))),
        case("a gradient of 1e-4", "", G=((f32(1e-4), f32(2e-4)), (f32(-1e-4), f32(5e-5)))),
        drawn("M-015", 3, G=array((3, 4), signed(-3, 1))),
        arithmetics=("float32",),
    ),
    spec(
        "PPSF-M-016",
        "G:array X:array",
        "o:array",
        _shortened,
        case("a large gradient: left as it is", "", G=((4.0, 0.0), (0.0, 4.0)), X=((1.0, 0.0), (0.0, 1.0))),
        case("a small gradient: shortened", "", G=((0.125, 0.0), (0.0, 0.25)), X=((1.0, 0.0), (0.0, 1.0))),
        case(
            "an inner product between 1 and 2: left as it is",
            "",
            G=((0.75, 0.0), (0.0, 0.75)),
            X=((1.0, 0.0), (0.0, 1.0)),
        ),
        case("an inner product of 1", "Tie", G=((0.5, 0.0), (0.0, 0.5)), X=((1.0, 0.0), (0.0, 1.0))),
        case("zeros", "ZeroGradient", G=((0.0, 0.0), (0.0, 0.0)), X=((0.0, 0.0), (0.0, 0.0))),
        case("a gradient of 1e-6", "WideMagnitudes", G=((f32(1e-6), f32(2e-6)),), X=((0.5, f32(0.8)),)),
        drawn("M-016", 2, G=array((2, 3), positive(-8, -5)), X=array((2, 3), positive(-2, -1))),
    ),
    spec(
        "PPSF-M-017",
        "q:number o:array beta2:number d:number d_prev:number",
        "q:number",
        _memory,
        case(
            "the first step",
            "FirstStep",
            q=0.0,
            o=((0.5, -0.5), (0.5, 0.5)),
            beta2=BETA2,
            d=f32(1e-6),
            d_prev=f32(1e-6),
        ),
        case("a later step", "", q=0.25, o=((1.0, -0.5), (0.25, 0.5)), beta2=BETA2, d=f32(1e-3), d_prev=f32(1e-3)),
        case("the estimate has doubled", "", q=0.25, o=((1.0, -0.5), (0.25, 0.5)), beta2=0.5, d=1.0, d_prev=0.5),
        case(
            "nothing moved: the least size",
            "ZeroGradient",
            q=0.0,
            o=((0.0, 0.0), (0.0, 0.0)),
            beta2=0.5,
            d=1.0,
            d_prev=1.0,
        ),
        case(
            "less than the least size",
            "NearGuard",
            q=f32(1e-16),
            o=((f32(5e-9), f32(5e-9)),),
            beta2=0.5,
            d=1.0,
            d_prev=1.0,
        ),
        case("no memory", "Edge", q=4.0, o=((1.0, -0.5), (0.25, 0.5)), beta2=0.0, d=1.0, d_prev=0.5),
        drawn(
            "M-017",
            2,
            q=positive(-6, 0),
            o=array((2, 3), signed(-3, 0)),
            beta2=fraction(0.9),
            d=positive(-6, -5),
            d_prev=positive(-8, -7),
        ),
        host=2,
    ),
    spec(
        "PPSF-M-018",
        "o:array q:number",
        "u:array",
        lambda i: muon.direction(i.o, i.q),
        case("ordinary numbers", "", o=((0.5, -0.5), (0.25, 1.0)), q=f32(0.3)),
        case("the first step", "FirstStep", o=((0.5, -0.5), (0.5, 0.5)), q=f32(0.0025)),
        case("the least size", "ZeroGradient", o=((0.0, 0.0), (0.0, 0.0)), q=f32(1e-18)),
        case("a memory near the square of what is added", "WideMagnitudes", o=((f32(1e-8), f32(-3e-8)),), q=f32(1e-16)),
        case("a memory of 1", "", o=((0.5, -0.5),), q=1.0),
        drawn("M-018", 2, o=array((2, 3), signed(-3, 0)), q=positive(-8, 0)),
    ),
)
