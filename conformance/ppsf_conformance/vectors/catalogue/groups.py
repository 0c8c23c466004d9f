"""Area G: groups and pools."""

from __future__ import annotations

from typing import Any

from ppsf_conformance.vectors.draws import drawn, f32, positive
from ppsf_conformance.vectors.model import case, exact, spec
from ppsf_ref import GroupState
from ppsf_ref.clauses import groups

D0 = f32(1e-6)
OWN = {"d": 0.5, "d_prev": 0.25, "N": 1.0, "D": 2.0, "W": 3.0, "k": 4}
POOL = {"pool_d": 1.5, "pool_d_prev": 1.25, "pool_N": -1.0, "pool_D": 8.0, "pool_W": 7.0, "pool_k": 9}
NUMBERS = "d:option d_prev:option N:option D:option W:option k:integer"
POOLED = " ".join(f"pool_{entry}" for entry in NUMBERS.split())


def group(d: Any, d_prev: Any = 0.0, N: Any = 0.0, D: Any = 0.0, W: Any = 0.0, k: int = 1) -> GroupState:
    """The numbers of a group."""
    return GroupState(d, d_prev, N, D, weight_sum=W, k=k, params=())


def shown(found: GroupState) -> dict[str, Any]:
    """The same under the names of the law."""
    numbers = {"d": found.d, "d_prev": found.d_prev, "N": found.d_numerator, "D": found.d_denom}
    return {**numbers, "W": found.weight_sum, "k": found.k}


def _estimate(i: Any) -> Any:
    return groups.step_estimate(i.own, [group(d, k=k) for d, k in zip(i.d, i.k, strict=True)], i.mean)


def _joined(i: Any) -> dict[str, Any]:
    own = group(i.d, i.d_prev, i.N, i.D, i.W, i.k)
    pool = group(i.pool_d, i.pool_d_prev, i.pool_N, i.pool_D, i.pool_W, i.pool_k)
    return shown(groups.joined(own, pool, i.position))


def _pools(i: Any) -> list[list[int]]:
    return [list(pool) for pool in groups.pools(i.count, i.split_groups)]


GROUPS = (
    exact(
        "PPSF-G-001",
        "gradient:raw lr:option",
        "takes_part:boolean",
        lambda i: groups.taking_part(i.gradient, i.lr) is not None,
        case("a gradient and a learning rate", "DefaultOptions", gradient=(1.0, -2.0), lr=1.0),
        case("no gradient", "", gradient=None, lr=1.0),
        case("a gradient of zeros is one", "ZeroGradient", gradient=(0.0, 0.0), lr=1.0),
        case("a gradient without elements is one", "Edge", gradient=(), lr=1.0),
        case("lr is 0", "Zero", gradient=(1.0, -2.0), lr=0.0),
        case("neither", "Zero", gradient=None, lr=0.0),
        case("a tiny lr is one", "NearGuard", gradient=(1.0, -2.0), lr=1e-300),
    ),
    exact(
        "PPSF-G-002",
        "count:integer split_groups:boolean",
        "pools:places",
        _pools,
        case("each group by itself", "DefaultOptions", count=3, split_groups=True),
        case("all together", "", count=3, split_groups=False),
        case("one group", "Edge", count=1, split_groups=True),
        case("one group, together", "Edge", count=1, split_groups=False),
        case("two groups", "DefaultOptions", count=2, split_groups=True),
    ),
    spec(
        "PPSF-G-003",
        "own:integer d:numbers k:integers mean:boolean",
        "d_step:number",
        _estimate,
        case("one group", "", own=0, d=[D0], k=[5], mean=True),
        case("the harmonic mean of two", "DefaultOptions", own=0, d=[1.0, 0.25], k=[5, 5], mean=True),
        case("the same for the other group", "DefaultOptions", own=1, d=[1.0, 0.25], k=[5, 5], mean=True),
        case("a group that has never stepped does not count", "Decoy", own=0, d=[1.0, D0, 0.5], k=[5, 1, 2], mean=True),
        case("nor for itself", "Decoy", own=1, d=[1.0, D0, 0.5], k=[5, 1, 2], mean=True),
        case("none has stepped: its own", "FirstStep", own=1, d=[1.0, D0], k=[1, 1], mean=True),
        case("without the mean: its own", "", own=1, d=[1.0, 0.25], k=[5, 5], mean=False),
        case(
            "estimates far apart: the smallest decides",
            "WideMagnitudes",
            own=0,
            d=[1.0, f32(1e-6), f32(1e-3)],
            k=[9, 9, 9],
            mean=True,
        ),
        drawn(
            "G-003",
            3,
            own=lambda _: 0,
            d=lambda s: [positive(-10, 0)(s) for _ in range(3)],
            k=lambda _: [3, 4, 5],
            mean=lambda _: True,
        ),
    ),
    spec(
        "PPSF-G-004",
        "d_step:number lr:number",
        "dlr:number",
        lambda i: groups.step_size(i.d_step, i.lr),
        case("lr of 1", "DefaultOptions Exact", d_step=f32(1e-3), lr=1.0),
        case("all exact", "Exact", d_step=0.5, lr=0.25),
        case("a small lr", "", d_step=f32(1e-3), lr=f32(0.1)),
        case("a large lr", "", d_step=f32(1e-3), lr=3.0),
        case("underflow", "Subnormal", d_step=2.0**-100, lr=2.0**-40),
        drawn("G-004", 3, d_step=positive(-20, 0), lr=positive(-6, 1)),
    ),
    exact(
        "PPSF-G-005",
        f"{NUMBERS} {POOLED} position:integer",
        NUMBERS,
        _joined,
        case("the first group of the pool", "", **OWN, **POOL, position=0),
        case("the second: d_prev too", "", **OWN, **POOL, position=1),
        case("the last of many", "", **OWN, **POOL, position=7),
    ),
    exact(
        "PPSF-G-006",
        "took_part:booleans",
        "advances:boolean",
        lambda i: groups.advances(i.took_part),
        case("all took part", "", took_part=[True, True]),
        case("one is enough", "", took_part=[False, True, False]),
        case("none did", "", took_part=[False, False]),
        case("a pool without parameters", "Edge", took_part=[]),
        case("one parameter", "Edge", took_part=[True]),
    ),
    spec(
        "PPSF-G-010",
        "dlr:number d:number",
        "effective_lr:number",
        lambda i: groups.effective_lr(i.dlr, i.d),
        case("lr of 1", "DefaultOptions", dlr=f32(1e-3), d=f32(1e-3)),
        case("all exact", "Exact", dlr=0.5, d=0.25),
        case("the mean is below the own estimate", "", dlr=f32(1e-6), d=f32(1e-2)),
        case("no step", "Zero", dlr=0.0, d=f32(1e-3)),
        drawn("G-010", 2, dlr=positive(-20, 0), d=positive(-20, 0)),
    ),
)
