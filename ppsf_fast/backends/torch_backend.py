"""One step in plain torch operations, on any device: the order in which its parts come.

Arrays are computed in float32, sums and group scalars in float64; a scalar is rounded to float32 once, where
it meets an array. Nothing here reads a value on the host. Where a mask is given, every write goes through it: a
step that turns out to be bad changes no bit.

A pool takes two passes over its parameters. The first reads samples of gradients and weights, which is all that the
estimate needs; the second moves moments and weights, so that an update may use the estimate after the step. Nothing of
the size of a parameter outlives that parameter's turn.
"""

from __future__ import annotations

from ppsf_fast.backends.coefficients import Coefficients, coefficients, moved_to
from ppsf_fast.backends.estimate import adapted
from ppsf_fast.backends.statistics import gathered, measured
from ppsf_fast.backends.weights import move
from ppsf_fast.numerics import store
from ppsf_fast.plan import GroupPlan, Plan, PoolPlan


def step(plan: Plan) -> None:
    """Execute `plan`: change weights, state and scalars in place.

    Args:
        plan: gathered, judged and equipped.
    """
    # All groups step with the estimates as they stood before this step: read them all, then write.
    of_pools = [[coefficients(plan, pool, group) for group in pool.groups] for pool in plan.pools]
    for pool, of_groups in zip(plan.pools, of_pools, strict=True):
        _step_pool(pool, of_groups)


def _step_pool(pool: PoolPlan, of_groups: list[Coefficients]) -> None:
    devices = {item.param.device for group in pool.groups for item in group.items}
    places = [{device: moved_to(device, by) for device in devices} for by in of_groups]
    pairs = list(zip(pool.groups, places, strict=True))
    sums = [measured(item, group.rule, at[item.param.device]) for group, at in pairs for item in group.items]
    found = adapted(pool, gathered(sums, pool.device), of_groups[0])
    outcomes = {device: moved_to(device, found.outcome) for device in devices}
    for group, at in pairs:
        for item in group.items:
            move(item, group.rule, at[item.param.device], outcomes[item.param.device])
    for group, by in zip(pool.groups, of_groups, strict=True):
        _keep_averaging(group, by)
    found.keep(pool.scalars)


def _keep_averaging(group: GroupPlan, by: Coefficients) -> None:
    """Write the weight sum and the largest step size of a group."""
    # clause: PPSF-Z-006 7f2c1646
    for name, value in (("weight_sum", by.weight_sum), ("lr_max", by.lr_max)):
        if value is not None:
            store(group.scalars.tensors[name], value, by.ok)
