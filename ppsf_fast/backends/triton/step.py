"""A step: the launches, in their order.

No value is read on the host. Whatever depends on the finiteness of the gradients obeys a flag on the device. The
numbers of groups and pools are found on one device, and copied where parameters lie on others. Steps of the same form
make the same launches, over the same tables; only what a table is made from may have changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.estimate import SLOT
from ppsf_fast.backends.triton.features import Law, is_early, options_row
from ppsf_fast.backends.triton.launch import context, launch
from ppsf_fast.backends.triton.numbers import begin, end
from ppsf_fast.backends.triton.parts import FLOAT64, Part
from ppsf_fast.backends.triton.workspace import Workspace
from ppsf_fast.options import Group
from ppsf_fast.plan import Plan
from ppsf_fast.rule import Rule, same
from ppsf_fast.scalars import Scalars, is_count


class Step:
    """Steps of one form. It keeps no tensor of the trainer.

    Args:
        plan: gathered and equipped.
        averaged: the scalars of each group's pool, if the step averages estimates; else none.
        parts: what each device does of it; the first one leads.
        workspace: of the device that leads.
        skipped: int64, raised by 1 on the device that leads if a step changes nothing.

    Attributes:
        changed: the scalars that a step changes.
    """

    def __init__(
        self, plan: Plan, averaged: Sequence[Scalars], parts: Sequence[Part], workspace: Workspace, skipped: Tensor
    ) -> None:
        self.parts, self.at, self.skipped = parts, workspace, skipped
        self.lead = parts[0]
        self.changed, self._averaged = plan.changed, averaged
        self._pools = [(pool.scalars, [group.scalars for group in pool.groups]) for pool in plan.pools]
        self._indices = [group.index for group in plan.groups]
        self._used = list({id(scalars): scalars for scalars in (*self.changed, *averaged)}.values())
        self._rules = [group.rule for group in plan.groups]
        revision = self._rules[0].revision
        self.law, self.early, self.adopt = Law.of(revision), is_early(revision), any(each.adopt for each in self._rules)
        self.values = self.at.kept("values", sum(len(each.names) for each in self.changed), FLOAT64)
        self._bound: list[int] = []
        self._tell()

    @property
    def device(self) -> torch.device:
        """That leads."""
        return self.at.device

    def take(self, groups: Sequence[Group], rules: Sequence[Rule], edited: bool, found: Tensor | None) -> Tensor:
        """Execute a step, of which all gradients have been looked at.

        Args:
            groups: all groups of the optimizer.
            rules: what their options mean.
            edited: whether scalars of the groups may have been edited: then they are brought to the device.
            found: not 0 if a GradScaler says that the step must change nothing; None: it says nothing.

        Returns:
            the scalars that the step has changed, in a row, in the order of `changed`.
        """
        if edited or self._addresses() != self._bound:
            self._bind(groups)
        mine = [rules[index] for index in self._indices]
        if not same(mine, self._rules):
            self._rules = mine
            self._tell()
        self._begin(found)
        for part in self.parts:
            part.prepare()
        if self.early:
            for part in self.parts:
                part.measure()
            self._end()
        for part in self.parts:
            part.move()
        if not self.early:
            self._end()
        return self.values

    # ------------------------------------------------------------------------------------------------- the launches

    def _tell(self) -> None:
        """Send the options of groups, if any is another."""
        rows = [options_row(rule) for rule in self._rules]
        self._options = self.at.table("options", rows, lambda: [each for row in rows for each in row], FLOAT64)

    def _addresses(self) -> list[int]:
        """Where the scalars are."""
        return [tensor.data_ptr() for scalars in self._used for tensor in scalars.tensors.values()]

    def _bind(self, groups: Sequence[Group]) -> None:
        """Bring the scalars to the device; if they are elsewhere then, make the launches that read and write them."""
        for each in self._used:
            each.upload(groups, self.device)
        addresses = self._addresses()
        if addresses == self._bound:
            return
        self._bound = addresses
        scalars = self._scalars()
        pools, ranges, entries, members = self._tables()
        numbers, width = self.lead.numbers, SLOT.value
        rows = [tensor.data_ptr() for each in self._averaged for tensor in (each.tensors["d"], each.tensors["k"])]
        estimates = self.at.table("estimates", rows, lambda: rows)
        self._told = self.at.kept("told", 1, torch.int32)
        self._begins = [
            launch(
                begin, len(self._rules), self._options, scalars, numbers, estimates, len(self._averaged), self.lead.bad,
                self.lead.looks, elsewhere, self.skipped, L=self.law,
            )
            for elsewhere in (self.at.kept("elsewhere", 1, torch.int32), self._told)
        ]  # fmt: skip
        self._joined = self.lead.contributions
        if len(self.parts) > 1:
            self._joined = self.at.scratch("joined", sum(part.rows for part in self.parts) * width, FLOAT64)
        self._ends = launch(
            end, len(self._pools), pools, ranges, self._joined, members, entries, self._options, scalars, numbers,
            self.values, L=self.law, ADOPT=self.adopt,
        )  # fmt: skip

    def _begin(self, found: Tensor | None) -> None:
        others = [part.bad[: part.looks].sum() for part in self.parts[1:] if part.looks]
        if found is not None:
            # clause: PPSF-L-013 ad4b6833
            others.append(found != 0)
        with context(self.device):
            if others:
                self._told.copy_(torch.stack([flag.to(self.device) for flag in others]).sum())
            self._begins[bool(others)]()
        self._spread()

    def _spread(self) -> None:
        for part in self.parts[1:]:
            part.numbers.copy_(self.lead.numbers, non_blocking=True)

    def _end(self) -> None:
        for part in self.parts:
            part.finish()
        if len(self.parts) > 1:
            self._join()
        with context(self.device):
            self._ends()
        self._spread()

    def _join(self) -> None:
        """Bring the contributions of all devices to the one that leads."""
        first, width = 0, SLOT.value
        for part in self.parts:
            count = part.rows * width
            self._joined[first : first + count].copy_(part.contributions[:count], non_blocking=True)
            first += count

    # --------------------------------------------------------------------------------------------------- the tables

    def _scalars(self) -> Tensor:
        rows: list[int] = []
        for pool, groups in self._pools:
            for group in groups:
                known = {**pool.tensors, **group.tensors}
                rows += [known[name].data_ptr() if name in known else 0 for name in C.SCALARS]
        return self.at.table("scalars", rows, lambda: rows)

    def _ranges_of(self, group: int) -> list[tuple[int, int]]:
        found, first = [], 0
        for part in self.parts:
            found += [(first + begins, count) for begins, count in part.ranges(group)]
            first += part.rows
        return found

    def _tables(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of pools, of ranges of contributions, of what is published, and of the ranges of each group."""
        places: dict[int, int] = {}
        for scalars in self.changed:
            places[id(scalars)] = sum(len(each.names) for each in self.changed[: len(places)])
        pools: list[int] = []
        ranges: list[int] = []
        entries: list[int] = []
        members: list[int] = []
        group = 0
        for pool, groups in self._pools:
            first, first_range, first_entry = group, len(ranges) // 3, len(entries) // 3
            for scalars in (pool, *groups):
                entries += _published(scalars, places[id(scalars)])
            for _ in groups:
                found = self._ranges_of(group)
                members += [len(ranges) // 3, len(found)]
                ranges += [number for begins, count in found for number in (group, begins, count)]
                group += 1
            pools += [first, group - first, first_range, len(ranges) // 3 - first_range]
            pools += [first_entry, len(entries) // 3 - first_entry]
        named = (("pools", pools), ("ranges", ranges), ("entries", entries), ("members", members))
        of_pools, of_ranges, of_entries, of_members = (self.at.table(name, rows, rows.copy) for name, rows in named)
        return of_pools, of_ranges, of_entries, of_members


def _published(scalars: Scalars, place: int) -> list[int]:
    """Of each scalar its address, whether it is a count, and where its value goes."""
    rows: list[int] = []
    for offset, name in enumerate(scalars.names):
        rows += [scalars.tensors[name].data_ptr(), int(is_count(name)), place + offset]
    return rows
