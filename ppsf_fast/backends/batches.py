"""Parameters of one group that are stepped together, and who steps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ppsf_fast.backends.coefficients import Coefficients, Outcome, moved_to
from ppsf_fast.backends.native import run as native
from ppsf_fast.backends.native.run import Table
from ppsf_fast.backends.room import Room
from ppsf_fast.backends.stacks import Stack, stacked
from ppsf_fast.backends.statistics import Statistics, measured
from ppsf_fast.backends.weights import move
from ppsf_fast.plan import Item
from ppsf_fast.roster import Roster
from ppsf_fast.rule import Rule


@dataclass(slots=True)
class Batch:
    """Parameters on one device, all alike unless the kernel steps them.

    Attributes:
        items: the parameters.
        rule, by: of their group; the numbers are on their device.
        room: for what operations of torch make on the way.
        table: what the kernel reads; None: they are stepped by operations of torch.
    """

    items: Sequence[Item]
    rule: Rule
    by: Coefficients
    room: Room
    table: Table | None = None

    def measure(self) -> Statistics:
        """Update what they remember for the estimate; their shares, in the order of `items`."""
        if self.table is not None:
            return self._run(Outcome(self.by.d, None), measures=True, moves=False)
        stack = Stack.of(self.items, self.room)
        shares = measured(stack, self.rule, self.by, self.room)
        stack.unload(weights=False)
        return shares

    def move(self, outcome: Outcome) -> None:
        """Move moments and weights; `outcome` may be on another device."""
        outcome = moved_to(self.by.k.device, outcome)
        if self.table is not None:
            self._run(outcome, measures=False, moves=True)
            return
        stack = Stack.of(self.items, self.room)
        move(stack, self.rule, self.by, outcome, self.room)
        stack.unload(weights=True)

    def step(self) -> Statistics:
        """Both, where no move needs the estimate after the step."""
        outcome = Outcome(self.by.d, self.by.ok)
        if self.table is not None:
            return self._run(outcome, measures=True, moves=True)
        stack = Stack.of(self.items, self.room)
        shares = measured(stack, self.rule, self.by, self.room)
        move(stack, self.rule, self.by, outcome, self.room)
        stack.unload(weights=True)
        return shares

    def _run(self, outcome: Outcome, measures: bool, moves: bool) -> Statistics:
        assert self.table is not None
        return Statistics(*native.step(self.items, self.table, self.rule, self.by, outcome, measures, moves).unbind(1))


def batches(
    items: Sequence[Item],
    rule: Rule,
    by: Coefficients,
    compiles: bool,
    roster: Roster | None = None,
    room: Room | None = None,
) -> list[Batch]:
    """Items of one group as batches, each with its numbers on its device.

    Args:
        items: the parameters.
        rule, by: of their group.
        compiles: whether the compiled kernel is used where it can be.
        roster: that of these items.
        room: that others in the step use too.
    """
    room = Room() if room is None else room
    by_device: dict[torch.device, list[Item]] = {}
    for item in items:
        by_device.setdefault(item.param.device, []).append(item)
    found = []
    for device, here in by_device.items():
        numbers = moved_to(device, by)
        if compiles and by.unscale is None and native.available(rule, device):
            table = _table(here, rule, roster)
            served = [here[place] for place in table.served]
            found += [Batch(served, rule, numbers, room, table)] if served else []
            here = [here[place] for place in table.others]
        found += [Batch(alike, rule, numbers, room) for alike in stacked(here, rule)]
    return found


def _table(items: Sequence[Item], rule: Rule, roster: Roster | None) -> Table:
    """What the kernel reads; a roster keeps it until something changes."""
    if roster is None:
        return Table.of(items, rule)
    if roster.work is None:
        roster.work = Table.of(items, rule)
    found: Table = roster.work
    return found
