"""Bytes of device memory that a step moves, by launch: predicted from the tables, to hold a measurement against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ppsf_fast.backends.triton.direction import FOUND_WIDTH
from ppsf_fast.backends.triton.estimate import SLOT
from ppsf_fast.backends.triton.geometry import Geometry, cut
from ppsf_fast.backends.triton.table import Bucket, Entry, buckets_of, entry_of, layout_of, looks
from ppsf_fast.plan import Plan

_NARROW = 4


def traffic(plan: Plan) -> Counter[str]:
    """Bytes read and written by each kind of launch over the tiles, once for each time that it is asked for.

    What a program reads again soon after, as those of small parameters do, counts again, though the cache has it.

    Args:
        plan: gathered and equipped.
    """
    pairs = [(entry_of(item, group.rule, 0, cut()), group.rule) for group in plan.groups for item in group.items]
    found: Counter[str] = Counter()
    for bucket in buckets_of(pairs, cut()):
        for number, entry in enumerate(bucket.entries):
            for name, count in _of_entry(entry, bucket):
                found[name if number < bucket.large or name == "look" else "whole"] += count
    return found


def _of_entry(entry: Entry, bucket: Bucket) -> Iterable[tuple[str, int]]:
    features = bucket.features
    size = {name: tensor.numel() * tensor.element_size() for name, tensor in entry.tensors.items()}
    grad, y, z, m = (size.get(name, 0) for name in ("g", "y", "z", "m"))
    dense = size.get("v", 0)
    seen_with = y if features.norm_sees_y else 0
    partial = _partial(entry.geometry, bucket) if entry.factored else 0
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


def _partial(geometry: Geometry, bucket: Bucket) -> int:
    """Bytes of the sums along the rows and columns of tiles."""
    (_, tiles_p, tiles_q), _, _ = geometry.sums(cut(), bucket.higher)
    p, q = geometry.room
    return _NARROW * geometry.slices * (tiles_q * p + tiles_p * q)


def _sides(geometry: Geometry) -> int:
    return geometry.slices * sum(geometry.lengths)


def scratch(plan: Plan) -> int:
    """Bytes of memory, beside the state, that the step needs for what its passes tell each other."""
    pairs = [(entry_of(item, group.rule, 0, cut()), group.rule) for group in plan.groups for item in group.items]
    found = 0
    for bucket in buckets_of(pairs, cut()):
        layout = layout_of(bucket, cut())
        slots = SLOT.value * bucket.tiles + FOUND_WIDTH * len(bucket.entries)
        found += _NARROW * (layout.parts + looks(bucket, cut())) + 8 * (layout.means + slots)
    return found


def tables(plan: Plan) -> int:
    """Bytes of the tables that say where everything is."""
    pairs = [(entry_of(item, group.rule, 0, cut()), group.rule) for group in plan.groups for item in group.items]
    layouts = [layout_of(bucket, cut()) for bucket in buckets_of(pairs, cut())]
    return sum(8 * len(each.rows) + 4 * (len(each.tiles) + len(each.sums) + len(each.work)) for each in layouts)
