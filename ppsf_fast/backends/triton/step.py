"""One step: the launches, in their order.

No value is read on the host. Whatever depends on the finiteness of the gradients obeys a flag on the device. The
numbers of groups and pools are found on one device, and copied where parameters lie on others.
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
from ppsf_fast.plan import Plan
from ppsf_fast.scalars import Scalars, is_count


class Step:
    """One step.

    Args:
        plan: gathered and equipped.
        parts: what each device does of it; the first one leads.
        workspace: of the device that leads.
    """

    def __init__(self, plan: Plan, parts: Sequence[Part], workspace: Workspace) -> None:
        self.plan, self.parts, self.at = plan, parts, workspace
        self.lead = parts[0]
        self.groups = plan.groups
        revision = self.groups[0].rule.revision
        self.law, self.early = Law.of(revision), is_early(revision)
        for scalars in plan.changed:
            _bring(scalars, self.at.device)
        self.values = self.at.kept("values", sum(len(each.names) for each in plan.changed), FLOAT64)

    def run(self, skipped: Tensor) -> Tensor:
        """Execute the step, of which all gradients have been looked at.

        Args:
            skipped: int64, raised by 1 on the device if the step changes nothing.

        Returns:
            the scalars that the step has changed, in a row, in the order of `plan.changed`.
        """
        self._begin(skipped)
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

    # --------------------------------------------------------------------------------------- numbers of the groups

    def _begin(self, skipped: Tensor) -> None:
        options = [options_row(group.rule) for group in self.groups]
        self.options = self.at.table("options", options, lambda: [each for row in options for each in row], FLOAT64)
        self.scalars = self._scalars()
        estimates, kept = self._estimates()
        elsewhere = self._bad_elsewhere()
        with context(self.at.device):
            launch(
                begin, len(self.groups), self.options, self.scalars, self.lead.numbers, estimates,
                len(self.plan.estimates), self.lead.bad, self.lead.looks, elsewhere, skipped, L=self.law,
            )  # fmt: skip
        del kept
        self._spread()

    def _scalars(self) -> Tensor:
        rows: list[int] = []
        for pool in self.plan.pools:
            for group in pool.groups:
                known = {**pool.scalars.tensors, **group.scalars.tensors}
                rows += [known[name].data_ptr() if name in known else 0 for name in C.SCALARS]
        return self.at.table("scalars", rows, lambda: rows)

    def _estimates(self) -> tuple[Tensor, list[Tensor]]:
        """The addresses of d and k of every group whose estimate counts, and what is there, to be kept alive."""
        tensors = [tensor.to(self.at.device) for pair in self.plan.estimates for tensor in pair]
        rows = [tensor.data_ptr() for tensor in tensors]
        return self.at.table("estimates", rows, lambda: rows), tensors

    def _bad_elsewhere(self) -> Tensor:
        """Whether another device, or a GradScaler, has seen a gradient that is not finite, int32."""
        found = self.at.kept("elsewhere", 1, torch.int32)
        others = [part.bad[: part.looks].sum() for part in self.parts[1:] if part.looks]
        if self.plan.scaling.found is not None:
            # clause: PPSF-L-013 ad4b6833
            others.append(self.plan.scaling.found != 0)
        if not others:
            return found
        return torch.stack([flag.to(self.at.device) for flag in others]).sum().int()

    def _spread(self) -> None:
        for part in self.parts[1:]:
            part.numbers.copy_(self.lead.numbers, non_blocking=True)

    # ------------------------------------------------------------------------------------------------ the estimate

    def _end(self) -> None:
        for part in self.parts:
            part.finish()
        contributions = self._contributions()
        pools, ranges, entries, members = self._tables()
        adopt = any(group.rule.adopt for group in self.groups)
        with context(self.at.device):
            launch(
                end, len(self.plan.pools), pools, ranges, contributions, members, entries, self.options, self.scalars,
                self.lead.numbers, self.values, L=self.law, ADOPT=adopt,
            )  # fmt: skip
        self._spread()

    def _contributions(self) -> Tensor:
        if len(self.parts) == 1:
            return self.lead.contributions
        width = SLOT.value
        here = [part.contributions[: part.rows * width].to(self.at.device) for part in self.parts]
        return torch.cat(here)

    def _ranges_of(self, group: int) -> list[tuple[int, int]]:
        found, first = [], 0
        for part in self.parts:
            found += [(first + begins, count) for begins, count in part.ranges(group)]
            first += part.rows
        return found

    def _tables(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of pools, of ranges of contributions, of what is published, and of the ranges of each group."""
        places: dict[int, int] = {}
        for scalars in self.plan.changed:
            places[id(scalars)] = sum(len(each.names) for each in self.plan.changed[: len(places)])
        pools: list[int] = []
        ranges: list[int] = []
        entries: list[int] = []
        members: list[int] = []
        group = 0
        for pool in self.plan.pools:
            first, first_range, first_entry = group, len(ranges) // 3, len(entries) // 3
            for scalars in (pool.scalars, *(each.scalars for each in pool.groups)):
                entries += _published(scalars, places[id(scalars)])
            for _ in pool.groups:
                found = self._ranges_of(group)
                members += [len(ranges) // 3, len(found)]
                ranges += [number for begins, count in found for number in (group, begins, count)]
                group += 1
            pools += [first, group - first, first_range, len(ranges) // 3 - first_range]
            pools += [first_entry, len(entries) // 3 - first_entry]
        named = (("pools", pools), ("ranges", ranges), ("entries", entries), ("members", members))
        of_pools, of_ranges, of_entries, of_members = (self.at.table(name, rows, rows.copy) for name, rows in named)
        return of_pools, of_ranges, of_entries, of_members


def _bring(scalars: Scalars, device: torch.device) -> None:
    for name, tensor in scalars.tensors.items():
        scalars.tensors[name] = tensor.to(device)


def _published(scalars: Scalars, place: int) -> list[int]:
    """Of each scalar its address, whether it is a count, and where its value goes."""
    rows: list[int] = []
    for offset, name in enumerate(scalars.names):
        rows += [scalars.tensors[name].data_ptr(), int(is_count(name)), place + offset]
    return rows
