"""The statistics of the estimate: read from the raw gradients and the old weights, before any weight moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ppsf_fast import speed
from ppsf_fast.backends.coefficients import Coefficients, both
from ppsf_fast.backends.moments import filled
from ppsf_fast.backends.stacks import Stack
from ppsf_fast.numerics import sample, store, total, wide_dtype
from ppsf_fast.rule import Rule
from ppsf_fast.scaling import unscaled
from ppsf_fast.speed import COURSE
from ppsf_fast.state import State

#: Samples that are worked on at once.
_AT_ONCE = 5 << 11


@dataclass(slots=True)
class Statistics:
    """What parameters contribute to the numerator and the denominator of their pool, 0-d in the wide dtype."""

    inner: Tensor
    norm: Tensor

    def where(self, counts: Tensor) -> Statistics:
        """The same if `counts`, 0-d bool, is true, else nothing."""
        return Statistics(torch.where(counts, self.inner, 0.0), torch.where(counts, self.norm, 0.0))


def measured(stack: Stack, rule: Rule, by: Coefficients) -> Statistics:
    """Update what parameters remember for the estimate; returns their contributions, shape (number of parameters,)."""
    state = stack.state
    if not remembers(state, rule):  # nothing is estimated, or the window is closed and it is gone
        zero = torch.zeros(len(stack.items), dtype=wide_dtype(stack.y.device), device=stack.y.device)
        return Statistics(zero, zero)
    counts = _in_line(filled(state, rule))
    follow = _by_displacement if rule.by_displacement else _by_gradients
    share = follow(stack, both(by.adapts, counts), rule, by)
    return _counted(Statistics(share.inner.view(-1), share.norm.view(-1)), counts)


def _pieces(stack: Stack, whole: bool) -> list[slice]:
    """The samples of a stack, some at a time unless `whole`."""
    size, step = stack.state["p0"].shape[1], max(1, _AT_ONCE // len(stack.items))
    if whole or size <= step:
        return [slice(None)]
    return [slice(first, min(first + step, size)) for first in range(0, size, step)]


def _some(values: Tensor, part: slice) -> Tensor:
    """Some samples of each parameter."""
    return values if part == slice(None) else values.narrow(1, part.start, part.stop - part.start)


def _samples(stack: Stack, part: slice, rule: Rule, by: Coefficients) -> tuple[Tensor, Tensor]:
    """The gradient and the displacement of some samples, float32, shape (number of parameters, number of samples)."""
    grad = unscaled(_some(sample(stack.grad, rule.stride, batched=True), part), by.unscale)
    y = _some(sample(stack.y, rule.stride, batched=True), part).float()
    if rule.penalizes:
        # clause: PPSF-W-011 32971b9c
        grad = grad + y * rule.weight_decay
    at_z = rule.averages and rule.revision.statistic_point == "z"
    point = _some(sample(stack.state["z"], rule.stride, batched=True), part).float() if at_z else y
    return grad, _some(stack.state["p0"], part).float() - point


def _in_line(single: Tensor | None) -> Tensor | None:
    """One number per parameter as samples are: shape (number of parameters, 1)."""
    return None if single is None else single.view(-1, 1)


def remembers(state: State, rule: Rule) -> bool:
    """Whether a parameter has what the estimate needs."""
    return "p0" in state and (COURSE[0] if rule.by_displacement else "s") in state


def _by_gradients(stack: Stack, mask: Tensor | None, rule: Rule, by: Coefficients) -> Statistics:
    inners, norms = [], []
    for part in _pieces(stack, whole=False):
        grad, displacement = _samples(stack, part, rule, by)
        # clause: PPSF-D-002 d788f0e1
        inners.append(total(displacement.mul_(grad)))
        if rule.by_signs:
            grad = speed.signed(grad)
        elif rule.amplifies:
            # clause: PPSF-D-023 dbf30264
            grad = signed_root(grad)
        place = _some(stack.state["s"], part)
        # clause: PPSF-D-003 e3d54af9
        s = (place.float() * rule.beta3).add_(grad * by.sum_weight)
        store(place, s, mask)
        # clause: PPSF-D-004 58e6761c
        norms.append(total(s.abs()))
    inner, norm = (torch.stack(found).sum(0) for found in (inners, norms))
    if rule.by_signs:
        inner = speed.signed(inner)
    elif rule.amplifies:
        inner = signed_root(inner)
    return Statistics(inner * by.item_weight, norm)


def _by_displacement(stack: Stack, mask: Tensor | None, rule: Rule, by: Coefficients) -> Statistics:
    (part,) = _pieces(stack, whole=True)
    grad, displacement = _samples(stack, part, rule, by)
    inner = total(grad * displacement)
    inner = signed_root(inner) if rule.amplifies else inner
    before = [stack.state[name].view(-1, 1) for name in COURSE]
    way = speed.course(before, inner, (total(displacement.abs()), total(displacement * displacement)), by.k)
    for place, value in zip(before, way, strict=True):
        store(place, value, mask)
    return Statistics(speed.course_item(way, by.item_weight), way[-1])


def _counted(share: Statistics, counts: Tensor | None) -> Statistics:
    """What enters the sums of a pool: nothing while there is no second moment to divide by."""
    return share if counts is None else share.where(counts.view(-1))


def signed_root(values: Tensor) -> Tensor:
    """The root with the sign of the value."""
    return torch.copysign(values.abs().sqrt(), values)


def gathered(shares: Sequence[Statistics], places: Sequence[int], device: torch.device) -> Statistics:
    """The sums over a pool, in the order of its parameters, whoever stepped which of them.

    Args:
        shares: of shape (number of parameters,) each.
        places: the positions of the parameters of all of them.
        device: of the pool.

    Returns:
        0-d sums on that device, 0 where no parameter takes part.
    """
    if not shares:
        zero = torch.zeros((), dtype=wide_dtype(device), device=device)
        return Statistics(zero, zero.clone())
    inner = torch.cat([share.inner.to(device) for share in shares])
    norm = torch.cat([share.norm.to(device) for share in shares])
    if list(places) != sorted(places):
        order = torch.tensor(sorted(range(len(places)), key=places.__getitem__), device="cpu").to(device)
        inner, norm = inner[order], norm[order]
    return Statistics(inner.sum(), norm.sum())
