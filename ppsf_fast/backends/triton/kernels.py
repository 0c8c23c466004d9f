"""The launches over the work table: each program takes one tile to the pass that its kernel is for.

A bucket may hold blocks of several shapes; those that it does not hold are not compiled.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton import passes
from ppsf_fast.backends.triton.direction import FOUND_WIDTH

_ITEM = tl.constexpr(C.ITEM_WIDTH)
_NUMBERS = tl.constexpr(C.NUMBERS_WIDTH)
_FOUND = tl.constexpr(FOUND_WIDTH)


@triton.jit
def _located(table, tiles, found):
    """Where this program works: the row of its parameter, tile and slot, and what is found of the parameter."""
    to = tiles + 2 * tl.program_id(0).to(tl.int64)
    item, tile = tl.load(to).to(tl.int64), tl.load(to + 1).to(tl.int64)
    row = table + item * _ITEM
    return row, tile, tl.load(row + C.FIRST_TILE) + tile, found + item * _FOUND


@triton.jit
def _of_group(row, numbers):
    return numbers + tl.load(row + C.GROUP) * _NUMBERS


@triton.jit
def _look(row, tile, slot, found, parts, slots, bad, F: tl.constexpr, B: tl.constexpr):
    if F.orthograd:
        passes.add_components(row, tile, slot, slots, bad, F, B[0], B[1], B[2])
    elif F.factored:
        if tl.load(row + C.FACTORED) != 0:
            passes.add_squares(row, tile, slot, found, parts, bad, F, B[0], B[1], B[2])
        else:
            passes.find_bad(row, tile, slot, bad, F, B[0], B[1], B[2])
    else:
        passes.find_bad(row, tile, slot, bad, F, B[0], B[1], B[2])


@triton.jit
def look(table, tiles, found, parts, slots, bad, F: tl.constexpr):
    """See every gradient before anything is written."""
    row, tile, slot, found = _located(table, tiles, found)
    shape = tl.load(row + C.SHAPE)
    if F.even:
        if shape == 3:
            _look(row, tile, slot, found, parts, slots, bad, F.by_vector, F.blocks[0])
    if F.wide:
        if shape == 0:
            _look(row, tile, slot, found, parts, slots, bad, F, F.blocks[0])
    if F.tall:
        if shape == 1:
            _look(row, tile, slot, found, parts, slots, bad, F, F.blocks[1])
    if F.deep:
        if shape == 2:
            _look(row, tile, slot, found, parts, slots, bad, F, F.blocks[2])


@triton.jit
def _part(row, tile, slot, found, slots, F: tl.constexpr, B: tl.constexpr):
    passes.add_part(row, tile, slot, slots, found, F, B[0], B[1], B[2])


@triton.jit
def part(table, tiles, found, slots, F: tl.constexpr):
    """Measure what OrthoGrad leaves of the gradients."""
    row, tile, slot, found = _located(table, tiles, found)
    shape = tl.load(row + C.SHAPE)
    if F.even:
        if shape == 3:
            _part(row, tile, slot, found, slots, F.by_vector, F.blocks[0])
    if F.wide:
        if shape == 0:
            _part(row, tile, slot, found, slots, F, F.blocks[0])
    if F.tall:
        if shape == 1:
            _part(row, tile, slot, found, slots, F, F.blocks[1])
    if F.deep:
        if shape == 2:
            _part(row, tile, slot, found, slots, F, F.blocks[2])


@triton.jit
def _squares(row, tile, slot, found, parts, bad, F: tl.constexpr, B: tl.constexpr):
    if tl.load(row + C.FACTORED) != 0:
        passes.add_squares(row, tile, slot, found, parts, bad, F, B[0], B[1], B[2])


@triton.jit
def squares(table, tiles, found, parts, bad, F: tl.constexpr):
    """Sum the squares of what OrthoGrad makes of the gradients."""
    row, tile, slot, found = _located(table, tiles, found)
    shape = tl.load(row + C.SHAPE)
    if F.even:
        if shape == 3:
            _squares(row, tile, slot, found, parts, bad, F.by_vector, F.blocks[0])
    if F.wide:
        if shape == 0:
            _squares(row, tile, slot, found, parts, bad, F, F.blocks[0])
    if F.tall:
        if shape == 1:
            _squares(row, tile, slot, found, parts, bad, F, F.blocks[1])
    if F.deep:
        if shape == 2:
            _squares(row, tile, slot, found, parts, bad, F, F.blocks[2])


@triton.jit
def _measure(row, tile, slot, slots, numbers, F: tl.constexpr, B: tl.constexpr):
    passes.measure(row, tile, slot, slots, numbers, F, B[0], B[1], B[2])


@triton.jit
def measure(table, tiles, found, slots, numbers, F: tl.constexpr):
    """Sum what the estimate needs, where it is renewed before the weights move."""
    row, tile, slot, found = _located(table, tiles, found)
    numbers = _of_group(row, numbers)
    shape = tl.load(row + C.SHAPE)
    if F.even:
        if shape == 3:
            _measure(row, tile, slot, slots, numbers, F.by_vector, F.blocks[0])
    if F.wide:
        if shape == 0:
            _measure(row, tile, slot, slots, numbers, F, F.blocks[0])
    if F.tall:
        if shape == 1:
            _measure(row, tile, slot, slots, numbers, F, F.blocks[1])
    if F.deep:
        if shape == 2:
            _measure(row, tile, slot, slots, numbers, F, F.blocks[2])


@triton.jit
def _reduce(row, tile, slot, slots, found, numbers, roots, means, WHAT: tl.constexpr, F: tl.constexpr, B: tl.constexpr):
    if WHAT == "norm":
        passes.add_norm(row, tile, slot, slots, found, numbers, roots, means, F, B[0], B[1], B[2])
    elif WHAT == "size":
        passes.add_size(row, tile, slot, slots, F, B[0], B[1], B[2])
    elif WHAT == "agreement of y":
        passes.count_averaged(row, tile, slot, slots, found, numbers, roots, means, F, B[0], B[1], B[2])
    else:
        passes.count_steered(row, tile, slot, slots, found, numbers, roots, means, F, B[0], B[1], B[2])


@triton.jit
def reduce(table, tiles, found, slots, numbers, roots, means, WHAT: tl.constexpr, F: tl.constexpr):
    """Measure the updates: their squares, or how far they agree in sign."""
    row, tile, slot, found = _located(table, tiles, found)
    numbers = _of_group(row, numbers)
    shape = tl.load(row + C.SHAPE)
    if F.even:
        if shape == 3:
            _reduce(row, tile, slot, slots, found, numbers, roots, means, WHAT, F.by_vector, F.blocks[0])
    if F.wide:
        if shape == 0:
            _reduce(row, tile, slot, slots, found, numbers, roots, means, WHAT, F, F.blocks[0])
    if F.tall:
        if shape == 1:
            _reduce(row, tile, slot, slots, found, numbers, roots, means, WHAT, F, F.blocks[1])
    if F.deep:
        if shape == 2:
            _reduce(row, tile, slot, slots, found, numbers, roots, means, WHAT, F, F.blocks[2])


@triton.jit
def _apply(row, tile, slot, slots, found, numbers, roots, means, F: tl.constexpr, B: tl.constexpr):
    passes.apply(row, tile, slot, slots, found, numbers, roots, means, F, B[0], B[1], B[2])


@triton.jit
def apply(table, tiles, found, slots, numbers, roots, means, F: tl.constexpr):
    """Move moments and weights."""
    row, tile, slot, found = _located(table, tiles, found)
    numbers = _of_group(row, numbers)
    shape = tl.load(row + C.SHAPE)
    if F.even:
        if shape == 3:
            _apply(row, tile, slot, slots, found, numbers, roots, means, F.by_vector, F.blocks[0])
    if F.wide:
        if shape == 0:
            _apply(row, tile, slot, slots, found, numbers, roots, means, F, F.blocks[0])
    if F.tall:
        if shape == 1:
            _apply(row, tile, slot, slots, found, numbers, roots, means, F, F.blocks[1])
    if F.deep:
        if shape == 2:
            _apply(row, tile, slot, slots, found, numbers, roots, means, F, F.blocks[2])
