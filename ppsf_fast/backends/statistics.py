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
from ppsf_fast.speed import COURSE
from ppsf_fast.state import State


@dataclass(slots=True)
class Statistics:
    """What parameters contribute to the numerator and the denominator of their pool, 0-d in the wide dtype."""

    inner: Tensor
    norm: Tensor

    def where(self, counts: Tensor) -> Statistics:
        """The same if `counts`, 0-d bool, is true, else nothing."""
        return Statistics(torch.where(counts, self.inner, 0.0), torch.where(counts, self.norm, 0.0))


def measured(item: Item, rule: Rule, by: Coefficients) -> Statistics:
    """Update what one parameter remembers for the estimate; returns its contributions."""
    param, state = item.param, item.state
    if not _remembers(state, rule):  # nothing is estimated, or the window is closed and it is gone
        zero = torch.zeros((), dtype=wide_dtype(param.device), device=param.device)
        return Statistics(zero, zero)
    grad, y = sample(item.grad, rule.stride).float(), sample(param, rule.stride).float()
    if rule.penalizes:
        # clause: PPSF-W-011 32971b9c
        grad = grad + y * rule.weight_decay
    at_z = rule.averages and rule.revision.statistic_point == "z"
    point = sample(state["z"], rule.stride).float() if at_z else y
    follow = _by_displacement if rule.by_displacement else _by_gradients
    counts = filled(state, rule)
    return _counted(follow(state, grad, state["p0"].float() - point, both(by.adapts, counts), rule, by), counts)


def _remembers(state: State, rule: Rule) -> bool:
    return "p0" in state and (COURSE[0] if rule.by_displacement else "s") in state


def _by_gradients(
    state: State, grad: Tensor, displacement: Tensor, mask: Tensor | None, rule: Rule, by: Coefficients
) -> Statistics:
    # clause: PPSF-D-002 d788f0e1
    inner = total(grad * displacement)
    if rule.by_signs:
        inner, grad = speed.signed(inner), speed.signed(grad)
    elif rule.amplifies:
        # clause: PPSF-D-023 dbf30264
        inner, grad = _signed_root(inner), _signed_root(grad)
    # clause: PPSF-D-003 e3d54af9
    s = state["s"].float() * rule.beta3 + grad * by.sum_weight
    store(state["s"], s, mask)
    # clause: PPSF-D-004 58e6761c
    return Statistics(inner * by.item_weight, total(s.abs()))


def _by_displacement(
    state: State, grad: Tensor, displacement: Tensor, mask: Tensor | None, rule: Rule, by: Coefficients
) -> Statistics:
    inner = total(grad * displacement)
    inner = _signed_root(inner) if rule.amplifies else inner
    way = speed.course([state[name] for name in COURSE], inner, displacement, by.k)
    for name, value in zip(COURSE, way, strict=True):
        store(state[name], value, mask)
    return Statistics(speed.course_item(way, by.item_weight), way[-1])


def _counted(share: Statistics, counts: Tensor | None) -> Statistics:
    """What enters the sums of a pool: nothing while there is no second moment to divide by."""
    return share if counts is None else share.where(counts)


def _signed_root(values: Tensor) -> Tensor:
    return torch.copysign(values.abs().sqrt(), values)


def gathered(sums: list[Statistics], device: torch.device) -> Statistics:
    """The sums over a pool, on its device; 0 where no parameter takes part."""
    if not sums:
        zero = torch.zeros((), dtype=wide_dtype(device), device=device)
        return Statistics(zero, zero.clone())
    inner = torch.stack([each.inner.to(device) for each in sums])
    norm = torch.stack([each.norm.to(device) for each in sums])
    return Statistics(inner.sum(), norm.sum())
