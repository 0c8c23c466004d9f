"""The statistics of the estimate: read from the raw gradients and the old weights, before any weight moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ppsf_fast import speed
from ppsf_fast.backends.coefficients import Coefficients, both
from ppsf_fast.backends.moments import filled
from ppsf_fast.backends.room import PANEL, Room
from ppsf_fast.backends.stacks import Stack
from ppsf_fast.numerics import read_into, readable, sample, store, summed, wide_dtype
from ppsf_fast.rule import Rule
from ppsf_fast.speed import COURSE
from ppsf_fast.state import State

#: Samples that are worked on at once: so many that they fit where a panel is moved; other devices have more threads.
_AT_ONCE, _AT_ONCE_ELSEWHERE = 10 << 13, 1 << 20
#: Arrays of their size: three in float32, and one in the wide dtype.
_PLACES = 5


@dataclass(slots=True)
class Statistics:
    """What parameters contribute to the numerator and the denominator of their pool, 0-d in the wide dtype."""

    inner: Tensor
    norm: Tensor

    def where(self, counts: Tensor) -> Statistics:
        """The same if `counts`, 0-d bool, is true, else nothing."""
        return Statistics(torch.where(counts, self.inner, 0.0), torch.where(counts, self.norm, 0.0))


def measured(stack: Stack, rule: Rule, by: Coefficients, room: Room) -> Statistics:
    """Update what parameters remember for the estimate; returns their contributions, shape (number of parameters,).

    `room`: for what is made on the way.
    """
    state = stack.state
    if not remembers(state, rule):  # nothing is estimated, or the window is closed and it is gone
        zero = torch.zeros(len(stack.items), dtype=wide_dtype(stack.y.device), device=stack.y.device)
        return Statistics(zero, zero)
    counts = _in_line(filled(state, rule))
    follow = _by_displacement if rule.by_displacement else _by_gradients
    share = follow(stack, both(by.adapts, counts), rule, by, room)
    return _counted(Statistics(share.inner.view(-1), share.norm.view(-1)), counts)


class Samples:
    """Some samples of some parameters, in memory that is used again.

    Args:
        room: of the step; content that others have left there is overwritten.
        shape: number of parameters, and of samples of each.

    Attributes:
        grad: their gradients, float32.
        way: how far their weights have come, float32.
    """

    def __init__(self, room: Room, shape: tuple[int, int], device: torch.device) -> None:
        size = 2 * (math.prod(shape) // 2 + 1)  # so that what is wide begins at whole numbers
        places = room.take(PANEL, (_PLACES, size), torch.float32, device)
        numel = math.prod(shape)
        self.grad, self.way, self._other = (place[:numel].view(shape) for place in places[:3].unbind())
        self._wide = places[3:].view(-1).view(wide_dtype(device))[:numel].view(shape)

    @staticmethod
    def of(stack: Stack, part: slice, rule: Rule, by: Coefficients, room: Room) -> Samples:
        """Some samples of a stack."""

        def some(values: Tensor) -> Tensor:
            return _some(sample(values, rule.stride, batched=True), part)

        shape, device = (len(stack.items), part.stop - part.start), stack.y.device
        samples = room.divided((Samples, shape, device), lambda: Samples(room, shape, device))
        point = some(point_of(stack.y, stack.state, rule))
        samples.read(some(stack.grad), _some(stack.state["p0"], part), point, rule, by)
        return samples

    def read(self, grad: Tensor, start: Tensor, point: Tensor, rule: Rule, by: Coefficients) -> None:
        """Take samples as they are stored: of gradients, of where weights began, and of where they are."""
        read_into(self.grad, grad)
        if by.unscale is not None:
            # clause: PPSF-L-012 5cabe394
            self.grad.mul_(by.unscale.to(self.grad.device))
        if rule.penalizes:  # weights that are not averaged: the point is y
            # clause: PPSF-W-011 32971b9c
            self.grad.add_(read_into(self._other, point), alpha=rule.weight_decay)
        if start.dtype == point.dtype == torch.float32:
            torch.sub(start, point, out=self.way)
        else:
            self.way.copy_(start).sub_(read_into(self._other, point))

    def total(self, values: Tensor) -> Tensor:
        """Sum over the samples of each parameter, shape (number of parameters, 1)."""
        return torch.sum(self._wide.copy_(values), dim=1, keepdim=True)


def point_of(y: Tensor, state: State, rule: Rule) -> Tensor:
    """The weights that the estimate looks at."""
    return state["z"] if rule.averages and rule.revision.statistic_point == "z" else y


def _pieces(stack: Stack) -> list[slice]:
    """The samples of a stack, some at a time."""
    most = _AT_ONCE if readable(stack.y.device) else _AT_ONCE_ELSEWHERE
    size, step = stack.state["p0"].shape[1], max(1, most // len(stack.items))
    return [slice(first, min(first + step, size)) for first in range(0, size, step)] or [slice(0, 0)]


def _some(values: Tensor, part: slice) -> Tensor:
    """Some samples of each parameter."""
    if part.stop - part.start == values.shape[1]:
        return values
    return values.narrow(1, part.start, part.stop - part.start)


def _in_line(single: Tensor | None) -> Tensor | None:
    """One number per parameter as samples are: shape (number of parameters, 1)."""
    return None if single is None else single.view(-1, 1)


def remembers(state: State, rule: Rule) -> bool:
    """Whether a parameter has what the estimate needs."""
    return "p0" in state and (COURSE[0] if rule.by_displacement else "s") in state


def _by_gradients(stack: Stack, mask: Tensor | None, rule: Rule, by: Coefficients, room: Room) -> Statistics:
    inners, norms = [], []
    for part in _pieces(stack):
        samples = Samples.of(stack, part, rule, by, room)
        # clause: PPSF-D-002 d788f0e1
        inners.append(samples.total(samples.way.mul_(samples.grad)))
        grad = samples.grad
        if rule.by_signs:
            grad = speed.signed(grad)
        elif rule.amplifies:
            # clause: PPSF-D-023 dbf30264
            grad = signed_root(grad)
        place = _some(stack.state["s"], part)
        # clause: PPSF-D-003 e3d54af9
        at_place = mask is None and place.dtype == torch.float32
        s = place if at_place else samples.way.copy_(place)
        s.mul_(rule.beta3).add_(grad.mul_(by.sum_weight))
        if not at_place:
            store(place, s, mask)
        # clause: PPSF-D-004 58e6761c
        sizes = torch.abs(s, out=samples.way)
        norms.append(samples.total(sizes))
    inner, norm = summed(inners), summed(norms)
    if rule.by_signs:
        inner = speed.signed(inner)
    elif rule.amplifies:
        inner = signed_root(inner)
    return Statistics(inner * by.item_weight, norm)


def _by_displacement(stack: Stack, mask: Tensor | None, rule: Rule, by: Coefficients, room: Room) -> Statistics:
    inners, sizes, squares = [], [], []
    for part in _pieces(stack):
        samples = Samples.of(stack, part, rule, by, room)
        inners.append(samples.total(samples.grad.mul_(samples.way)))
        squares.append(samples.total(torch.mul(samples.way, samples.way, out=samples.grad)))
        sizes.append(samples.total(samples.way.abs_()))
    inner, l1, squared = map(summed, (inners, sizes, squares))
    inner = signed_root(inner) if rule.amplifies else inner
    before = [stack.state[name].view(-1, 1) for name in COURSE]
    way = speed.course(before, inner, (l1, squared), by.k)
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
