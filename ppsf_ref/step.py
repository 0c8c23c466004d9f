"""The algorithm on one page: one step of the law. Each line is a clause, or a choice between clauses (``variants``)."""

from __future__ import annotations

from collections.abc import Sequence

from ppsf_ref import numbers as num
from ppsf_ref import variants
from ppsf_ref.clauses import average, distance, errors, groups, lifecycle
from ppsf_ref.clauses.distance import Share
from ppsf_ref.formats import Array
from ppsf_ref.frame import Frame, frames
from ppsf_ref.frozen import replace
from ppsf_ref.law import place
from ppsf_ref.numbers import Float64, Number, Numbers
from ppsf_ref.options import Config
from ppsf_ref.state import GroupState, Measured, ParamState, State
from ppsf_ref.store import released, stored
from ppsf_ref.variants import StepSize


@place
def step(
    config: Config,
    state: State,
    gradients: Sequence[Sequence[Array | None]],
    numbers: Numbers | None = None,
    elsewhere: Sequence[Share] = (),
) -> State:
    """One step, from and to a state in the number type of ``numbers`` (float64 unless told).

    Args:
        gradients: per group and parameter a float64 array of the parameter's shape, or None.
        elsewhere: of each other process whose parameters take part, what they say of the estimate (D-032).
    """
    errors.refuse_eval_mode(state.train_mode)
    grads = [
        [groups.taking_part(g, o.lr) for g in row] for o, row in zip(config.groups, gradients, strict=True)
    ]  # G-001
    if config.fused_back_pass:
        grads = [[None if g is None or lifecycle.sits_out(g) else g for g in row] for row in grads]  # L-010
    elif not lifecycle.all_finite([g for row in grads for g in row if g is not None]):  # L-004
        return state
    each, before, after = frames(config, state.groups, numbers or Float64()), state.groups, list(state.groups)
    for pool in groups.pools(len(before), config.split_groups):  # G-002
        if not groups.advances([g is not None for i in pool for g in grads[i]] + [True for _ in elsewhere]):  # G-006
            continue
        mean = config.split_groups and config.split_groups_mean
        estimates = {i: groups.step_estimate(i, before, mean) for i in pool}  # G-003
        sizes = {i: variants.step_size(each[i], estimates[i], before[i]) for i in pool}
        found = {i: _measure_group(each[i], before[i], grads[i], sizes[i]) for i in pool}
        leader = each[pool[0]]
        measured = [m for i in pool for m in found[i] if m is not None]
        adapted, moves = _adapt(leader, before[pool[0]], measured, elsewhere)
        for position, i in enumerate(pool):
            group = _move_group(each[i], before[i], found[i], sizes[i].dlr, adapted.d, moves)
            after[i] = _with_estimate(group, adapted, position, leader)
    return replace(state, groups=tuple(after))


def _measure_group(f: Frame, group: GroupState, grads: Sequence[Array | None], size: StepSize) -> list[Measured | None]:
    pairs = zip(group.params, grads, f.dtypes, strict=True)
    return [None if g is None else _measure(f, group, p, f.numbers.array(g), size, dtype) for p, g, dtype in pairs]


def _measure(f: Frame, group: GroupState, p: ParamState, g: Number, size: StepSize, dtype: str) -> Measured:
    axes = variants.factored_axes(f, g.shape)  # O-005, V-002, V-012
    only_fills = variants.only_fills(f, p, group.k)  # M-005
    p = variants.created(f, p, axes, dtype)  # L-001, R-001, R-010
    g = variants.decayed_gradient(f, p, g)  # W-011
    if only_fills:
        seen = variants.seen(f, p, g)  # M-007
        return Measured(variants.filled(f, p, seen, axes, group), moves=False)  # V-001, V-003, V-010, V-011, M-008
    if variants.uses_muon(f, g.shape):  # M-014, O-006
        p, n, divisor = variants.by_muon(f, p, g, group)  # M-015 .. M-017
    else:
        p, n, divisor = variants.by_moments(f, p, g, axes, group)  # M-006 .. 008, M-030 .. 032, U-010, V-001 .. 013
    if not f.window.adapts:
        return Measured(p, n, divisor)
    p, item, norm = variants.statistics(f, p, g, group, size)  # D-001 .. D-004, D-020 .. D-023, M-010, M-040
    return Measured(p, n, divisor, item, norm)


