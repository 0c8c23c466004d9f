"""Laws of structure: how parameters are dealt out, ordered, joined and laid out in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Array, Gradients, Group, Implementation, Weights
from ppsf_conformance.checks.finding import Finding, revision_of
from ppsf_conformance.laws.law import OTHER, PLAIN, cases, law, over_params, side_by_side
from ppsf_conformance.laws.side_by_side import same_run
from ppsf_conformance.problems import GroupSpec, ParamSpec, constructor_groups
from ppsf_ref import ParamState, State

POOLS: tuple[dict[str, Any], ...] = ({"split_groups": True}, {"split_groups": False}, {"split_groups_mean": True})


@law("order", "PPSF-N-013")
def order(implementation: Implementation) -> Iterator[Finding]:
    """Groups in another order, and parameters of a group in another order, give the same run.

    Scope: all options but random bits, which go by position. Reason: sums over parameters do not depend on their order
    but for rounding, and nothing else connects parameters.
    """

    def turned(rows: Any) -> list[list[Any]]:
        return [list(reversed(row)) for row in reversed(rows)]

    def back(state: State) -> State:
        groups = tuple(replace(g, params=tuple(reversed(g.params))) for g in reversed(state.groups))
        return replace(state, groups=groups)

    for problem in cases(implementation, variants=({}, *POOLS), stochastic_rounding=False):
        groups = [replace(g, params=tuple(reversed(g.params))) for g in reversed(constructor_groups(problem))]
        told = same_run(problem, groups=groups, gradients=turned, back=back)
        yield from side_by_side(implementation, problem, told)


@law("one group", "PPSF-N-014")
def one_group(implementation: Implementation) -> Iterator[Finding]:
    """Groups with the same options that form one pool are one group with all their parameters.

    Scope: all take part in every step. Reason: what a group has of its own is its sum of weights, which is then the
    same.
    """
    pool: dict[str, Any] = {} if revision_of(implementation).estimate == "none" else {"split_groups": False}
    first = len(PLAIN.params)

    def back(state: State) -> State:
        (group,) = state.groups
        parts = group.params[:first], group.params[first:]
        return replace(state, groups=tuple(replace(group, params=params) for params in parts))

    for problem in cases(implementation, **pool):
        parts = constructor_groups(problem)
        told = same_run(
            problem,
            groups=[Group(tuple(p for g in parts for p in g.params), {})],
            gradients=lambda g: [[one for row in g for one in row]],
            back=back,
        )
        yield from side_by_side(implementation, problem, told)


@law("concatenation", "PPSF-N-001", "PPSF-D-004")
def concatenation(implementation: Implementation) -> Iterator[Finding]:
    """Two parameters behind one another in one tensor give the same run.

    Scope: vectors whose length is a multiple of the sample's stride; no clipping, no random bits, and nothing else that
    looks at a parameter as a whole. Reason: everything else is done element by element or summed over all.
    """
    spec = GroupSpec((ParamSpec((22,)), ParamSpec((33,))))

    def back(state: State) -> State:
        (group,) = state.groups
        (p,) = group.params
        return replace(state, groups=(replace(group, params=(_share(p, 0, 0.4), _share(p, 0.4, 1))),))

    wanted: dict[str, Any] = {"use_stableadamw": False, "stochastic_rounding": False, "amplify_gradients": False}
    for problem in cases(implementation, (spec,), **wanted):
        (group,) = constructor_groups(problem)
        whole = Weights(np.concatenate([p.values for p in group.params]), group.params[0].dtype)

        def joined(rows: Gradients) -> Gradients:
            return [[np.concatenate([g for g in rows[0] if g is not None])]]

        told = same_run(problem, groups=[Group((whole,), {})], gradients=joined, back=back)
        yield from side_by_side(implementation, problem, told)


def _share(p: ParamState, start: float, end: float) -> ParamState:
    """A part of a vector and of its samples."""
    arrays = {name: value for name, value in vars(p).items() if value is not None}
    parts = {name: a[round(start * len(a)) : round(end * len(a))] for name, a in arrays.items()}
    return replace(p, **parts)


@law("transposition", "PPSF-V-002", "PPSF-V-003", "PPSF-V-005", "PPSF-V-012")
def transposition(implementation: Implementation) -> Iterator[Finding]:
    """A factored matrix and its transpose give the same run, transposed.

    Scope: a frozen estimate, whose sample goes by rows; no random bits, which do too. Reason: rows and columns of the
    factored second moment are means over one axis each, and both have the same mean.
    """
    spec = GroupSpec((ParamSpec((34, 40)), ParamSpec((33, 33)), ParamSpec((40, 33))))
    by_size = revision_of(implementation).factored_axes == "largest_two"

    def back(state: State) -> State:
        return over_params(state, lambda p: _transposed(p, by_size))

    wanted: dict[str, Any] = {"factored": True, "prodigy_steps": 1, "stochastic_rounding": False}

    def turned(rows: Gradients) -> Gradients:
        return [[None if g is None else g.T for g in row] for row in rows]

    for problem in cases(implementation, (spec,), **wanted):
        (group,) = constructor_groups(problem)
        params = tuple(replace(p, values=p.values.T.copy()) for p in group.params)
        told = same_run(
            problem,
            groups=[Group(params, {})],
            gradients=turned,
            back=back,
            ignores=frozenset({"s", "x0", "d_numerator", "d_denom", "n_max", "d", "d_prev"}),
        )
        yield from side_by_side(implementation, problem, told)


def _transposed(p: ParamState, by_size: bool) -> ParamState:
    arrays: dict[str, Array] = {name: a.T for name in ("y", "z") if (a := getattr(p, name)) is not None}
    if p.v_row is None or p.v_col is None:
        return replace(p, **arrays)
    row, col = p.v_row.T, p.v_col.T
    height, width = arrays["y"].shape
    reduced = 0 if by_size and height > width else 1
    if row.shape[reduced] != 1:  # square matrices, and rules that go by position, exchange the two
        row, col = col, row
    return replace(p, **arrays, v_row=row, v_col=col)


@law("memory layout", "PPSF-N-001", "PPSF-R-004")
def memory_layout(implementation: Implementation) -> Iterator[Finding]:
    """Weights with other strides give the same run.

    Scope: all options. Reason: elements are counted in logical order; only sums may be formed in another one.
    """
    for problem in cases(implementation, variants=({}, {"factored": False})):
        groups = [
            replace(group, params=tuple(replace(p, layout="transposed") for p in group.params))
            for group in constructor_groups(problem)
        ]
        yield from side_by_side(implementation, problem, same_run(problem, groups=groups))


@law("idle parameters", "PPSF-G-001", "PPSF-G-003", "PPSF-G-006", "PPSF-Z-006")
def idle_parameters(implementation: Implementation) -> Iterator[Finding]:
    """Parameters without gradient, and empty ones with one, change nothing for the others.

    Scope: all options; they are added behind the others, because random bits go by position. Reason: what takes no part
    is not read, and an empty tensor adds nothing to any sum.
    """
    dtype = implementation.capabilities.dtypes[0]
    idle, empty = Weights(np.ones(5), dtype), Weights(np.zeros(0), dtype)

    def back(state: State) -> State:
        first, second = state.groups[:2]
        return replace(state, groups=(first, replace(second, params=second.params[: len(OTHER.params)])))

    for problem in cases(implementation, variants=({}, *POOLS)):
        first, second = constructor_groups(problem)
        groups = [first, replace(second, params=(*second.params, empty, idle)), Group((idle,), {})]

        def more(rows: Gradients) -> Gradients:
            return [rows[0], [*rows[1], np.zeros(0), None], [None]]

        yield from side_by_side(implementation, problem, same_run(problem, groups=groups, gradients=more, back=back))
