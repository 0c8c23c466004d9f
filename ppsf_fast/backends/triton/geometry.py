"""How a tensor of any shape and strides is seen along five axes, and cut into tiles."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

#: The sides of the blocks: for matrices and whatever lies in one piece; for what is narrow along its memory; for what
#: has a short axis inside, as kernels of a convolution. None has fewer elements than a program has threads: where one
#: is in several threads, the last to read it may find what the first has written.
BLOCKS = ((4, 256, 1), (32, 16, 1), (1, 16, 16))
#: Of the blocks that sums of squares are made over: the longer a row in one, the fewer partial sums there are.
SUM_BLOCKS = ((4, 256, 1), (32, 16, 1), (1, 64, 16))
#: How far a tile of each reaches down the first side, in elements; and one that sums of squares are made over.
HEIGHTS = (256, 4096, 64)
SUM_HEIGHTS = (256, 4096, 256)
WIDE, TALL, DEEP = range(3)
#: For tensors that can be read several elements at a time: wide ones in logical order, or in another one; tall ones in
#: logical order.
EVEN, TURNED, SLIM = 3, 4, 5
#: And those in which the elements of a short inner axis follow each other, and then those of the next one along the
#: second side: kernels of a convolution. Such a tensor is read as a matrix, and the inner position counts as one of its
#: second side's; the length of the inner axis is its period.
FLAT = 6
#: How many elements that is, and by how many bytes their addresses have to be divisible.
VECTOR, ALIGNED = 8, 16
#: Their sums of squares are made over so many strips side by side, each of so many elements at most and whole periods
#: and vectors; and how far a tile of strips reaches down the first side.
STRIPS, STRIP_HEIGHT = (6, 512), 128
#: So many numbers are read at a time from a period; so many of its first ones are repeated after it.
TOGETHER = 4
REPEATED = TOGETHER - 1
#: Up to a length of periods how many there are in a strip at most; longer ones have no strips.
PERIODS = ((16, 64), (64, 16))
#: So many times as high are tiles of sums, at most, as long as there are `ENOUGH` of them.
HIGHER, ENOUGH = 4, 256
#: Up to so many elements one program takes the whole step of a parameter, if these are few tiles and pieces.
SMALL, FEW = 16384, 8
#: Length of a piece of a row or column of a second moment.
PIECE = 256

#: Most axes that kernels see.
AXES = 5


@dataclass(frozen=True, slots=True)
class Cut:
    """How tensors are cut: the constants above."""

    blocks: tuple[tuple[int, int, int], ...]
    sum_blocks: tuple[tuple[int, int, int], ...]
    heights: tuple[int, ...]
    sum_heights: tuple[int, ...]
    strips: tuple[int, int]
    strip_height: int
    piece: int
    small: int
    enough: int

    def strip(self, period: int) -> int:
        """The length of a strip of whole periods and vectors; 0: there is none."""
        unit = math.lcm(period, VECTOR)
        most = next((count for longest, count in PERIODS if period <= longest), 0)
        return min(self.strips[1], most * period) // unit * unit


def cut() -> Cut:
    """The present one."""
    return Cut(BLOCKS, SUM_BLOCKS, HEIGHTS, SUM_HEIGHTS, STRIPS, STRIP_HEIGHT, PIECE, SMALL, ENOUGH)


@dataclass(frozen=True, slots=True)
class Geometry:
    """One tensor as the kernels see it.

    Attributes:
        sizes: of the two outer axes, the one in the depth of a tile, and the two that its sides lie along.
        strides: of each operand over these axes, in elements; the last operand is the row-major logical order.
        shape: which block the tiles are made of.
        row_is_p: whether the row of the second moment lies along the first side.
        tiles: number of tiles in the depth and along the two sides.
        numel: number of elements.
        reach: the largest position of an element in any operand.
        period: the length of the inner axis that is a part of the second side, or 1: along that side elements whose
            distance is a multiple of it share one of as many rows.
    """

    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    shape: int
    row_is_p: bool
    tiles: tuple[int, int, int]
    numel: int
    reach: int
    period: int = 1

    def block(self, addresses: Sequence[int], used: Sequence[int]) -> int:
        """Which block fits, given whether every tensor can be read several elements at a time.

        Args:
            addresses: of the operands there are.
            used: which operands these are.
        """
        along = [self.strides[operand] for operand in used]
        aligned = not any(address % ALIGNED for address in addresses)
        if self.shape == DEEP or not aligned or self.numel % VECTOR or not all(map(self._in_vectors, along)):
            return self.shape
        in_order = self._in_vectors(self.strides[-1])
        if self.shape == TALL:
            return SLIM if in_order else TALL
        if self.period > 1:
            return FLAT if in_order else self.shape
        return EVEN if in_order else TURNED

    def flat(self, by: Cut) -> Geometry | None:
        """The same tensor with its inner axis as a part of the second side, if that is what lies in memory.

        Args:
            by: how it is cut.
        """
        outer, inner, period, p, q = self.sizes
        *each, of_row, of_column, logical = self.strides
        of_p, of_q = (of_row, of_column) if self.row_is_p else (of_column, of_row)
        runs = all(by_l == 1 and by_q == period for _, _, by_l, _, by_q in (*filter(any, each), logical))
        sides = (of_p[2], of_p[3], of_q[2], of_q[4]) == (1, period, 1, period)
        if self.shape != DEEP or not by.strip(period) or not runs or not sides:
            return None
        sizes = (outer, inner, 1, p, q * period)
        along_p, along_q = (*of_p[:2], 0, 1, 0), (*of_q[:2], 0, 0, 1)
        as_matrix = [(*strides[:2], 0, strides[3], min(1, strides[4])) for strides in (*each, logical)]
        vectors = (along_p, along_q) if self.row_is_p else (along_q, along_p)
        strides = (*as_matrix[:-1], *vectors, as_matrix[-1])
        tiles = _tiles(sizes[2:], by.blocks[WIDE], by.heights[WIDE])
        return Geometry(sizes, strides, WIDE, self.row_is_p, tiles, self.numel, self.reach, period)

    def _in_vectors(self, by: Sequence[int]) -> bool:
        others = zip(self.sizes[:4], by[:4], strict=True)
        return self.sizes[4] % VECTOR == 0 and by[4] == 1 and all(size == 1 or of % VECTOR == 0 for size, of in others)

    @property
    def count(self) -> int:
        """Number of tiles in all."""
        return self._in_all(self.tiles)

    def height(self, by: Cut) -> int:
        """How far a tile reaches down the first side."""
        return by.heights[self.shape]

    def _in_all(self, tiles: tuple[int, int, int]) -> int:
        return self.sizes[0] * self.sizes[1] * math.prod(tiles) if self.numel else 0

    def sums(self, by: Cut, higher: int) -> tuple[tuple[int, int, int], int, int]:
        """The tiles of sums: their number along each axis and in all, and their height.

        Args:
            by: how the tensor is cut.
            higher: how many times as high they are as other tiles.
        """
        if self.period > 1:
            block, height = (1, by.strips[0] * by.strip(self.period), 1), by.strip_height
        else:
            block, height = by.sum_blocks[self.shape], by.sum_heights[self.shape] * higher
        tiles = _tiles(self.sizes[2:], block, height)
        return tiles, self._in_all(tiles), height

    def kept(self, by: Cut) -> int:
        """Float64 numbers that a tile of sums keeps for itself."""
        return by.strips[1] if self.period > 1 else 0

    @property
    def slices(self) -> int:
        """Number of matrices that the two sides span."""
        return math.prod(self.sizes[:3])

    def pieces(self, by: Cut) -> int:
        """Number of pieces of all rows and columns."""
        return self.slices * sum(-(-length // by.piece) for length in self.lengths)

    @property
    def lengths(self) -> tuple[int, int]:
        """Those of the vectors of the second moment along the two sides of a slice."""
        return self.sizes[3] * self.period, self.sizes[4]

    @property
    def pitch(self) -> int:
        """So many numbers of scratch there are for a period along the first side: after it its beginning is repeated,
        so that wherever in it one begins, those that are read at a time follow each other."""
        return self.period + REPEATED if self.period > 1 else 1

    @property
    def room(self) -> tuple[int, int]:
        """Lengths of their partial sums."""
        return self.sizes[3] * self.pitch, self.sizes[4]


def _tiles(sizes: Sequence[int], block: tuple[int, int, int], height: int) -> tuple[int, int, int]:
    sides = zip(sizes, (block[2], height, block[1]), strict=True)
    tiles_l, tiles_p, tiles_q = (-(-size // side) for size, side in sides)
    return tiles_l, tiles_p, tiles_q


@dataclass(frozen=True, slots=True)
class _Axis:
    size: int
    strides: tuple[int, ...]


@functools.lru_cache(maxsize=65536)
def seen(
    shape: tuple[int, ...], strides: tuple[tuple[int, ...], ...], factored: tuple[int, int] | None, by: Cut
) -> Geometry:
    """The geometry of a tensor of at most five axes.

    Args:
        shape: its own.
        strides: of each operand, the tensor itself first.
        factored: the axes that the row and the column of its second moment are means over.
        by: how it is cut.
    """
    logical = row_major(shape)
    axes = [_Axis(size, tuple(each[i] for each in (*strides, logical))) for i, size in enumerate(shape)]
    if factored is None:
        return _dense(_merged(axes), len(strides) + 1, math.prod(shape), by)
    # clause: PPSF-V-002 23a5b821
    over_row, over_column = (axes[axis] for axis in factored)
    others = _merged([axis for i, axis in enumerate(axes) if i not in factored])
    swapped = over_row.strides[0] > over_column.strides[0]
    p, q = (over_row, over_column) if swapped else (over_column, over_row)
    return _laid_out(others, p, q, not swapped, math.prod(shape), by)


@functools.lru_cache(maxsize=65536)
def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose elements lie in logical order."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _merged(axes: Sequence[_Axis]) -> list[_Axis]:
    """The axes by falling stride of the first operand, those that follow each other in every operand made one."""
    found: list[_Axis] = []
    for axis in sorted((axis for axis in axes if axis.size != 1), key=lambda axis: -axis.strides[0]):
        if found and all(a == b * axis.size for a, b in zip(found[-1].strides, axis.strides, strict=True)):
            found[-1] = _Axis(found[-1].size * axis.size, axis.strides)
        else:
            found.append(axis)
    return found


def _dense(axes: list[_Axis], operands: int, numel: int, by: Cut) -> Geometry:
    if len(axes) <= 1:
        # What lies in one piece is folded, so that it fills blocks; its last row may be shorter.
        wide = by.blocks[WIDE][1]
        step = axes[0].strides if axes else (*(0,) * (operands - 1), 1)
        p = _Axis(-(-numel // wide), tuple(wide * each for each in step))
        return _laid_out([], p, _Axis(wide, step), False, numel, by)
    *rest, q = axes
    p = max(rest, key=lambda axis: axis.size)
    return _laid_out([axis for axis in rest if axis is not p], p, q, False, numel, by)


def _laid_out(others: list[_Axis], p: _Axis, q: _Axis, row_is_p: bool, numel: int, by: Cut) -> Geometry:
    operands = len(q.strides)
    fill = [_Axis(1, (0,) * operands)] * (AXES - 2 - len(others))
    axes = [*fill, *others, p, q]
    depth = axes[2]
    shape = _shape(depth, p, q)
    sizes = tuple(axis.size for axis in axes)
    tiles = _tiles(sizes[2:], by.blocks[shape], by.heights[shape])
    strides = tuple(tuple(axis.strides[i] for axis in axes) for i in range(operands))
    reach = max(sum((size - 1) * abs(by) for size, by in zip(sizes, each, strict=True)) for each in strides)
    return Geometry(sizes, strides, shape, row_is_p, tiles, numel, reach)


def _shape(depth: _Axis, p: _Axis, q: _Axis) -> int:
    """Which block fits: deep if memory runs on along the depth, tall if it soon ends along the second side."""
    if depth.size > 1 and depth.strides[0] < q.strides[0]:
        return DEEP
    return TALL if q.size <= 32 and p.size > q.size else WIDE
