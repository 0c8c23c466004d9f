"""One step: the launches, in their order.

No value is read on the host. Whatever depends on the finiteness of the gradients obeys a flag on the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.direction import FOUND_WIDTH
from ppsf_fast.backends.triton.factors import factors
from ppsf_fast.backends.triton.features import Features, Law, is_early, options_row
from ppsf_fast.backends.triton.geometry import cut
from ppsf_fast.backends.triton.kernels import apply, look, measure, part, reduce, squares
from ppsf_fast.backends.triton.launch import context, launch
from ppsf_fast.backends.triton.numbers import begin, end
from ppsf_fast.backends.triton.passes import SLOT
from ppsf_fast.backends.triton.table import Bucket, Entry, Layout, buckets_of, entry_of, layout_of
from ppsf_fast.backends.triton.totals import finish_items, finish_sums
from ppsf_fast.backends.triton.workspace import Workspace
from ppsf_fast.plan import Plan
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import Scalars, is_count

WIDE = torch.float64


@dataclass(slots=True)
class _Ready:
    """A bucket with its tables and scratch on the device."""

    bucket: Bucket
    table: Tensor
    tiles: Tensor
    work: Tensor
    pieces: int
    found: Tensor
    parts: Tensor
    roots: Tensor
    means: Tensor

    @property
    def features(self) -> Features:
        return self.bucket.features

    @property
    def size(self) -> int:
        """Number of its parameters."""
        return len(self.bucket.entries)


class Step:
    """One step on one device.

    Args:
        plan: gathered and equipped; all its tensors are on one device.
        workspace: of that device.
    """

    def __init__(self, plan: Plan, workspace: Workspace) -> None:
        self.plan, self.at = plan, workspace
        self.groups = plan.groups
        self.law = Law.of(self.groups[0].rule.revision)
        self.early = is_early(self.groups[0].rule.revision)
        by = cut()
        entries: list[tuple[Entry, Rule]] = []
        for row, group in enumerate(self.groups):
            for item in group.items:
                entry = entry_of(item, group.rule, row, len(entries), by)
                assert entry is not None
                entries.append((entry, group.rule))
        self.entries = entries
        self.ready = [self._made_ready(bucket, number) for number, bucket in enumerate(buckets_of(entries, by))]
        self.tiles = sum(ready.bucket.tiles for ready in self.ready)
        self.by_item = any(ready.features.by_item for ready in self.ready)
        self.slots = workspace.scratch("slots", self.tiles * SLOT.value, WIDE)
        self.shares = workspace.scratch("shares", len(entries) * SLOT.value, WIDE)
        self.bad = workspace.scratch("bad", self.tiles, torch.int32)
        self.numbers = workspace.scratch("numbers", len(self.groups) * C.NUMBERS_WIDTH, WIDE)
        self.options = self._options()
        self.scalars = self._scalars()

    # ------------------------------------------------------------------------------------------------------ tables

    def _made_ready(self, bucket: Bucket, number: int) -> _Ready:
        features = bucket.features
        signature = (features, bucket.first_tile, [entry.signature() for entry in bucket.entries])
        made: list[Layout] = []

        def layout() -> Layout:
            if not made:
                made.append(layout_of(bucket, cut()))
            return made[0]

        at = self.at
        table = at.table(("rows", number), signature, lambda: layout().rows)
        tiles = at.table(("tiles", number), signature, lambda: layout().tiles, torch.int32)
        work = at.table(("work", number), signature, lambda: layout().work, torch.int32)
        sizes = at.remembered(
            ("sizes", number), signature, lambda: (layout().parts, layout().roots, layout().means, len(layout().work))
        )
        parts, roots, means, pieces = sizes
        return _Ready(
            bucket,
            table,
            tiles,
            work,
            pieces // 2,
            at.scratch(f"found {number}", len(bucket.entries) * FOUND_WIDTH, WIDE),
            at.scratch(f"parts {number}", parts, WIDE),
            at.scratch(f"roots {number}", roots, torch.float32),
            at.scratch(f"means {number}", means, WIDE),
        )

    def _options(self) -> Tensor:
        rows = [options_row(group.rule) for group in self.groups]
        return self.at.table("options", rows, lambda: [number for row in rows for number in row], WIDE)

    def _scalars(self) -> Tensor:
        rows: list[int] = []
        for pool in self.plan.pools:
            for group in pool.groups:
                known = {**pool.scalars.tensors, **group.scalars.tensors}
                rows += [known[name].data_ptr() if name in known else 0 for name in C.SCALARS]
        return self.at.table("scalars", rows, lambda: rows)

    def _estimates(self) -> Tensor:
        home = self.at.device
        pairs = [(d.to(home), k.to(home)) for d, k in self.plan.estimates]
        self._alive = pairs
        rows = [tensor.data_ptr() for pair in pairs for tensor in pair]
        return self.at.table("estimates", rows, lambda: rows)

    def _ranges(self) -> tuple[Tensor, list[tuple[int, int]]]:
        """Where the shares of each group begin and how many there are; and of each pool its part of that table."""
        rows: list[int] = []
        of_pools: list[tuple[int, int]] = []
        first_group = 0
        for pool in self.plan.pools:
            groups = range(first_group, first_group + len(pool.groups))
            first_group += len(pool.groups)
            found = [each for group in groups for each in self._ranges_of(group)]
            of_pools.append((len(rows) // 3, len(found)))
            rows += [number for each in found for number in each]
        return self.at.table("ranges", rows, lambda: rows), of_pools

    def _ranges_of(self, group: int) -> list[tuple[int, int, int]]:
        if self.by_item:
            numbers = [entry.number for entry, _ in self.entries if entry.group == group]
            return [(group, numbers[0], len(numbers))] if numbers else []
        found = []
        for ready in self.ready:
            first = ready.bucket.first_tile
            for entry in ready.bucket.entries:
                if entry.group == group and ready.features.statistics:
                    found.append((group, first, entry.geometry.count))
                first += entry.geometry.count
        return _joined(found)

    def _pools(self, ranges: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """The pools, and what they publish."""
        pools: list[int] = []
        entries: list[int] = []
        places: dict[int, int] = {}
        place = 0
        for scalars in self.plan.changed:
            places[id(scalars)] = place
            place += len(scalars.names)
        first_group = 0
        for pool, (first, count) in zip(self.plan.pools, ranges, strict=True):
            begins = len(entries) // 3
            for scalars in (pool.scalars, *(group.scalars for group in pool.groups)):
                entries += _published(scalars, places[id(scalars)])
            pools += [first_group, len(pool.groups), first, count, begins, len(entries) // 3 - begins]
            first_group += len(pool.groups)
        self.values = torch.empty(place, dtype=WIDE, device=self.at.device)
        return self.at.table("pools", pools, lambda: pools), self.at.table("entries", entries, lambda: entries)

    def _items(self) -> Tensor:
        rows: list[int] = []
        number = 0
        for group in self.groups:
            rows += [number, len(group.items)]
            number += len(group.items)
        return self.at.table("items", rows, lambda: rows)

    # ---------------------------------------------------------------------------------------------------- launches

    def run(self, skipped: Tensor) -> Tensor:
        """Execute the step.

        Args:
            skipped: int64, raised by 1 on the device if the step changes nothing.

        Returns:
            the scalars that the step has changed, in a row, in the order of `plan.changed`.
        """
        with context(self.at.device):
            for ready in self.ready:
                self._look(ready)
            self._begin(skipped)
            for ready in self.ready:
                self._straighten(ready)
                launch(
                    factors, ready.pieces, ready.table, ready.work, self.numbers, ready.parts, ready.roots, ready.means,
                    F=ready.features,
                )  # fmt: skip
            if self.early:
                self._measure()
                self._end()
            for ready in self.ready:
                self._move(ready)
            if not self.early:
                self._finish_items()
                self._end()
        return self.values

    def _look(self, ready: _Ready) -> None:
        launch(
            look, ready.bucket.tiles, ready.table, ready.tiles, ready.found, ready.parts, self.slots, self.bad,
            F=ready.features,
        )  # fmt: skip

    def _begin(self, skipped: Tensor) -> None:
        elsewhere = self.at.kept("elsewhere", 1, torch.int32)
        launch(
            begin, len(self.groups), self.options, self.scalars, self.numbers, self._estimates(),
            len(self.plan.estimates), self.bad, self.tiles, elsewhere, skipped, L=self.law,
        )  # fmt: skip

    def _straighten(self, ready: _Ready) -> None:
        """Find what OrthoGrad takes from the gradients, and the squares of what it leaves."""
        features, tiles = ready.features, ready.bucket.tiles
        if not features.orthograd:
            return
        self._finish(ready, "components")
        launch(part, tiles, ready.table, ready.tiles, ready.found, self.slots, F=features)
        self._finish(ready, "part")
        if features.factored:
            launch(squares, tiles, ready.table, ready.tiles, ready.found, ready.parts, self.bad, F=features)

    def _finish(self, ready: _Ready, what: str) -> None:
        launch(
            finish_sums, ready.size, ready.table, ready.found, self.slots, self.numbers, WHAT=what, F=ready.features,
            warps=1,
        )  # fmt: skip

    def _measure(self) -> None:
        for ready in self.ready:
            if ready.features.statistics:
                launch(
                    measure, ready.bucket.tiles, ready.table, ready.tiles, ready.found, self.slots, self.numbers,
                    F=ready.features,
                )  # fmt: skip
        self._finish_items()

    def _finish_items(self) -> None:
        if not self.by_item:
            return
        for ready in self.ready:
            launch(
                finish_items, ready.size, ready.table, self.slots, self.numbers, self.shares,
                MEASURED=ready.features.statistics != "", F=ready.features, warps=1,
            )  # fmt: skip

    def _reduce(self, ready: _Ready, what: str) -> None:
        launch(
            reduce, ready.bucket.tiles, ready.table, ready.tiles, ready.found, self.slots, self.numbers, ready.roots,
            ready.means, WHAT=what, F=ready.features,
        )  # fmt: skip
        self._finish(ready, what)

    def _move(self, ready: _Ready) -> None:
        features = ready.features
        if features.steer == "cautious" and not features.averages and (features.keeps_moment or features.adopt):
            self._reduce(ready, "agreement")
        if features.clip:
            self._reduce(ready, "norm")
        if features.steer == "cautious" and features.averages:
            self._reduce(ready, "agreement")
        launch(
            apply, ready.bucket.tiles, ready.table, ready.tiles, ready.found, self.slots, self.numbers, ready.roots,
            ready.means, F=features,
        )  # fmt: skip

    def _end(self) -> None:
        ranges, of_pools = self._ranges()
        pools, entries = self._pools(of_pools)
        adopt = any(ready.features.adopt for ready in self.ready)
        launch(
            end, len(self.plan.pools), pools, ranges, self.shares if self.by_item else self.slots, self._items(),
            entries, self.options, self.scalars, self.numbers, self.values, L=self.law, ADOPT=adopt,
        )  # fmt: skip


def _joined(ranges: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Ranges of one group, those that follow each other made one."""
    found: list[tuple[int, int, int]] = []
    for group, first, count in ranges:
        if found and found[-1][1] + found[-1][2] == first:
            found[-1] = (group, found[-1][1], found[-1][2] + count)
        else:
            found.append((group, first, count))
    return found


def _published(scalars: Scalars, place: int) -> list[int]:
    """Of each scalar its address, whether it is a count, and where its value goes."""
    rows: list[int] = []
    for offset, name in enumerate(scalars.names):
        rows += [scalars.tensors[name].data_ptr(), int(is_count(name)), place + offset]
    return rows
