"""Calls of the kernel."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients, Outcome
from ppsf_fast.backends.native import layout
from ppsf_fast.backends.native.build import library
from ppsf_fast.plan import Item
from ppsf_fast.rule import Rule


def available(rule: Rule, device: torch.device) -> bool:
    """Whether the kernel can step parameters of a rule on a device."""
    return device.type == "cpu" and layout.serves(rule) and library() is not None


def sorted_out(items: Sequence[Item], rule: Rule) -> tuple[list[Item], array[int], list[Item]]:
    """The items that the kernel serves, their table, and those that it does not."""
    served, table, others = [], array("q"), []
    for item in items:
        words = layout.words(item, rule)
        if words is None:
            others.append(item)
        else:
            served.append(item)
            table.extend(words)
    return served, table, others


def step(
    items: Sequence[Item],
    table: array[int],
    rule: Rule,
    by: Coefficients,
    outcome: Outcome,
    measures: bool,
    moves: bool,
) -> Tensor:
    """Step items of one group.

    Args:
        items: what :func:`sorted_out` found, with `table`.
        rule, by: of their group.
        outcome: what the moves need of the estimate.
        measures: update what the estimate remembers.
        moves: move moments and weights.

    Returns:
        float64, shape (len(items), 2): the shares in the numerator and in the denominator; zeros without `measures`.
    """
    kernel = library()
    assert kernel is not None
    results = torch.empty(len(items), 2, dtype=torch.float64)
    numbers = layout.numbers(rule, by, outcome, measures, moves)
    threads, rows = torch.get_num_threads(), table.buffer_info()[0]
    # Allocated by torch, so that whoever watches memory sees it.
    size = kernel.ppsf_scratch(rows, len(items), threads)
    scratch = torch.empty(size, dtype=torch.uint8)
    kernel.ppsf_step(rows, len(items), numbers.buffer_info()[0], scratch.data_ptr(), size, threads, results.data_ptr())
    if moves:  # autograd has to know that saved weights are not what they were
        torch.autograd.graph.increment_version([item.param for item in items if not item.param.is_inference()])
    return results
