"""Parameters of one shape as one array, and large ones in panels: few operations for many, small temporaries for all.

Every array has an axis in front that counts the parameters, also if it is a single one. What is one number for each
parameter has the same number of axes as the parameter and one more, all but the first of size 1, so that it broadcasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ppsf_fast.backends.room import Room
from ppsf_fast.numerics import readable
from ppsf_fast.plan import Item
from ppsf_fast.rule import Rule
from ppsf_fast.state import SINGLES, State

#: Elements that are stacked or worked on at once: some arrays of that size stay in a processor's caches, and are few
#: beside weights of two bytes too. Other devices have more threads to feed.
_AT_ONCE, _AT_ONCE_OF_HALVES = 1 << 18, 13 << 13
_AT_ONCE_ELSEWHERE = 1 << 24
#: Above this torch may split one sum over threads, so that its last bits tell whether it was stacked.
_MOST = (1 << 15) - 1
#: Sizes of panels are multiples of it, since random bits come in fours.
_ROWS = 4


@dataclass(slots=True)
class Stack:
    """Parameters of one shape, one layout and one kind of state.

    Attributes:
        items: the parameters.
        grad, y: their gradients and weights as they are stored, shape (number, *shape).
        state: their state, likewise; samples have the shape (number, size of a sample).
    """

    items: Sequence[Item]
    grad: Tensor
    y: Tensor
    state: State

    @staticmethod
    def of(items: Sequence[Item], room: Room) -> Stack:
        """Of a single item everything is a view; of several it is a copy in the room, see :meth:`unload`."""
        state: State = {}
        for name, value in items[0].state.items():
            if isinstance(value, Tensor):
                state[name] = _joined([item.state[name] for item in items], name, room)
                if name in SINGLES:
                    state[name] = state[name].view(-1, *(1 for _ in items[0].param.shape))
        grad, y = (
            _joined([item.grad for item in items], "grad", room),
            _joined([item.param for item in items], "y", room),
        )
        return Stack(items, grad, y, state)

    @property
    def shape(self) -> torch.Size:
        """Of each parameter."""
        return self.items[0].param.shape

    def unload(self, weights: bool) -> None:
        """Bring back what has changed: the state, and the weights if they moved."""
        if len(self.items) == 1:
            return
        targets = [item.param for item in self.items] if weights else []
        sources = list(self.y.unbind()) if weights else []
        changing = {name: value for name, value in self.state.items() if name != "p0"}
        for name, value in changing.items():
            targets += [item.state[name] for item in self.items]
            sources += value.reshape(len(self.items), *self.items[0].state[name].shape).unbind()
        torch._foreach_copy_(targets, sources)

    def parts(self, splits: bool) -> list[slice]:
        """Panels along the first axis of the parameters: all of it in one unless it `splits` and is large."""
        rows = self.y.shape[1] if self.y.dim() > 1 else 1
        most = _at_once(self.y)
        if not splits or self.y.numel() <= most or rows == 0:
            return [slice(0, rows)]
        step = max(1, most * rows // self.y.numel() // _ROWS) * _ROWS
        return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


def _at_once(param: Tensor) -> int:
    if not readable(param.device):
        return _AT_ONCE_ELSEWHERE
    return _AT_ONCE if param.dtype == torch.float32 else _AT_ONCE_OF_HALVES


def piece(values: Tensor, part: slice, rows: int) -> Tensor:
    """A panel of an array that has `rows` along the first axis of the parameters, or one number for all of them."""
    if part.stop - part.start == rows or values.dim() < 2 or values.shape[1] != rows:
        return values
    return values.narrow(1, part.start, part.stop - part.start)


def _joined(values: Sequence[Tensor], name: str, room: Room) -> Tensor:
    first = values[0]
    if len(values) == 1:
        return (first.detach() if first.requires_grad else first).unsqueeze(0)
    place = room.take(f"stacked {name}", (len(values), *first.shape), first.dtype, first.device)
    return torch.stack([value.detach() for value in values], out=place)


def stacked(items: Iterable[Item], rule: Rule) -> list[list[Item]]:
    """Items that are alike, in lists of a size that is worked on at once."""
    alike: dict[object, list[Item]] = {}
    for item in items:
        alike.setdefault(_kind(item, rule), []).append(item)
    found = []
    for here in alike.values():
        count = max(1, _at_once(here[0].param) // max(here[0].param.numel(), 1))
        found += [here[first : first + count] for first in range(0, len(here), count)]
    return found


def _kind(item: Item, rule: Rule) -> object:
    """What items must have in common; an item that has to be alone is its own kind.

    A parameter has to move by the same bits whether it is stacked or comes alone. So nothing is stacked of which an
    operation rounds differently at different places (atan2, roots) or in different shapes (matrix products, long
    sums).
    """
    param = item.param
    inexact = rule.eps is None or rule.muon or rule.by_displacement or rule.amplifies
    if inexact or not 0 < param.numel() <= _MOST or not param.is_contiguous():
        return item.index
    if not item.grad.is_contiguous():
        return item.index
    kept = {name: value for name, value in item.state.items() if isinstance(value, Tensor)}
    if not all(value.is_contiguous() for value in kept.values()):
        return item.index
    if any(map(Tensor.is_neg, [param, *kept.values()])):  # torch does not write lists of lazy negations
        return item.index
    state = tuple((name, value.dtype) for name, value in kept.items())
    return param.shape, param.dtype, item.grad.dtype, state
