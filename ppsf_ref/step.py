"""The algorithm on one page: one step of the law. Each line is a clause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ppsf_ref import direction, modified
from ppsf_ref import numbers as num
from ppsf_ref.clauses import average, distance, errors, groups, lifecycle, moment, notation, options, rounding, update
from ppsf_ref.formats import Array
from ppsf_ref.frame import Frame, frames
from ppsf_ref.numbers import Float64, Number, Numbers
from ppsf_ref.options import Config
from ppsf_ref.state import GroupState, ParamState, State
from ppsf_ref.store import released, stored

#: One parameter's shares of the numerator and of the denominator of d_hat.
Share = tuple[Number, Number]


def step(
    config: Config, state: State, gradients: Sequence[Sequence[Array | None]], numbers: Numbers | None = None
) -> State:
    """One step, from and to a state in the number type of ``numbers`` (float64 unless told).

    Args:
        gradients: per group and parameter a float64 array of the parameter's shape, or None.
    """
    errors.refuse_eval_mode(state.train_mode)
    grads = [
        [groups.taking_part(g, o.lr) for g in row] for o, row in zip(config.groups, gradients, strict=True)
    ]  # G-001
    if not lifecycle.all_finite([g for row in grads for g in row if g is not None]):  # L-004
        return state
    each, moved = frames(config, state.groups, numbers or Float64()), list(state.groups)
    for pool in groups.pools(len(moved), config.split_groups):  # G-002
        shares: list[Share] = []
        for i in pool:
            moved[i] = _move_group(config, each[i], state.groups, i, grads[i], shares)
        if groups.advances([g is not None for i in pool for g in grads[i]]):  # G-006
            adapted = _adapt(each[pool[0]], state.groups[pool[0]], shares)
            for position, i in enumerate(pool):
                moved[i] = _with_estimate(moved[i], adapted, position, each[i])
    return replace(state, groups=tuple(moved))


def _move_group(
    config: Config, f: Frame, before: tuple[GroupState, ...], i: int, grads: Sequence[Array | None], shares: list[Share]
) -> GroupState:
    group = before[i]
    mean = config.split_groups and config.split_groups_mean
    estimate = groups.step_estimate(i, before, mean)  # G-003
    dlr = modified.step_size(f, estimate, group.k)  # G-004, M-003
    c, weight_sum = average.averaging(group.weight_sum, dlr)  # Z-001
    params, moves = list(group.params), [False] * len(grads)
    for j, g in enumerate(grads):
        if g is not None:
            fills = direction.only_fills(f, params[j], group.k)  # M-005
            moves[j] = not fills
            moved = _move(f, group, params[j], f.numbers.array(g), c, dlr, f.dtypes[j], shares, fills)
            params[j] = stored(f, moved, j, group.k)  # R-001 .. R-005
    weight_sum = average.next_weight_sum(group.weight_sum, weight_sum, moves)  # Z-006
    return replace(group, weight_sum=weight_sum, params=tuple(params))


def _move(
    f: Frame,
    group: GroupState,
    p: ParamState,
    g: Number,
    c: Number,
    dlr: Number,
    dtype: str,
    shares: list[Share],
    fills: bool,
) -> ParamState:
    d, stride = group.d, f.revision.sample_stride
    factored = options.factors(f.options.factored, f.options.use_focus)  # O-005
    axes = moment.factored_axes(g.shape, factored, f.revision.factored_min_dim)  # V-002
    x0_format = rounding.storage(dtype, f.options.factored_fp32)["x0"]
    p = lifecycle.created(p, axes, f.window.adapts, stride, x0_format, f.numbers, f.options.use_focus)  # L-001
    y, z = p.y, p.z

    if fills:
        return direction.filled(f, group, p, g, axes)  # M-007, M-008, V-001, V-003
    b = modified.bound(f, d)  # U-001, or M-013
    p, u = direction.directed(f, group, p, g, axes, b)  # M-006 .. M-009, V-001, V-003 .. V-005, U-002, U-003
    if options.clips(f.options.use_stableadamw, f.options.eps):  # O-002
        u = update.clipped(u, b)  # C-001

    if f.window.adapts:
        weight, g_sample = modified.statistic_weight(f, d), notation.sampled(g, stride)  # D-001, M-010, N-001
        item = distance.numerator_item(g_sample, p.x0, notation.sampled(y, stride), weight)  # D-002
        item, counted = modified.counted(f, item, g_sample, weight)  # M-011
        p = replace(p, s=distance.gradient_sum(p.s, counted, f.beta3, weight))  # D-003
        shares.append((item, distance.denominator_item(p.s)))  # D-004

    decays, by_lr = f.options.weight_decay != 0, f.options.weight_decay_by_lr
    if decays and by_lr:
        u = average.decayed_update(u, y, f.weight_decay)  # W-001
    next_y = modified.next_y(f, y, z, u, c, dlr)  # Z-002, or O-004 and M-001, M-002
    next_z = average.next_z(z, u, dlr)  # Z-003
    if decays and not by_lr:
        lost = average.decay(y, f.weight_decay, c, f.beta1)  # W-002
        next_y, next_z = next_y - lost.y, next_z - lost.z
    return replace(p, y=next_y, z=next_z)


def _adapt(f: Frame, pool: GroupState, shares: list[Share]) -> GroupState:
    """New estimate of a pool, in the place of its first group."""
    k = lifecycle.next_count(pool.k)  # L-002
    if not f.window.adapts:  # D-008
        return replace(distance.frozen(pool), k=k)  # D-009
    item, denominator = (num.add_up([share[part] for share in shares], f.numbers.scalar(0.0)) for part in (0, 1))
    numerator = distance.numerator(pool.d_numerator, item, f.beta3, pool.d, f.d0)  # D-005
    d_hat = distance.distance_estimate(numerator, denominator, f.d_coef)  # D-006
    d, d_prev = modified.next_estimate(f, pool.d, d_hat)  # D-007, or M-012
    return replace(pool, d=d, d_prev=d_prev, d_numerator=numerator, d_denom=denominator, k=k)


def _with_estimate(group: GroupState, pool: GroupState, position: int, f: Frame) -> GroupState:
    params = tuple(map(released, group.params)) if f.window.releases else group.params  # D-008
    return replace(groups.joined(group, pool, position), params=params)  # G-005
