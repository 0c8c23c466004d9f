"""What has to be as it was for a group's parameters to need no second look: a step asks for it anew, and compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter, eq
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.rule import Rule
from ppsf_fast.state import State

#: Tensors whose memory is what it seems to be.
_PLAIN = {Tensor, torch.nn.Parameter}
_THERE = {(torch.device("cpu"), torch.strided)}
_dtype, _shape, _where = attrgetter("dtype"), attrgetter("shape"), attrgetter("device", "layout")


def _layout(tensors: Sequence[Tensor]) -> list[Iterable[Any]]:
    return [map(type, tensors), map(_dtype, tensors), map(_shape, tensors), map(Tensor.is_contiguous, tensors)]


def _plain(values: Sequence[Any]) -> bool:
    """Whether they are dense tensors of torch's own on a CPU."""
    return set(map(type, values)) <= _PLAIN and set(map(_where, values)) <= _THERE


def _facts(params: Sequence[Tensor], states: Mapping[Tensor, State]) -> list[Iterable[Any]] | None:
    """Everything that decides how parameters are stepped; None if one is no plain tensor on a CPU, or has no state yet.

    These are: how many there are and which have a gradient; the names of the state of each of these; where parameters
    and state lie in memory, and how; and how gradients do, which may have moved. Most of it is made while it is read:
    thousands of small objects that live at once would make Python look for garbage.
    """
    absent = [param.grad is None for param in params]
    taking = [param for param in params if param.grad is not None]
    grads = [param.grad for param in taking if param.grad is not None]
    known = [state for state in map(states.get, taking) if state is not None]
    everything = [*taking, *chain.from_iterable(map(dict.values, known))]
    if len(known) < len(taking) or not _plain(everything) or not _plain(grads):
        return None
    names: list[Iterable[Any]] = [[len(params), len(everything)], absent, map(len, known), chain.from_iterable(known)]
    return [*names, map(Tensor.data_ptr, everything), *_layout(everything), *_layout(grads)]


def _alike(kept: Iterable[Any], fresh: Iterable[Any]) -> bool:
    return all(map(eq, kept, fresh))


@dataclass(slots=True)
class Roster:
    """The parameters of a group that take part in a step, as they are recognised in the next one.

    It holds no tensor, so nothing lives longer for it, and a tensor that takes the place of another is recognised by
    what it is. Steps of one roster read and write the same memory, but for the gradients: these may have moved.

    Attributes:
        rule: of the group.
        adapts: whether its pool may still adapt d.
        facts: everything else that counts.
        work: what a backend made of it.
    """

    rule: Rule
    adapts: bool
    facts: list[list[Any]]
    work: Any = None

    @staticmethod
    def of(params: Sequence[Tensor], states: Mapping[Tensor, State], rule: Rule, adapts: bool) -> Roster | None:
        """The roster of a group; None if it cannot be recognised by one."""
        facts = _facts(params, states)
        return None if facts is None else Roster(rule, adapts, [list(fact) for fact in facts])

    def fits(self, params: Sequence[Tensor], states: Mapping[Tensor, State], rule: Rule, adapts: bool) -> bool:
        """Whether everything is as it was."""
        if rule != self.rule or adapts != self.adapts:
            return False
        facts = _facts(params, states)
        return facts is not None and all(map(_alike, self.facts, facts))
