"""What has to be as it was for a group's parameters to need no second look: a step asks for it anew, and compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.rule import Rule
from ppsf_fast.state import State

#: Tensors whose memory is what it seems to be.
_PLAIN = {Tensor, torch.nn.Parameter}
_THERE = {(torch.device("cpu"), torch.strided)}
_dtype, _shape, _where = attrgetter("dtype"), attrgetter("shape"), attrgetter("device", "layout")


def _layout(tensors: Sequence[Tensor]) -> tuple[list[Any], ...]:
    """How tensors lie in memory, wherever that is."""
    contiguous = list(map(Tensor.is_contiguous, tensors))
    return list(map(type, tensors)), list(map(_dtype, tensors)), list(map(_shape, tensors)), contiguous


@dataclass(slots=True)
class Roster:
    """The parameters of a group that take part in a step, and everything that decides how they are stepped.

    It holds no tensor, so nothing lives longer for it, and a tensor that takes the place of another is recognised by
    what it is. Steps of equal rosters read and write the same memory, but for the gradients: these may have moved.

    Attributes:
        rule: of the group.
        adapts: whether its pool may still adapt d.
        absent: which parameters of the group have no gradient.
        names: of the state of each parameter that has one, in a row; `counts` of them belong to each.
        places: addresses of these parameters and of their state. An address tells the device as well.
        layouts, grads: types, dtypes, shapes and contiguity of these, and of the gradients.
        work: what a backend made of it; it does not count in a comparison.
    """

    rule: Rule
    adapts: bool
    absent: list[bool]
    names: list[str]
    counts: list[int]
    places: list[int]
    layouts: tuple[list[Any], ...]
    grads: tuple[list[Any], ...]
    work: Any = field(default=None, compare=False)

    @staticmethod
    def of(params: Sequence[Tensor], states: Mapping[Tensor, State], rule: Rule, adapts: bool) -> Roster | None:
        """The roster of a group; None if tensors are not all plain ones on a CPU, or have no state yet."""
        taking = [param for param in params if param.grad is not None]
        grads = [param.grad for param in taking if param.grad is not None]
        entries = [states.get(param) for param in taking]
        known = [state for state in entries if state is not None]
        everything = [*taking, *chain.from_iterable(map(dict.values, known))]
        if len(known) < len(entries) or not _plain(everything) or not _plain(grads):
            return None
        return Roster(
            rule=rule,
            adapts=adapts,
            absent=[param.grad is None for param in params],
            names=list(chain.from_iterable(known)),
            counts=list(map(len, known)),
            places=list(map(Tensor.data_ptr, everything)),
            layouts=_layout(everything),
            grads=_layout(grads),
        )


def _plain(values: Sequence[Any]) -> bool:
    """Whether they are dense tensors of torch's own on a CPU."""
    return set(map(type, values)) <= _PLAIN and set(map(_where, values)) <= _THERE
