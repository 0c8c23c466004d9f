"""How tensors are seen: each element once, in the places it has in every operand, whichever blocks read it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest

from ppsf_fast.backends.triton import features, geometry
from ppsf_fast.backends.triton.geometry import DEEP, EVEN, FLAT, TURNED, WIDE, Geometry, cut, row_major, seen
from tests.fast.triton.compiling import buckets

ELEMENTS = 6


def geometry_of(shape: tuple[int, ...], strides: tuple[int, ...], factored: tuple[int, int]) -> Geometry:
    """Of a tensor all of whose operands lie alike, with rows and columns in logical order."""
    factors = []
    for axis in factored:
        of_factor = row_major(tuple(1 if i == axis else size for i, size in enumerate(shape)))
        factors.append(tuple(0 if i == axis else stride for i, stride in enumerate(of_factor)))
    return seen(shape, (*[strides] * ELEMENTS, *factors), factored, cut())


def block(found: Geometry, address: int = 0) -> int:
    return found.block([address], range(ELEMENTS))


def places(found: Geometry) -> Counter[tuple[int, ...]]:
    """Of each element the places in an operand, in logical order, and in the vectors along both sides."""
    found_places: Counter[tuple[int, ...]] = Counter()
    *_, of_row, of_column, logical = found.strides
    of_p, of_q = (of_row, of_column) if found.row_is_p else (of_column, of_row)
    for at in itertools.product(*map(range, found.sizes)):
        *outer, p, q = at
        along = p * found.period + q % found.period
        on = [sum(map(int.__mul__, at, strides)) for strides in (found.strides[0], logical)]
        sides = [sum(map(int.__mul__, (*outer, along, q), strides)) for strides in (of_p, of_q)]
        found_places[(*on, *sides)] += 1
    return found_places


CONVOLUTIONS: Sequence[tuple[tuple[int, ...], tuple[int, int]]] = (
    ((10, 8, 3, 3), (0, 1)), ((8, 16, 3, 3), (1, 0)), ((9, 8, 5), (0, 1)), ((16, 8, 1, 7), (0, 1)),
    ((3, 12, 8, 2), (1, 2)),
)  # fmt: skip


@pytest.mark.parametrize(("shape", "factored"), CONVOLUTIONS, ids=str)
def test_the_inner_axis_as_a_part_of_the_second_side_is_the_same_tensor(
    shape: tuple[int, ...], factored: tuple[int, int]
) -> None:
    deep = geometry_of(shape, row_major(shape), factored)
    flat = deep.flat(cut())
    assert flat is not None
    assert (deep.shape, block(deep), block(flat)) == (DEEP, DEEP, FLAT)
    assert places(flat) == places(deep)
    assert set(places(flat).values()) == {1}


@pytest.mark.parametrize(("shape", "factored"), CONVOLUTIONS, ids=str)
def test_strips_are_whole_periods_and_cover_a_row(shape: tuple[int, ...], factored: tuple[int, int]) -> None:
    flat = geometry_of(shape, row_major(shape), factored).flat(cut())
    assert flat is not None
    strip = cut().strip(flat.period)
    assert strip > 0
    assert strip % flat.period == strip % geometry.VECTOR == 0
    assert strip <= cut().strips[1]
    (_, tiles_p, tiles_q), _, height = flat.sums(cut(), 4)
    width = cut().strips[0] * strip
    assert (tiles_q - 1) * width < flat.sizes[4] <= tiles_q * width
    assert (tiles_p - 1) * height < flat.sizes[3] <= tiles_p * height


@pytest.mark.parametrize(("longest", "count"), geometry.PERIODS, ids=lambda number: str(number))
def test_a_strip_has_no_more_periods_than_are_summed(longest: int, count: int) -> None:
    strips = {period: cut().strip(period) for period in range(2, longest + 1)}
    limit = {period: next(most for last, most in geometry.PERIODS if period <= last) for period in strips}
    assert all(strip <= period * limit[period] for period, strip in strips.items())
    assert all(strip > 0 for period, strip in strips.items() if period * 8 <= 128)


@pytest.mark.parametrize(
    ("shape", "strides", "expected"),
    [
        ((64, 64, 3, 3), (576, 1, 192, 64), TURNED),
        ((64, 5, 3, 3), (45, 9, 3, 1), DEEP),
        ((64, 64, 9, 9), (5184, 81, 9, 1), DEEP),
        ((64, 64, 3, 3), (576, 9, 1, 3), DEEP),
        ((64, 64, 3, 3), (1152, 18, 6, 2), DEEP),
    ],
    ids=["channels last", "rows of no whole vectors", "a long period", "kernels turned", "with gaps"],
)
def test_other_convolutions_are_read_as_they_lie(
    shape: tuple[int, ...], strides: tuple[int, ...], expected: int
) -> None:
    found = geometry_of(shape, strides, (0, 1))
    flat = found.flat(cut())
    assert flat is None or block(flat) != FLAT
    assert block(found) == expected


def test_an_address_between_vectors_leaves_the_inner_axis_where_it_is() -> None:
    deep = geometry_of((64, 64, 3, 3), (576, 9, 3, 1), (0, 1))
    flat = deep.flat(cut())
    assert flat is not None
    assert (block(flat), block(flat, 2), block(deep, 2)) == (FLAT, WIDE, DEEP)


def test_matrices_have_no_inner_axis() -> None:
    assert geometry_of((64, 64), (64, 1), (1, 0)).flat(cut()) is None
    assert block(geometry_of((8, 64, 64), (4096, 64, 1), (2, 1))) == EVEN


@pytest.mark.parametrize("threads", [128, 256])
@pytest.mark.parametrize("name", ["mixed-bf16", "convolutions-fp32"])
def test_no_element_of_a_block_is_in_two_threads(monkeypatch: pytest.MonkeyPatch, name: str, threads: int) -> None:
    """One would read what the other has changed already: weights, and of each group of elements what s remembers."""
    monkeypatch.setattr(features, "THREADS", threads)
    found, _ = buckets(name)
    for each in itertools.chain.from_iterable((bucket.features, bucket.features.of_sums) for bucket in found):
        blocks = (each.of_wide, each.of_tall, each.of_deep, each.of_even, each.of_slim, each.of_flat, each.of_turned)
        for of in blocks:
            assert of.bp * of.bq * of.bl // of.group >= threads
        assert each.piece >= threads
