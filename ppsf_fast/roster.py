"""What has to be as it was for a group's parameters to need no second look: a step asks for it anew, and compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter, eq
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.rule import Rule, alike
from ppsf_fast.state import State, is_complete

#: Tensors whose memory is what it seems to be.
_PLAIN = {Tensor, torch.nn.Parameter}
_AT_ONCE = 64
_dtype, _shape, _device, _layout = map(attrgetter, ("dtype", "shape", "device", "layout"))


def _stored(tensors: Sequence[Tensor]) -> list[Iterable[Any]]:
    """How tensors are stored, wherever that is; of one that is not dense nothing is asked but its type and layout."""
    kinds: list[Iterable[Any]] = [map(type, tensors), map(_layout, tensors), map(_dtype, tensors)]
    return [*kinds, map(Tensor.is_contiguous, tensors), map(Tensor.is_neg, tensors)]


def _plain(values: Sequence[Any]) -> bool:
    """Whether they are dense tensors of torch's own on a CPU."""
    dense = set(map(type, values)) <= _PLAIN and all(value.layout is torch.strided for value in values)
    return dense and all(value.device.type == "cpu" for value in values)


def _facts(params: Sequence[Tensor], states: Mapping[Tensor, State]) -> list[Iterable[Any]] | None:
    """Everything that decides how parameters are stepped; None if one has no state yet.

    These are: how many there are and which have a gradient; the names of the state of each of these; how parameters and
    state are stored, and where, which tells the device as well; and how gradients are, which may have moved. Most of it
    is made while it is read: thousands of small objects that live at once would make Python look for garbage.
    """
    absent = [param.grad is None for param in params]
    taking = [param for param in params if param.grad is not None]
    grads = [param.grad for param in taking if param.grad is not None]
    known = [state for state in map(states.get, taking) if state is not None]
    entries = list(chain.from_iterable(map(dict.values, known)))
    if len(known) < len(taking):
        return None
    names: list[Iterable[Any]] = [[len(params), len(entries)], absent, map(len, known), chain.from_iterable(known)]
    here = [*_stored([*taking, *entries]), map(Tensor.data_ptr, [*taking, *entries])]
    sizes = [map(_shape, taking), map(Tensor.numel, entries)]
    return [*names, *here, *sizes, *_stored(grads), map(_device, grads), map(_shape, grads)]


def _blocks(params: Sequence[Tensor]) -> Iterable[Sequence[Tensor]]:
    """Some parameters at a time, few enough for a processor's cache to hold what Python knows of them."""
    return (params[first : first + _AT_ONCE] for first in range(0, len(params), _AT_ONCE))


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
        first: position over all groups of its first parameter, on which random bits depend.
        count: number of parameters.
        facts: everything else that counts, of some parameters each.
        work: what a backend made of it.
    """

    rule: Rule
    adapts: bool
    first: int
    count: int
    facts: list[list[list[Any]]]
    work: Any = None

    @staticmethod
    def of(
        params: Sequence[Tensor], states: Mapping[Tensor, State], rule: Rule, adapts: bool, first: int
    ) -> Roster | None:
        """The roster of a group; None if it cannot be recognised by one, or lacks state that its next step creates."""
        taking = [param for param in params if param.grad is not None]
        if not all(is_complete(states.get(param, {}), rule, adapts) for param in taking):
            return None
        entries = chain.from_iterable(states.get(param, {}).values() for param in taking)
        if not _plain([*taking, *entries, *(param.grad for param in taking)]):
            return None
        facts = [_facts(block, states) for block in _blocks(params)]
        known = [[list(fact) for fact in block] for block in facts if block is not None]
        return Roster(rule, adapts, first, len(params), known) if len(known) == len(facts) else None

    def fits(
        self, params: Sequence[Tensor], states: Mapping[Tensor, State], rule: Rule, adapts: bool, first: int
    ) -> bool:
        """Whether everything is as it was, but for what schedules move."""
        if (adapts, first, len(params)) != (self.adapts, self.first, self.count) or not alike(rule, self.rule):
            return False
        blocks = (_facts(block, states) for block in _blocks(params))
        pairs = zip(self.facts, blocks, strict=True)
        return all(facts is not None and all(map(_alike, known, facts)) for known, facts in pairs)
