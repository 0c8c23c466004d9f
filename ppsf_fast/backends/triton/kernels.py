"""The launches over the work table: each program takes one tile to the pass that its kernel is for.

A bucket may hold blocks of several shapes; those that it does not hold are not compiled. :func:`_over` alone chooses
among them.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton import estimate, passes, strips
from ppsf_fast.backends.triton.blocks import of_group
from ppsf_fast.backends.triton.direction import FOUND_WIDTH
from ppsf_fast.backends.triton.factors import pieces_of, renew
from ppsf_fast.backends.triton.totals import finish

_ITEM = tl.constexpr(C.ITEM_WIDTH)
_FOUND = tl.constexpr(FOUND_WIDTH)


@triton.jit
def _take(row, tile, found, args, PASS: tl.constexpr, F: tl.constexpr):
    """Take a tile to a pass, with blocks of the shape that suits its parameter.

    Args:
        args: what the pass needs besides.
    """
    # Some versions of Triton pass no object on that has not been given a name.
    WIDE: tl.constexpr = F.of_wide
    TALL: tl.constexpr = F.of_tall
    DEEP: tl.constexpr = F.of_deep
    shape = tl.load(row + C.SHAPE)
    _take_in_vectors(shape, row, tile, found, args, PASS, F)
    if F.wide:
        if shape == 0:
            PASS(row, tile, found, args, WIDE)
    if F.tall:
        if shape == 1:
            PASS(row, tile, found, args, TALL)
    if F.deep:
        if shape == 2:
            PASS(row, tile, found, args, DEEP)


@triton.jit
def _take_in_vectors(shape, row, tile, found, args, PASS: tl.constexpr, F: tl.constexpr):
    EVEN: tl.constexpr = F.of_even
    TURNED: tl.constexpr = F.of_turned
    SLIM: tl.constexpr = F.of_slim
    FLAT: tl.constexpr = F.of_flat
    if F.even:
        if shape == 3:
            PASS(row, tile, found, args, EVEN)
    if F.turned:
        if shape == 4:
            PASS(row, tile, found, args, TURNED)
    if F.slim:
        if shape == 5:
            PASS(row, tile, found, args, SLIM)
    if F.flat:
        if shape == 6:
            PASS(row, tile, found, args, FLAT)


@triton.jit
def _over(table, tiles, found, args, PASS: tl.constexpr, F: tl.constexpr):
    """Take the tile of this program to a pass."""
    to = tiles + 2 * tl.program_id(0).to(tl.int64)
    item, tile = tl.load(to).to(tl.int64), tl.load(to + 1).to(tl.int64)
    _take(table + item * _ITEM, tile, found + item * _FOUND, args, PASS, F)


@triton.jit
def _slot(row, tile):
    return tl.load(row + C.FIRST_TILE) + tile


@triton.jit
def _look(row, tile, found, args, F: tl.constexpr):
    parts, slots, bad = args
    if F.orthograd:
        passes.add_components(row, tile, _slot(row, tile), slots, bad, F)
    elif F.periodic:
        strips.add_squares(row, tile, found, parts, bad, F)
    elif F.factored:
        if tl.load(row + C.FACTORED) != 0:
            passes.add_squares(row, tile, found, parts, bad, F)
        else:
            passes.find_bad(row, tile, bad, F)
    else:
        passes.find_bad(row, tile, bad, F)


@triton.jit
def look(table, tiles, found, parts, slots, bad, F: tl.constexpr):
    """See every gradient before anything is written."""
    if F.orthograd:
        _over(table, tiles, found, (parts, slots, bad), _look, F)
    else:
        SUMS: tl.constexpr = F.of_sums
        _over(table, tiles, found, (parts, slots, bad), _look, SUMS)


@triton.jit
def _part(row, tile, found, args, F: tl.constexpr):
    passes.add_part(row, tile, _slot(row, tile), args[0], found, F)


@triton.jit
def part(table, tiles, found, slots, F: tl.constexpr):
    """Measure what OrthoGrad leaves of the gradients."""
    _over(table, tiles, found, (slots,), _part, F)


@triton.jit
def _squares(row, tile, found, args, F: tl.constexpr):
    parts, bad = args
    if F.periodic:
        strips.add_squares(row, tile, found, parts, bad, F)
    elif tl.load(row + C.FACTORED) != 0:
        passes.add_squares(row, tile, found, parts, bad, F)


@triton.jit
def squares(table, tiles, found, parts, bad, F: tl.constexpr):
    """Sum the squares of what OrthoGrad makes of the gradients."""
    SUMS: tl.constexpr = F.of_sums
    _over(table, tiles, found, (parts, bad), _squares, SUMS)


@triton.jit
def _measure(row, tile, found, args, F: tl.constexpr):
    slots, numbers = args
    estimate.measure(row, tile, _slot(row, tile), slots, of_group(row, numbers), F)


@triton.jit
def measure(table, tiles, found, slots, numbers, F: tl.constexpr):
    """Sum what the estimate needs, where it is renewed before the weights move."""
    _over(table, tiles, found, (slots, numbers), _measure, F)


@triton.jit
def _norm(row, tile, found, args, F: tl.constexpr):
    slots, numbers, parts, means = args
    numbers = of_group(row, numbers)
    passes.add_norm(row, tile, _slot(row, tile), slots, found, numbers, parts, means, F)


@triton.jit
def _size(row, tile, found, args, F: tl.constexpr):
    passes.add_size(row, tile, _slot(row, tile), args[0], F)


@triton.jit
def _agreement_of_y(row, tile, found, args, F: tl.constexpr):
    slots, numbers, parts, means = args
    numbers = of_group(row, numbers)
    passes.count_averaged(row, tile, _slot(row, tile), slots, found, numbers, parts, means, F)


@triton.jit
def _agreement(row, tile, found, args, F: tl.constexpr):
    slots, numbers, parts, means = args
    numbers = of_group(row, numbers)
    passes.count_steered(row, tile, _slot(row, tile), slots, found, numbers, parts, means, F)


@triton.jit
def reduce(table, tiles, found, slots, numbers, parts, means, WHAT: tl.constexpr, F: tl.constexpr):
    """Measure the updates: their squares, or how far they agree in sign."""
    if WHAT == "norm":
        _over(table, tiles, found, (slots, numbers, parts, means), _norm, F)
    elif WHAT == "size":
        _over(table, tiles, found, (slots, numbers, parts, means), _size, F)
    elif WHAT == "agreement of y":
        _over(table, tiles, found, (slots, numbers, parts, means), _agreement_of_y, F)
    else:
        _over(table, tiles, found, (slots, numbers, parts, means), _agreement, F)


@triton.jit
def _apply(row, tile, found, args, F: tl.constexpr):
    slots, numbers, parts, means = args
    passes.apply(row, tile, _slot(row, tile), slots, found, of_group(row, numbers), parts, means, F)


@triton.jit
def apply(table, tiles, found, slots, numbers, parts, means, F: tl.constexpr):
    """Move moments and weights."""
    _over(table, tiles, found, (slots, numbers, parts, means), _apply, F)


@triton.jit
def _measured(row, found, tiles, args, PASS: tl.constexpr, WHAT: tl.constexpr, F: tl.constexpr):
    """Take all tiles of a parameter to a pass, and see what follows from its sums."""
    for tile in range(tiles):
        _take(row, tile, found, args, PASS, F)
    tl.debug_barrier()
    slots, numbers, _, _ = args
    finish(row, found, slots, numbers, WHAT, F)
    tl.debug_barrier()


@triton.jit(do_not_specialize=["first"])
def whole(table, found, slots, numbers, parts, means, first, F: tl.constexpr):
    """The rest of the step of a small parameter, after all gradients have been seen: one program for each.

    It goes through the passes that large ones go through in launches of their own. What one pass leaves in memory the
    next one finds after a barrier; its gradient stays in the cache meanwhile.

    Args:
        first: the row of the first small parameter.
    """
    item = tl.program_id(0).to(tl.int64) + first
    row, found = table + item * _ITEM, found + item * _FOUND
    tiles = tl.load(row + C.TILES).to(tl.int32)
    args = (slots, numbers, parts, means)
    if F.factored:
        if tl.load(row + C.FACTORED) != 0:
            of_p, of_q = pieces_of(row, F)
            slices = tl.load(row + C.SIZES) * tl.load(row + C.SIZES + 1) * tl.load(row + C.SIZES + 2)
            for piece in range((slices * (of_p + of_q)).to(tl.int32)):
                renew(row, piece, of_group(row, numbers), parts, means, F)
            tl.debug_barrier()
    if F.counts and F.averages == False:  # noqa: E712
        _measured(row, found, tiles, args, _agreement, "agreement", F)
    if F.clip != "":
        _measured(row, found, tiles, args, _norm, "norm", F)
    if F.counts and F.averages:
        _measured(row, found, tiles, args, _agreement_of_y, "agreement of y", F)
    for tile in range(tiles):
        _take(row, tile, found, args, _apply, F)
