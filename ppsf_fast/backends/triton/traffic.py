"""Bytes of device memory that a step moves, by launch: predicted from the tables, to hold a measurement against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ppsf_fast.backends.triton.geometry import Geometry, cut
from ppsf_fast.backends.triton.table import Bucket, Entry, buckets_of, entry_of
from ppsf_fast.plan import Plan

_WIDE, _NARROW = 8, 4


def traffic(plan: Plan) -> Counter[str]:
    """Bytes read and written by each kind of launch over the tiles, once for each time that it is asked for.

    Args:
        plan: gathered and equipped.
    """
    pairs = [(entry_of(item, group.rule, 0, cut()), group.rule) for group in plan.groups for item in group.items]
    found: Counter[str] = Counter()
    for bucket in buckets_of(pairs, cut()):
        for entry in bucket.entries:
            for name, count in _of_entry(entry, bucket):
                found[name] += count
    return found


def _of_entry(entry: Entry, bucket: Bucket) -> Iterable[tuple[str, int]]:
    features = bucket.features
    size = {name: tensor.numel() * tensor.element_size() for name, tensor in entry.tensors.items()}
    grad, y, z, m = (size.get(name, 0) for name in ("g", "y", "z", "m"))
    dense = size.get("v", 0)
    seen_with = y if features.norm_sees_y else 0
    partial = _partial(entry.geometry) if entry.factored else 0
    samples = size.get("p0", 0) + 2 * size.get("s", 0)
    yield "look", grad + (y if features.orthograd else 0) + (0 if features.orthograd else partial)
    if features.orthograd:
        yield "part", grad + y
        yield "squares", grad + y + partial if entry.factored else 0
    if entry.factored:
        sides = 2 * (size["row"] + size["column"]) + _NARROW * _sides(entry.geometry)
        yield "factors", partial + sides
    if features.early and features.statistics:
        yield "measure", grad + y + samples
    for what in features.reductions:
        y_and_z = y + z if what == "agreement of y" else seen_with
        yield f"reduce ({what})", size["direction"] if features.muon else grad + y_and_z + dense + m
    late = samples if features.statistics and not features.early else 0
    yield "apply", size.get("direction", grad) + 2 * (y + z + m + dense) + late


def _partial(geometry: Geometry) -> int:
    """Bytes of the sums along the rows and columns of tiles."""
    _, tiles_p, tiles_q = geometry.tiles
    return _WIDE * geometry.slices * (tiles_q * geometry.sizes[3] + tiles_p * geometry.sizes[4])


def _sides(geometry: Geometry) -> int:
    return geometry.slices * (geometry.sizes[3] + geometry.sizes[4])