def _adapt(
    f: Frame, pool: GroupState, measured: Sequence[Measured], elsewhere: Sequence[Share]
) -> tuple[GroupState, bool]:
    """New estimate of a pool, in the place of its first group, and whether its weights move in this step."""
    k = lifecycle.next_count(pool.k)  # L-002
    if not f.window.adapts:  # D-008
        return variants.counted(f, replace(distance.frozen(pool), k=k), pool), True  # D-009, M-022
    counted = [m for m in measured if m.moves]
    item, norm = (num.add_up([getattr(m, share) for m in counted], f.numbers.scalar(0.0)) for share in ("item", "norm"))
    if f.options.fsdp_in_use:
        item, norm = distance.over_processes(Share(item, norm), elsewhere)  # D-032
    if f.revision.without_evidence == "rests" and not distance.has_evidence(norm):  # D-030
        return pool, False
    numerator = variants.numerator(f, pool, item)  # D-005, D-024
    if not distance.are_numbers(numerator, norm):  # D-033
        return variants.counted(f, replace(distance.frozen(pool), k=k), pool), True  # D-009, M-022
    adapted = variants.estimate(f, pool, numerator, norm)  # D-006, D-007, D-025 .. D-029, M-012
    return variants.counted(f, replace(adapted, d_numerator=numerator, d_denom=norm, k=k), pool), True  # M-022


def _move_group(
    f: Frame, group: GroupState, found: Sequence[Measured | None], dlr: Number, new_d: Number, moves: bool
) -> GroupState:
    c, weight_sum, lr_max = variants.averaged(f, group, dlr)  # Z-001, Z-010, Z-011
    params, moved = list(group.params), [m is not None and m.moves for m in found]
    for j, measured in enumerate(found):
        if measured is not None:
            goes = moves and measured.moves
            p = _move(f, group, measured, c, dlr, new_d) if goes else measured.param
            params[j] = stored(f, p, j, group.k)  # R-001 .. R-005
    return replace(
        group,
        weight_sum=average.next_weight_sum(group.weight_sum, weight_sum, moved),  # Z-006
        lr_max=average.next_weight_sum(group.lr_max, lr_max, moved),  # Z-006
        params=tuple(params),
    )


def _move(f: Frame, group: GroupState, measured: Measured, c: Number, dlr: Number, new_d: Number) -> ParamState:
    p = measured.param
    u = variants.direction(f, measured, group.d, new_d, dlr)  # U-001 .. U-003, U-011 .. U-013, M-009, M-013, M-018
    u = variants.clipped(f, u, group.d)  # C-001, C-010, O-002
    if not f.averages:
        y = variants.decayed(f, p.y, dlr)  # W-010
        return replace(p, y=average.without_average(y, u, dlr))  # Z-012
    y, z, u, lost = variants.decaying(f, p, u, c, dlr)  # W-001, W-002
    next_y = variants.next_y(f, y, z, u, c, dlr)  # Z-002, or O-004 and M-001, M-002
    next_z = average.next_z(z, u, dlr)  # Z-003
    if lost is not None:
        next_y, next_z = next_y - lost.y, next_z - lost.z
    return replace(p, y=next_y, z=next_z)


def _with_estimate(group: GroupState, pool: GroupState, position: int, f: Frame) -> GroupState:
    params = tuple(map(released, group.params)) if f.window.releases else group.params  # D-008
    return replace(groups.joined(group, pool, position), params=params)  # G-005
