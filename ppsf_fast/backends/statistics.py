"""The statistics of the estimate: read from the raw gradients and the old weights, before any weight moves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ppsf_fast import speed
from ppsf_fast.backends.coefficients import Coefficients, both
from ppsf_fast.backends.moments import filled
from ppsf_fast.numerics import sample, store, total, wide_dtype
from ppsf_fast.plan import Item
from ppsf_fast.rule import Rule


@dataclass(slots=True)
class Statistics:
    """What parameters contribute to the numerator and the denominator of their pool, 0-d in the wide dtype."""

    inner: Tensor
    norm: Tensor


def measured(item: Item, rule: Rule, by: Coefficients) -> Statistics:
    """Update s of one parameter; returns its contributions."""
    param, state = item.param, item.state
    if "s" not in state or "p0" not in state:  # nothing is estimated, or the window is closed and they are gone
        zero = torch.zeros((), dtype=wide_dtype(param.device), device=param.device)
        return Statistics(zero, zero)
    grad, y = sample(item.grad, rule.stride).float(), sample(param, rule.stride).float()
    if rule.penalizes:
        # clause: PPSF-W-011 00000000
        grad = grad + y * rule.weight_decay
    at_z = rule.averages and rule.revision.statistic_point == "z"
    point = sample(state["z"], rule.stride).float() if at_z else y
    # clause: PPSF-D-002 817a13b9
    inner = total(grad * (state["p0"].float() - point))
    if rule.speed:
        inner, grad = speed.signed(inner), speed.signed(grad)
    elif rule.amplifies:
        # clause: PPSF-D-023 00000000
        inner, grad = _signed_root(inner), _signed_root(grad)
    # clause: PPSF-D-003 14ce060e
    s = state["s"].float() * rule.beta3 + grad * by.sum_weight
    store(state["s"], s, both(by.adapts, filled(state, rule)))
    # clause: PPSF-D-004 177108e3
    return _counted(Statistics(inner * by.item_weight, total(s.abs())), filled(state, rule))


def _counted(share: Statistics, counts: Tensor | None) -> Statistics:
    """What enters the sums of a pool: nothing while there is no second moment to divide by."""
    if counts is None:
        return share
    return Statistics(torch.where(counts, share.inner, 0.0), torch.where(counts, share.norm, 0.0))


def _signed_root(values: Tensor) -> Tensor:
    return torch.copysign(values.abs().sqrt(), values)


def gathered(sums: list[Statistics], device: torch.device) -> Statistics:
    """The sums over a pool."""
    inner = torch.stack([each.inner.to(device) for each in sums])
    norm = torch.stack([each.norm.to(device) for each in sums])
    return Statistics(inner.sum(), norm.sum())
