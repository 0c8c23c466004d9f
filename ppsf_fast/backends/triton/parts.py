"""The part of a step that one device does: passes over its parameters, bucket by bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.direction import FOUND_WIDTH
from ppsf_fast.backends.triton.estimate import SLOT
from ppsf_fast.backends.triton.factors import factors
from ppsf_fast.backends.triton.features import Features
from ppsf_fast.backends.triton.geometry import cut
from ppsf_fast.backends.triton.kernels import apply, look, measure, part, reduce, squares, whole
from ppsf_fast.backends.triton.launch import MOST, Launch, context, launch
from ppsf_fast.backends.triton.table import Bucket, Entry, buckets_of, layout_of, looks
from ppsf_fast.backends.triton.totals import finish_items, finish_sums
from ppsf_fast.backends.triton.workspace import Workspace
from ppsf_fast.rule import Rule

#: The dtype of sums and of the numbers of groups.
FLOAT64 = torch.float64


@dataclass(slots=True)
class _Ready:
    """A bucket with its tables and scratch on the device.

    Attributes:
        features, of_large, of_small: what its kernels are compiled for: those for all of its parameters, and for some.
        tiles, looks, pieces: numbers of tiles, of programs that look first, of pieces of rows and columns; those of
            small parameters count for the first look only.
        members: positions of its parameters among all of the device, in the order of the rows.
        places: likewise among all of the plan, int64, on the host.
        large: how many of them are not small.
        rows: of the table.
        of_tiles, of_looks, of_sums, work: which program does what.
    """

    features: Features
    of_large: Features
    of_small: Features
    tiles: int
    looks: int
    pieces: int
    members: tuple[int, ...]
    places: Tensor
    large: int
    rows: Tensor
    of_tiles: Tensor
    of_looks: Tensor
    of_sums: Tensor
    work: Tensor
    found: Tensor
    parts: Tensor
    means: Tensor


class Part:
    """What a step does on one device. It holds tables and scratch, and no tensor of the trainer.

    Args:
        entries: the parameters there, with their rules.
        workspace: of the device.
        groups: number of groups of the plan.

    Attributes:
        places: positions of its parameters among all of the plan.
        numbers: those of the groups, on this device.
        slots: of tiles.
        shares: of parameters, where these are more than the sums of their tiles.
        looks: number of programs that look first.
        bad: what each of them found: how many elements are not finite.
    """

    def __init__(self, entries: Sequence[tuple[Entry, Rule]], workspace: Workspace, groups: int) -> None:
        self.at = workspace
        for number, (entry, _) in enumerate(entries):
            entry.number = number
        self.places = tuple(entry.place for entry, _ in entries)
        buckets = buckets_of(entries, cut())
        self.tiles = sum(bucket.tiles for bucket in buckets)
        self.looks = sum(looks(bucket, cut()) for bucket in buckets)
        self.by_item = any(bucket.features.by_item for bucket in buckets)
        self.slots = workspace.scratch("slots", self.tiles * SLOT.value, FLOAT64)
        self.shares = workspace.scratch("shares", len(entries) * SLOT.value, FLOAT64)
        self.bad = workspace.scratch("bad", self.looks, torch.int32)
        self.numbers = workspace.scratch("numbers", groups * C.NUMBERS_WIDTH, FLOAT64)
        self.ready = [self._made_ready(bucket, number) for number, bucket in enumerate(buckets)]
        self._ranges = [self._ranges_of(group, entries, buckets) for group in range(groups)]
        self._launches = {
            "look": self._all(self._looking),
            "prepare": self._all(self._preparing),
            "measure": self._all(self._measuring),
            "move": self._all(self._moving),
            "finish": self._all(self._finishing),
        }

    @property
    def device(self) -> torch.device:
        return self.at.device

    def _made_ready(self, bucket: Bucket, number: int) -> _Ready:
        at, layout, features = self.at, layout_of(bucket, cut()), bucket.features
        at.sent([0] * len(bucket.entries), torch.int64, ("gradients", number))  # memory to tell where these are later
        of_tiles, of_sums = at.sent(layout.tiles, torch.int32), at.sent(layout.sums, torch.int32)
        return _Ready(
            features,
            bucket.of_large,
            bucket.of_small,
            bucket.large_tiles,
            looks(bucket, cut()),
            len(layout.work) // 2,
            tuple(entry.number for entry in bucket.entries),
            torch.tensor([entry.place for entry in bucket.entries], device="cpu"),
            bucket.large,
            at.sent(layout.rows, torch.int64),
            of_tiles,
            of_tiles if features.orthograd else of_sums,
            of_sums,
            at.sent(layout.work, torch.int32),
            at.scratch(f"found {number}", len(bucket.entries) * FOUND_WIDTH, FLOAT64),
            at.scratch(f"parts {number}", layout.parts, torch.float32),
            at.scratch(f"means {number}", layout.means, FLOAT64),
        )

    def regard(self, gradients: Tensor) -> None:
        """Let the tables say where the gradients are now, all of them; nothing else has changed.

        Args:
            gradients: their addresses, in the order of the plan, int64, on the host.
        """
        with context(self.device):
            for number, ready in enumerate(self.ready):
                moved = self.at.brought(gradients[ready.places], ("gradients", number))
                ready.rows.view(-1, C.ITEM_WIDTH)[:, C.G.value] = moved

    # ------------------------------------------------------------------------------------------------- the passes

    def look(self) -> None:
        """See every gradient, before anything is written."""
        self._make("look")

    def prepare(self) -> None:
        """Renew what is needed before an update is known: rows and columns, and the gradient that OrthoGrad sees."""
        self._make("prepare")

    def measure(self) -> None:
        """Sum what the estimate needs, where the weights move by the estimate after the step."""
        self._make("measure")

    def move(self) -> None:
        """Move moments and weights."""
        self._make("move")

    def finish(self) -> None:
        """Find what each parameter contributes to the estimate, where that is more than a sum."""
        self._make("finish")

    def _make(self, what: str) -> None:
        launches = self._launches[what]
        if launches:
            with context(self.device):
                for each in launches:
                    each()

    def _all(self, of: Callable[[_Ready], Iterable[Launch]]) -> list[Launch]:
        """The launches of all buckets, but for those that would do nothing."""
        return [each for ready in self.ready for each in of(ready) if each.programs]

    def _looking(self, ready: _Ready) -> Iterator[Launch]:
        yield launch(
            look, ready.looks, ready.rows, ready.of_looks, ready.found, ready.parts, self.slots, self.bad,
            F=ready.features, registers=ready.features.registers_of_sums,
        )  # fmt: skip

    def _preparing(self, ready: _Ready) -> Iterator[Launch]:
        if ready.features.orthograd:
            yield from self._straightening(ready)
        yield launch(
            factors, ready.pieces, ready.rows, ready.work, self.numbers, ready.parts, ready.means, F=ready.of_large
        )

    def _straightening(self, ready: _Ready) -> Iterator[Launch]:
        """Find what OrthoGrad takes from the gradients, and the squares of what it leaves."""
        yield self._sums(ready, "components")
        yield self._over(ready, part, ready.found, self.slots)
        yield self._sums(ready, "part")
        if ready.features.factored:
            yield launch(
                squares, ready.of_sums.numel() // 2, ready.rows, ready.of_sums, ready.found, ready.parts, self.bad,
                F=ready.of_large, registers=ready.of_large.registers_of_sums,
            )  # fmt: skip

    def _measuring(self, ready: _Ready) -> Iterator[Launch]:
        if ready.features.statistics:
            yield self._over(ready, measure, ready.found, self.slots, self.numbers)

    def _moving(self, ready: _Ready) -> Iterator[Launch]:
        for what in ready.features.reductions:
            yield launch(
                reduce, ready.tiles, ready.rows, ready.of_tiles, ready.found, self.slots, self.numbers, ready.parts,
                ready.means, WHAT=what, F=ready.of_large, registers=ready.of_large.registers_of_updates,
            )  # fmt: skip
            yield self._sums(ready, what)
        yield self._over(ready, apply, ready.found, self.slots, self.numbers, ready.parts, ready.means)
        yield launch(
            whole, len(ready.members) - ready.large, ready.rows, ready.found, self.slots, self.numbers, ready.parts,
            ready.means, ready.large, F=ready.of_small, registers=MOST,
        )  # fmt: skip

    def _finishing(self, ready: _Ready) -> Iterator[Launch]:
        if self.by_item:
            yield launch(
                finish_items, len(ready.members), ready.rows, self.slots, self.numbers, self.shares,
                MEASURED=ready.features.statistics != "", F=ready.features, warps=1,
            )  # fmt: skip

    def _sums(self, ready: _Ready, what: str) -> Launch:
        return launch(
            finish_sums, ready.large, ready.rows, ready.found, self.slots, self.numbers,
            WHAT=what, F=ready.of_large, warps=1,
        )  # fmt: skip

    @staticmethod
    def _over(ready: _Ready, kernel: Any, *args: Tensor) -> Launch:
        """A kernel over the tiles of a bucket."""
        return launch(
            kernel, ready.tiles, ready.rows, ready.of_tiles, *args, F=ready.of_large,
            registers=ready.of_large.registers,
        )  # fmt: skip

    # ----------------------------------------------------------------------------------------------- the estimate

    @property
    def contributions(self) -> Tensor:
        """What the sums of the estimate are made of, in rows of `SLOT`: of parameters or of tiles."""
        return self.shares if self.by_item else self.slots

    @property
    def rows(self) -> int:
        """Number of rows of the contributions."""
        return len(self.places) if self.by_item else self.tiles

    def ranges(self, group: int) -> list[tuple[int, int]]:
        """Which rows of the contributions are a group's: where a range begins, and how many there are."""
        return self._ranges[group]

    def _ranges_of(
        self, group: int, entries: Sequence[tuple[Entry, Rule]], buckets: Sequence[Bucket]
    ) -> list[tuple[int, int]]:
        if self.by_item:
            return _joined((entry.number, 1) for entry, _ in entries if entry.group == group)
        found = []
        for bucket in buckets:
            first = bucket.first_tile
            for entry in bucket.entries:
                if entry.group == group and bucket.features.statistics:
                    found.append((first, entry.geometry.count))
                first += entry.geometry.count
        return _joined(found)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges, those that follow each other made one."""
    found: list[tuple[int, int]] = []
    for first, count in ranges:
        if found and sum(found[-1]) == first:
            found[-1] = (found[-1][0], found[-1][1] + count)
        else:
            found.append((first, count))
    return found
