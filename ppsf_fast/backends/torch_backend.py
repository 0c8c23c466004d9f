"""One step in plain torch operations, on any device: the order in which its parts come.

Arrays are computed in float32, sums and group scalars in float64; a scalar is rounded to float32 once, where
it meets an array. Nothing here reads a value on the host. Where a mask is given, every write goes through it: a
step that turns out to be bad changes no bit.

A pool takes two passes over its parameters. The first reads samples of gradients and weights, which is all that the
estimate needs; the second moves moments and weights, so that an update may use the estimate after the step. Nothing of
the size of a parameter outlives that parameter's turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ppsf_fast.backends.batches import batches
from ppsf_fast.backends.coefficients import Coefficients, both, coefficients, moves_at_once
from ppsf_fast.backends.estimate import Adapted, adapted
from ppsf_fast.backends.moments import filled
from ppsf_fast.backends.room import Room
from ppsf_fast.backends.statistics import Statistics, gathered
from ppsf_fast.numerics import store
from ppsf_fast.plan import GroupPlan, Item, Plan, PoolPlan
from ppsf_fast.rule import Rule


def step(plan: Plan) -> None:
    """Execute `plan`: change weights, state and scalars in place.

    Args:
        plan: gathered, judged and equipped.
    """
    # All groups step with the estimates as they stood before this step: read them all, then write.
    of_pools = [[coefficients(plan, pool, group) for group in pool.groups] for pool in plan.pools]
    room = Room()
    for pool, of_groups in zip(plan.pools, of_pools, strict=True):
        _step_pool(pool, of_groups, plan.compiles, room)


def _step_pool(pool: PoolPlan, of_groups: list[Coefficients], compiles: bool, room: Room) -> None:
    pairs = list(zip(pool.groups, of_groups, strict=True))
    parts = [part for group, by in pairs for part in batches(group.items, group.rule, by, compiles, group.roster, room)]
    places = [item.index for part in parts for item in part.items]
    moves = [_moves(group, by) for group, by in pairs]
    if moves_at_once(pool.groups[0].rule):
        shares = [part.step() for part in parts]
        found = adapted(pool, gathered(shares, places, pool.device), of_groups[0])
    else:
        shares = [part.measure() for part in parts]
        found = adapted(pool, gathered(shares, places, pool.device), of_groups[0])
        for part in parts:
            part.move(found.outcome)
    keep(pool, of_groups, moves, found)


def step_one(item: Item, rule: Rule, by: Coefficients, compiles: bool) -> tuple[Statistics, Tensor | None]:
    """Move one parameter, before the estimate after the step is known.

    Args:
        item: with its state.
        rule: of its group.
        by: the numbers of its group on its device; `ok` tells whether this parameter may move.
        compiles: whether the compiled kernel is used where it can be.

    Returns:
        what it contributes to the estimate, of shape (1,), and whether its weights moved, 0-d bool; None: they did.
    """
    moves = both(by.ok, filled(item.state, rule))
    (part,) = batches([item], rule, by, compiles)
    share = part.step()
    return (share if by.ok is None else share.where(by.ok)), moves


def end(
    pool: PoolPlan, of_groups: Sequence[Coefficients], shares: dict[int, Statistics], moves: Sequence[Tensor | None]
) -> None:
    """End the step of a pool whose parameters have moved one by one.

    Args:
        pool: with the groups of which a parameter has come.
        of_groups: their numbers; `ok` tells whether any parameter of the pool was allowed to move.
        shares: what the parameters contribute, by their position.
        moves: for each group whether any of its weights moved.
    """
    sums = gathered(list(shares.values()), list(shares), pool.device)
    keep(pool, of_groups, moves, adapted(pool, sums, of_groups[0]))


def keep(pool: PoolPlan, of_groups: Sequence[Coefficients], moves: Sequence[Tensor | None], found: Adapted) -> None:
    """Write the scalars of a pool; `moves` tells for each group whether any of its weights moved."""
    for group, by, mask in zip(pool.groups, of_groups, moves, strict=True):
        _keep_averaging(group, by, mask)
    found.keep(pool.scalars)


def _moves(group: GroupPlan, by: Coefficients) -> Tensor | None:
    """Whether a weight of the group moves, 0-d bool; None: one does."""
    able = [filled(item.state, group.rule) for item in group.items]
    known = [one.to(by.k.device) for one in able if one is not None]
    return both(by.ok, torch.stack(known).any()) if known else by.ok


def _keep_averaging(group: GroupPlan, by: Coefficients, moves: Tensor | None) -> None:
    """Write the weight sum and the largest step size of a group."""
    # clause: PPSF-Z-006 c280d816
    for name, value in (("weight_sum", by.weight_sum), ("lr_max", by.lr_max)):
        if value is not None:
            store(group.scalars.tensors[name], value, moves)
