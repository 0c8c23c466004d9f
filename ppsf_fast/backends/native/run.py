"""Calls of the kernel."""

from __future__ import annotations

import ctypes
import functools
import warnings
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients, Outcome
from ppsf_fast.backends.native import layout
from ppsf_fast.backends.native.build import library
from ppsf_fast.plan import Item
from ppsf_fast.rule import Rule


def available(rule: Rule, device: torch.device) -> bool:
    """Whether the kernel can step parameters of a rule on a device; where it never does, a warning says so once."""
    if device.type != "cpu":
        _warn_of(device.type)
        return False
    return layout.serves(rule) and library() is not None


@functools.cache
def _warn_of(kind: str) -> None:
    warnings.warn(
        f"compile=True: there is no compiled step for parameters on {kind!r}, which are stepped by operations of "
        "torch. Leave compile out, or keep it for the parameters on the CPU.",
        stacklevel=2,
    )


@dataclass(slots=True)
class Table:
    """Parameters of one group as the kernel reads them; it holds none of them.

    Attributes:
        words: one row of each that is served.
        served, others: where in the list of parameters those are that the kernel serves, and those that it does not.
        room: what :func:`look` keeps for the next :func:`step`.
    """

    words: array[int]
    served: list[int]
    others: list[int]
    room: Tensor | None = None

    @staticmethod
    def of(items: Sequence[Item], rule: Rule) -> Table:
        """The table of all parameters of a list."""
        table = Table(array("q"), [], [])
        for place, item in enumerate(items):
            words = layout.words(item, rule)
            (table.others if words is None else table.served).append(place)
            table.words.extend(words or ())
        return table

    def renew(self, items: Sequence[Item]) -> None:
        """Take the gradients of the same list from where they are now; what was seen of others counts no more."""
        self.room = None
        self.words[:: layout.SIZE] = array("q", [items[place].grad.data_ptr() for place in self.served])


def _scratch(kernel: ctypes.CDLL, rows: int, count: int, threads: int) -> Tensor:
    # Allocated by torch, so that whoever watches memory sees it.
    return torch.empty(kernel.ppsf_scratch(rows, count, threads), dtype=torch.uint8, device="cpu")


def look(table: Table, rule: Rule) -> bool:
    """Whether a step may take all gradients that a table serves (PPSF-L-004); changes nothing else."""
    kernel = library()
    assert kernel is not None
    threads, rows, count = torch.get_num_threads(), table.words.buffer_info()[0], len(table.served)
    scratch, room = _scratch(kernel, rows, count, threads), None
    if not rule.penalizes:  # else it is not the gradient whose squares are summed
        table.room = torch.empty(kernel.ppsf_kept(rows, count), dtype=torch.float32, device="cpu")
        room = table.room.data_ptr()
    return bool(kernel.ppsf_look(rows, count, scratch.data_ptr(), scratch.numel(), threads, room))


def step(
    items: Sequence[Item],
    table: Table,
    rule: Rule,
    by: Coefficients,
    outcome: Outcome,
    measures: bool,
    moves: bool,
) -> Tensor:
    """Step items of one group.

    Args:
        items: those that `table` serves.
        rule, by: of their group.
        outcome: what the moves need of the estimate.
        measures: update what the estimate remembers.
        moves: move moments and weights.

    Returns:
        float64, shape (len(items), 2): the shares in the numerator and in the denominator; zeros without `measures`.
    """
    kernel = library()
    assert kernel is not None
    results = torch.empty(len(items), 2, dtype=torch.float64, device="cpu")
    numbers = layout.numbers(rule, by, outcome, measures, moves)
    threads, rows = torch.get_num_threads(), table.words.buffer_info()[0]
    scratch = _scratch(kernel, rows, len(items), threads)
    room, table.room = (table.room, None) if moves else (None, table.room)
    kernel.ppsf_step(
        rows,
        len(items),
        numbers.buffer_info()[0],
        scratch.data_ptr(),
        scratch.numel(),
        threads,
        None if room is None else room.data_ptr(),
        results.data_ptr(),
    )
    if moves:  # autograd has to know that saved weights are not what they were
        torch.autograd.graph.increment_version([item.param for item in items if not item.param.is_inference()])
    return results
