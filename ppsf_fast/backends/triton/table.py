"""The work of a step as tables: which parameters form a bucket, and what kernels need to know of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from ppsf_fast import muon, scaling
from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.features import NEAR, Features, features_of
from ppsf_fast.backends.triton.geometry import (
    DEEP,
    EVEN,
    FEW,
    FLAT,
    HIGHER,
    SLIM,
    TALL,
    TURNED,
    WIDE,
    Cut,
    Geometry,
    row_major,
    seen,
)
from ppsf_fast.plan import Item
from ppsf_fast.rule import Rule
from ppsf_fast.speed import COURSE
from ppsf_fast.state import FILLED, factored_axes

#: Operands of each element, in the order of their strides; the logical order follows.
_OPERANDS = ("y", "g", "z", "m", "v", "direction", "row", "column")
#: Those that have a value for each element.
_EACH = frozenset(_OPERANDS[:-2])
#: What is remembered of the samples of a parameter.
_SAMPLES = ("p0", "s")
#: Float32 numbers that what is kept in float64 begins at a multiple of.
_ALIGNED = 4


@dataclass(slots=True)
class Entry:
    """One parameter in a bucket.

    Attributes:
        group: row of its group.
        place: its position among all parameters of the plan.
        number: its position among all parameters of its device.
        tensors: its operands by name, as far as there are any, and what else its kernels read.
        addresses: theirs.
        shape: which blocks its tiles are made of.
    """

    item: Item
    group: int
    place: int
    number: int
    geometry: Geometry
    factored: bool
    tensors: dict[str, Tensor]
    shape: int

    def kind(self, rule: Rule) -> tuple[object, ...]:
        """What decides, with its rule, which kernels serve it."""
        dtypes = [tensor.dtype for tensor in self.tensors.values()]
        return (id(rule), self.reach < NEAR, *self.tensors, *dtypes)

    @property
    def reach(self) -> int:
        """The largest position in any of its tensors."""
        samples = [self.tensors[name] for name in _SAMPLES if name in self.tensors]
        return max([self.geometry.reach, *(each.numel() * each.stride(0) for each in samples)])


@dataclass(slots=True)
class Bucket:
    """Parameters that the same kernels serve.

    Attributes:
        features: what kernels that serve all of its parameters are compiled for.
        of_large, of_small: what those are compiled for that serve these parameters alone.
        entries: those that are not small come first.
        large: how many these are.
        first_tile: where the slots of its tiles begin.
        first_look: where the flags of its first look begin.
        higher: how many times as high tiles of sums are.
    """

    features: Features
    entries: list[Entry] = field(default_factory=list)
    of_large: Features = field(init=False)
    of_small: Features = field(init=False)
    large: int = 0
    first_tile: int = 0
    first_look: int = 0
    higher: int = 1

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return sum(entry.geometry.count for entry in self.entries)

    @property
    def large_tiles(self) -> int:
        """Number of tiles of tensors that are not small."""
        return sum(entry.geometry.count for entry in self.entries[: self.large])


@dataclass(slots=True)
class Layout:
    """The tables of a bucket, and the scratch it needs: numbers of float32 and float64 elements.

    Attributes:
        rows: of its parameters.
        tiles, sums: of each tile, and of each tile of sums, the row and the number.
        work: of each piece of a row or column of what is not small, the row and the number.
    """

    rows: list[int]
    tiles: list[int]
    sums: list[int]
    work: list[int]
    parts: int
    means: int


def entry_of(item: Item, rule: Rule, group: int, by: Cut, place: int = 0, unscale: Tensor | None = None) -> Entry:
    """A parameter with its geometry.

    Args:
        group: row of its group.
        by: how it is cut.
        place: its position among all parameters of the plan.
        unscale: what multiplies its gradient, float32, on its device; None: nothing does.
    """
    state = item.state
    # Products of matrices are left to torch.
    direction = (
        muon.direction(scaling.unscaled(item.grad, unscale)) if muon.moves(item.param.shape, rule.muon) else None
    )
    factored = "exp_avg_sq" not in state and "exp_avg_sq_row" in state
    found = {
        "y": item.param,
        "g": item.grad,
        "z": state.get("z") if rule.averages else None,
        "m": state.get("exp_avg") if rule.keeps_moment else None,
        "v": state.get("exp_avg_sq"),
        "direction": direction,
        "row": state.get("exp_avg_sq_row") if factored else None,
        "column": state.get("exp_avg_sq_col") if factored else None,
    }
    axes = factored_axes(item.param.shape, rule.revision) if factored else None
    strides = [_strides(found[name], item.param.ndim) for name in _OPERANDS]
    if axes is not None:
        strides[-2], strides[-1] = _without(strides[-2], axes[0]), _without(strides[-1], axes[1])
    geometry = seen(tuple(item.param.shape), tuple(strides), axes, by)
    names = ("p0", "s", FILLED, *COURSE, "rms_sq")
    found |= {"unscale": unscale, **{name: state.get(name) for name in names}}
    tensors = {name: tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}
    addresses = tuple(tensor.data_ptr() for tensor in tensors.values())
    flat = geometry.flat(by)
    if flat is not None and _shape(flat, tensors, addresses) == FLAT:
        geometry = flat
    return Entry(item, group, place, 0, geometry, factored, tensors, _shape(geometry, tensors, addresses))


def _shape(geometry: Geometry, tensors: Mapping[str, Tensor], addresses: Sequence[int]) -> int:
    operands = _EACH.intersection(tensors)
    used = [(_OPERANDS.index(name), at) for name, at in zip(tensors, addresses, strict=True) if name in operands]
    return geometry.block([at for _, at in used], [operand for operand, _ in used])


def _is_small(entry: Entry, by: Cut) -> bool:
    geometry = entry.geometry
    few = geometry.count <= FEW and (not entry.factored or geometry.pieces(by) <= FEW)
    return geometry.numel <= by.small and few and entry.shape not in (DEEP, TURNED, FLAT)


def _strides(tensor: Tensor | None, ndim: int) -> tuple[int, ...]:
    if tensor is None:
        return (0,) * ndim
    # Asking for contiguity is cheaper than for strides.
    return row_major(tensor.shape) if tensor.is_contiguous() else tuple(tensor.stride())


def _without(strides: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(0 if i == axis else stride for i, stride in enumerate(strides))


def buckets_of(entries: Sequence[tuple[Entry, Rule]], by: Cut) -> list[Bucket]:
    """The buckets, each with the features that its entries share."""
    found: dict[Features, Bucket] = {}
    kinds: dict[tuple[object, ...], Bucket] = {}
    for entry, rule in entries:
        kind = entry.kind(rule)
        if kind not in kinds:
            features = features_of(entry.item, rule, entry.reach, "unscale" in entry.tensors)
            kinds[kind] = found.setdefault(features, Bucket(features))
        kinds[kind].entries.append(entry)
    first = first_look = 0
    for bucket in found.values():
        large = [entry for entry in bucket.entries if not (bucket.features.whole and _is_small(entry, by))]
        chosen = set(map(id, large))
        bucket.entries = [*large, *(entry for entry in bucket.entries if id(entry) not in chosen)]
        plain = bucket.features
        bucket.features = _completed(plain, bucket.entries, by)
        bucket.of_large = _completed(plain, bucket.entries[: len(large)], by)
        bucket.of_small = _completed(plain, bucket.entries[len(large) :], by)
        bucket.large, bucket.higher = len(large), max(1, min(HIGHER, bucket.tiles // by.enough))
        bucket.first_tile, bucket.first_look = first, first_look
        first += bucket.tiles
        first_look += looks(bucket, by)
    return list(found.values())


def looks(bucket: Bucket, by: Cut) -> int:
    """Number of programs that see the gradients of a bucket first: one for each tile of sums, if they sum squares."""
    if bucket.features.orthograd:
        return bucket.tiles
    return sum(entry.geometry.sums(by, bucket.higher)[1] for entry in bucket.entries)


def _completed(features: Features, entries: Sequence[Entry], by: Cut) -> Features:
    """The features with what some parameters of a bucket have in common, or not."""
    shapes = {entry.shape for entry in entries}
    kinds = {entry.factored for entry in entries}
    return replace(
        features,
        factored=True in kinds,
        dense=False in kinds and not features.muon,
        wide=WIDE in shapes,
        tall=TALL in shapes,
        deep=DEEP in shapes,
        even=EVEN in shapes,
        turned=TURNED in shapes,
        slim=SLIM in shapes,
        flat=FLAT in shapes,
        blocks=by.blocks,
        sum_blocks=by.sum_blocks,
        across=by.strips[0],
        strip=by.strips[1],
        piece=by.piece,
    )


def layout_of(bucket: Bucket, by: Cut) -> Layout:
    """The tables of a bucket."""
    layout = Layout([], [], [], [], 0, 0)
    tile, look = bucket.first_tile, bucket.first_look
    for index, entry in enumerate(bucket.entries):
        geometry = entry.geometry
        tiles, sums, height = geometry.sums(by, bucket.higher)
        layout.rows += _row(entry, layout, tile, look, (*tiles, height), by)
        layout.tiles += [each for number in range(geometry.count) for each in (index, number)]
        layout.sums += [each for number in range(sums) for each in (index, number)]
        tile += geometry.count
        look += geometry.count if bucket.features.orthograd else sums
        if entry.factored:
            _add_factors(geometry, layout, tiles, sums, by)
        if entry.factored and index < bucket.large:
            layout.work += [each for number in range(geometry.pieces(by)) for each in (index, number)]
    return layout


def _pieces(length: int, by: Cut) -> int:
    return -(-length // by.piece)


def _add_factors(geometry: Geometry, layout: Layout, tiles: tuple[int, int, int], sums: int, by: Cut) -> None:
    """The scratch of a factored second moment."""
    p, q = geometry.lengths
    layout.parts = _kept(geometry, layout, tiles) + 2 * sums * geometry.kept(by)
    layout.means += geometry.slices * geometry.period * _pieces(p if geometry.row_is_p else q, by)


def _kept(geometry: Geometry, layout: Layout, tiles: tuple[int, ...]) -> int:
    """Where, in the scratch of float32, begins what tiles of sums keep in float64."""
    p, q = geometry.room
    end = layout.parts + geometry.slices * (tiles[2] * p + tiles[1] * q)
    return -(-end // _ALIGNED) * _ALIGNED


def _row(entry: Entry, layout: Layout, tile: int, look: int, sums: tuple[int, int, int, int], by: Cut) -> list[int]:
    geometry, tensors, item = entry.geometry, entry.tensors, entry.item
    p, q = geometry.lengths
    row = [0] * C.ITEM_WIDTH

    def put(column: object, *values: int) -> None:
        first = column.value  # type: ignore[attr-defined]
        row[first : first + len(values)] = values

    put(C.GROUP, entry.group, item.index, item.param.numel(), int(entry.factored), entry.shape)
    put(C.TILES_L, *geometry.tiles, geometry.height(by))
    put(C.FIRST_TILE, tile, geometry.count)
    put(C.SUMS_L, *sums)
    put(C.FIRST_LOOK, look)
    put(C.PART_P, layout.parts, layout.parts + geometry.slices * sums[2] * geometry.room[0])
    put(C.MEAN, layout.means, _pieces(p if geometry.row_is_p else q, by), int(geometry.row_is_p))
    put(C.SIZES, *geometry.sizes)
    sides = ("row", "column") if geometry.row_is_p else ("column", "row")
    addressed = ("y", "g", "z", "m", "v", *sides, "p0", "s", FILLED, *COURSE, "direction", "rms_sq", "unscale")
    put(C.Y, *(tensors[name].data_ptr() if name in tensors else 0 for name in addressed))
    y, g, z, m, v, turned, of_row, of_column, logical = geometry.strides
    of_p, of_q = (of_row, of_column) if geometry.row_is_p else (of_column, of_row)
    for column, strides in ((C.BY_Y, y), (C.BY_G, g), (C.BY_Z, z), (C.BY_M, m), (C.BY_V, v), (C.BY_TURNED, turned)):
        put(column, *strides)
    for column, strides in ((C.BY_E, logical), (C.BY_VP, of_p), (C.BY_VQ, of_q)):
        put(column, *strides)
    put(C.BY_X0, *(tensors[name].stride(0) if name in tensors else 0 for name in _SAMPLES))
    put(C.ITEM, entry.number)
    put(C.PERIOD, geometry.period, geometry.pitch, by.strip(geometry.period), _kept(geometry, layout, sums))
    return row
