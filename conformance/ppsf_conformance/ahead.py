"""State that a step may create ahead (PPSF-L-001): the law goes on as if it were not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ppsf_conformance.adapter import ARRAYS, Array, Gradients, Snapshot
from ppsf_ref import ParamState
from ppsf_ref.clauses.groups import taking_part
from ppsf_ref.clauses.lifecycle import all_finite

Place = tuple[int, int]


class Ahead:
    """Which parameters, by group and position, may have state that the law does not know of yet.

    After a step that changes nothing they do until they take part; after one that prepares, in the next step: later on
    what they hold may be what an implementation made of it in steps that, by the law, were none of theirs.
    """

    def __init__(self, fused: bool) -> None:
        """`fused`: in a fused step a parameter with a bad gradient sits out alone (PPSF-L-010)."""
        self._fused = fused
        self._until_part: set[Place] = set()
        self._in_next: set[Place] = set()

    def without(self, snapshot: Snapshot, rates: Sequence[float], gradients: Gradients) -> Snapshot:
        """A snapshot in which those of them that take part in the coming step have no state.

        Args:
            snapshot: before the step.
            rates: the learning rate of each group in it.
            gradients: of it.
        """
        return _without(snapshot, self._may_have & {place for place, _ in _taking_part(rates, gradients)})

    def gone(self, before: Snapshot, after: Snapshot) -> Snapshot:
        """The state before a step, in which those of them that have none after it have none."""
        groups = enumerate(after.state.groups)
        bare = {(i, j) for i, group in groups for j, p in enumerate(group.params) if not _has_state(p)}
        return _without(before, self._may_have & bare)

    @property
    def _may_have(self) -> set[Place]:
        return self._until_part | self._in_next

    def note(self, before: Snapshot, rates: Sequence[float], gradients: Gradients) -> None:
        """Take notice of a step; `before` is what the law saw."""
        groups = before.state.groups
        bare = {(i, j) for i, group in enumerate(groups) for j, p in enumerate(group.params) if not _has_state(p)}
        self._in_next = bare if prepares(before, rates, gradients) else set()
        if not self._fused and changes_nothing(rates, gradients):
            self._until_part |= bare
        else:
            self._until_part -= {place for place, _ in _taking_part(rates, gradients)}


def without_any(snapshot: Snapshot) -> Snapshot:
    """A snapshot in which no parameter has state."""
    groups = enumerate(snapshot.state.groups)
    return _without(snapshot, {(i, j) for i, group in groups for j in range(len(group.params))})


def _without(snapshot: Snapshot, fresh: set[Place]) -> Snapshot:
    """A snapshot in which some parameters have no state."""
    groups = [
        replace(group, params=tuple(ParamState(p.y) if (i, j) in fresh else p for j, p in enumerate(group.params)))
        for i, group in enumerate(snapshot.state.groups)
    ]
    return replace(snapshot, state=replace(snapshot.state, groups=tuple(groups)))


def changes_nothing(rates: Sequence[float], gradients: Gradients) -> bool:
    """Whether a step is one that changes nothing, because of a gradient (PPSF-L-004)."""
    return not all_finite([gradient for _, gradient in _taking_part(rates, gradients)])


def _taking_part(rates: Sequence[float], gradients: Gradients) -> Iterator[tuple[Place, Array]]:
    for i, (rate, row) in enumerate(zip(rates, gradients, strict=True)):
        for j, gradient in enumerate(row):
            if gradient is not None and taking_part(gradient, rate) is not None:
                yield (i, j), gradient


def prepares(before: Snapshot, rates: Sequence[float], gradients: Gradients) -> bool:
    """Whether a step is one that checkpoints take to prepare an optimizer."""
    moves = any(rates) or any(bool(np.any(gradient)) for row in gradients for gradient in row if gradient is not None)
    return not moves and not any(_has_state(param) for group in before.state.groups for param in group.params)


def _has_state(param: ParamState) -> bool:
    return any(getattr(param, name) is not None for name in ARRAYS if name != "y")
