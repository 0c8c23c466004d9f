"""Area L, as far as it can be told without an optimizer: creation, counting, modes, bad gradients, fused steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ppsf_conformance.vectors.catalogue.groups import NUMBERS, group, shown
from ppsf_conformance.vectors.draws import f32
from ppsf_conformance.vectors.model import case, exact
from ppsf_ref import Float64, ParamState, State
from ppsf_ref.clauses import lifecycle
from ppsf_ref.clauses.moment import Axes
from ppsf_ref.formats import FORMATS
from ppsf_ref.state import GroupState

#: The largest number of float32 whose squares are summed.
LARGEST_SQUARED = 2.0**56 - 2.0**32
WEIGHTS = np.array([1.0, -2.0, f32(0.3)])
WIDE = np.arange(24.0).reshape(2, 12) - 5
KEPT = ("z", "m", "v", "v_row", "v_col", "rms_sq", "x0", "s")
FRESH = {
    "y": WEIGHTS, "dr": None, "dc": None, "keeps_z": True, "keeps_m": False, "keeps_s": True, "keeps_rms_sq": False,
    "adapts": True, "stride": 11, "x0_format": "float32", "use_focus": False, "has_state": False,
}  # fmt: skip


def _created(i: Any) -> dict[str, Any]:
    axes = None if i.dr is None else Axes(i.dr, i.dc)
    keeps = lifecycle.Keeps(i.keeps_z, i.keeps_m, i.keeps_s, i.keeps_rms_sq)
    old = ParamState(i.y)
    if i.has_state:
        old = ParamState(i.y, z=i.y + 1, v=i.y * i.y)
    focus = (True,) if i.use_focus else ()
    p = lifecycle.created(old, axes, keeps, i.adapts, i.stride, FORMATS[i.x0_format], Float64(), *focus)
    return {name: getattr(p, name) for name in KEPT}


def _mode(i: Any) -> bool:
    return lifecycle.mode_after(i.train_mode, i.call, *(() if i.averages else (False,)))


def _added(i: Any) -> dict[str, Any]:
    first = group(i.d, i.d_prev, i.N, i.D, i.W, i.k)
    return shown(lifecycle.added_group(group(i.d0, i.d0), first, i.split_groups))


def _state(weights: list[list[float]], d: float) -> State:
    def one(row: list[float]) -> GroupState:
        params = tuple(ParamState(np.float64(w)) for w in row)
        return GroupState(d, d, 0.0, 0.0, weight_sum=0.0, k=1, params=params)

    return State(tuple(map(one, weights)))


def _moved_alone(i: Any) -> dict[str, Any]:
    left = lifecycle.moved_alone(_state(i.now, i.d), _state(i.ordinary, i.d_ordinary), (i.group, i.param))
    weights = [np.array([float(p.y) for p in g.params]) for g in left.groups]
    return {"weights": weights, "d": left.groups[i.group].d}


def _steps(i: Any) -> list[list[list[int]]]:
    calls = [None if call is None else (call[0], call[1]) for call in i.calls]
    return [[list(place) for place in step] for step in lifecycle.fused_steps(calls)]


def _finite(i: Any) -> bool:
    return lifecycle.all_finite([np.asarray(g, np.float64) for g in i.gradients])


def _ends(i: Any) -> bool:
    return lifecycle.ends_step(i.call, i.changes_mode)


NOW, ORDINARY = [[1.0, 2.0], [3.0]], [[1.5, 2.5], [3.5]]
TWO, PAUSE = [[0, 0], [0, 1]], [None]

LIFECYCLE = (
    exact(
        "PPSF-L-001",
        "y:raw dr:integer dc:integer keeps_z:boolean keeps_m:boolean keeps_s:boolean keeps_rms_sq:boolean "
        "adapts:boolean stride:integer x0_format:text use_focus:boolean has_state:boolean",
        " ".join(f"{name}:raw" for name in KEPT),
        _created,
        case("a vector", "DefaultOptions FirstStep", **FRESH),
        case("a matrix, factored", "FirstStep Factored", **FRESH | {"y": WIDE, "dr": 1, "dc": 0}),
        case("factored over the first axis", "FirstStep Factored", **FRESH | {"y": WIDE, "dr": 0, "dc": 1}),
        case("weights of 0", "FirstStep Zero", **FRESH | {"y": np.zeros(12)}),
        case("no dimension", "FirstStep Edge", **FRESH | {"y": np.float64(0.5)}),
        case("no elements", "FirstStep Edge", **FRESH | {"y": np.zeros((0, 3))}),
        case("outside the window: no sample", "FirstStep", **FRESH | {"adapts": False}),
        case("the pool begins to adapt: only the sample is missing", "", **FRESH | {"has_state": True}),
        case("state is there, the pool does not adapt", "", **FRESH | {"has_state": True, "adapts": False}),
        case("without averaging, with a first moment", "FirstStep", **FRESH | {"keeps_z": False, "keeps_m": True}),
        case("every element sampled", "FirstStep", **FRESH | {"y": WIDE, "stride": 1}),
        case("sample in bfloat16", "FirstStep", **FRESH | {"x0_format": "bfloat16"}),
        case("FOCUS: the average starts at the weights", "FirstStep", **FRESH | {"use_focus": True}),
        case("Muon: one number", "FirstStep", **FRESH | {"y": WIDE, "keeps_rms_sq": True}),
        case("SPEED of revision 2.0: no sum of gradients", "FirstStep", **FRESH | {"keeps_s": False}),
    ),
    exact(
        "PPSF-L-002",
        "k:integer",
        "k:integer",
        lambda i: lifecycle.next_count(i.k),
        case("after the first step", "FirstStep", k=1),
        case("later", "", k=99),
        case("beyond 2^31", "Edge", k=2**31 - 1),
    ),
    exact(
        "PPSF-L-003",
        "train_mode:boolean call:text averages:boolean",
        "train_mode:boolean",
        _mode,
        case("eval in train mode", "", train_mode=True, call="eval", averages=True),
        case("eval again", "", train_mode=False, call="eval", averages=True),
        case("train in eval mode", "", train_mode=False, call="train", averages=True),
        case("train again", "", train_mode=True, call="train", averages=True),
        case("eval where nothing is averaged: there is one mode", "", train_mode=True, call="eval", averages=False),
    ),
    exact(
        "PPSF-L-004",
        "gradients:arrays",
        "runs:boolean",
        _finite,
        case("all finite", "", gradients=[[1.0, -2.0], [0.0]]),
        case("a NaN", "NonFinite", gradients=[[1.0, -2.0], [math.nan]]),
        case("an infinity", "NonFinite", gradients=[[1.0, math.inf], [0.0]]),
        case("a negative infinity in the first", "NonFinite", gradients=[[-math.inf], [0.0]]),
        case("large and small numbers", "WideMagnitudes", gradients=[[1e16, -1e-300], [-0.0]]),
        case("no gradient at all", "Edge", gradients=[]),
        case("a gradient without elements", "Edge", gradients=[[]]),
        case("too large to be squared", "Overflow", gradients=[[1.0], [2.0**56, 0.0]]),
        case("too large, negative", "Overflow", gradients=[[-(2.0**56)]]),
        case("just small enough", "NearGuard", gradients=[[LARGEST_SQUARED, -LARGEST_SQUARED]]),
    ),
    exact(
        "PPSF-L-007",
        f"{NUMBERS} d0:option split_groups:boolean",
        NUMBERS,
        _added,
        case(
            "a pool of its own",
            "DefaultOptions",
            d=0.5,
            d_prev=0.25,
            N=1.0,
            D=2.0,
            W=3.0,
            k=7,
            d0=f32(1e-6),
            split_groups=True,
        ),
        case(
            "a member of the one pool",
            "",
            d=0.5,
            d_prev=0.25,
            N=1.0,
            D=2.0,
            W=3.0,
            k=7,
            d0=f32(1e-6),
            split_groups=False,
        ),
        case(
            "before the first step",
            "FirstStep",
            d=0.5,
            d_prev=0.5,
            N=0.0,
            D=0.0,
            W=0.0,
            k=1,
            d0=0.5,
            split_groups=False,
        ),
    ),
    exact(
        "PPSF-L-008",
        "now:arrays ordinary:arrays d:option d_ordinary:option group:integer param:integer",
        "weights:arrays d:option",
        _moved_alone,
        case(
            "the first parameter alone moves", "", now=NOW, ordinary=ORDINARY, d=0.5, d_ordinary=0.75, group=0, param=0
        ),
        case("the second", "", now=NOW, ordinary=ORDINARY, d=0.5, d_ordinary=0.75, group=0, param=1),
        case("one of another group", "", now=NOW, ordinary=ORDINARY, d=0.5, d_ordinary=0.75, group=1, param=0),
    ),
    exact(
        "PPSF-L-009",
        "calls:places",
        "steps:places",
        _steps,
        case("step() ends it", "", calls=[*TWO, *PAUSE]),
        case("running", "", calls=TWO),
        case("a parameter comes again", "", calls=[*TWO, [0, 1]]),
        case("in another order", "", calls=[*TWO, *PAUSE, *reversed(TWO), *PAUSE]),
        case("some have no gradient", "", calls=[[0, 1], *PAUSE, *TWO, *PAUSE]),
        case("step() twice: no empty step", "Edge", calls=[*TWO, *PAUSE, *PAUSE]),
        case("nothing was called", "Edge", calls=[]),
        case("step() alone", "Edge", calls=PAUSE),
        case("one parameter, again and again", "Edge", calls=[[0, 0], [0, 0], [0, 0]]),
        case("seven parameters", "", calls=[[0, j] for j in range(7)]),
    ),
    exact(
        "PPSF-L-010",
        "gradient:raw",
        "sits_out:boolean",
        lambda i: bool(lifecycle.sits_out(i.gradient)),
        case("finite", "", gradient=(1.0, -2.0)),
        case("a NaN", "NonFinite", gradient=(1.0, math.nan)),
        case("an infinity", "NonFinite", gradient=(math.inf, 1.0)),
        case("a negative infinity", "NonFinite", gradient=(-math.inf,)),
        case("no elements", "Edge", gradient=()),
        case("too large to be squared", "Overflow", gradient=(1.0, 2.0**56)),
        case("just small enough", "NearGuard", gradient=(-LARGEST_SQUARED,)),
    ),
    exact(
        "PPSF-L-011",
        "call:text changes_mode:boolean",
        "ends:boolean",
        _ends,
        case("state_dict()", "", call="saved", changes_mode=False),
        case("copy.deepcopy", "", call="deepcopy", changes_mode=False),
        case("pickle", "", call="pickle", changes_mode=False),
        case("add_param_group()", "", call="add_group", changes_mode=False),
        case("eval() in train mode", "", call="eval", changes_mode=True),
        case("eval() in eval mode", "", call="eval", changes_mode=False),
        case("train() in train mode", "", call="train", changes_mode=False),
    ),
    exact(
        "PPSF-L-012",
        "gradient:raw scale:option",
        "gradient:array",
        lambda i: {"gradient": lifecycle.unscaled(i.gradient, i.scale)},
        case("a power of two", "Exact", gradient=(4096.0, -2.0, 0.0), scale=4096.0),
        case("a small one", "Exact", gradient=(1.0, -0.25), scale=0.25),
        case("no scale", "DefaultOptions", gradient=(4096.0, -2.0), scale=None),
        case("what is not finite stays so", "NonFinite", gradient=(math.inf, math.nan), scale=2.0),
    ),
    exact(
        "PPSF-L-013",
        "found_inf:option",
        "skipped:boolean",
        lambda i: lifecycle.skipped(i.found_inf),
        case("none was found", "Zero", found_inf=0.0),
        case("one was found", "", found_inf=1.0),
        case("several devices found one", "", found_inf=3.0),
    ),
)
