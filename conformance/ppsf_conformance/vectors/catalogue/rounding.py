"""Area R: formats, rounding and random bits. Results are bit patterns, so that signs of zeros are told."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ppsf_conformance.vectors.draws import Draw, array, drawn, f32, integer, signed
from ppsf_conformance.vectors.model import case, exact
from ppsf_ref.clauses import rounding
from ppsf_ref.formats import FORMATS, Array

#: The largest finite number of bfloat16 and of float32, and the smallest of each.
LARGEST_BF16, LARGEST = (2 - 2.0**-7) * 2.0**127, float(np.finfo(np.float32).max)
TINY_BF16, TINY = 2.0**-133, 2.0**-149
STEP = 2.0**-7  # between bfloat16 numbers from 1 to 2


def patterns(values: Array, dtype: str) -> list[int | None]:
    """The bits of numbers that fit a format; None for a NaN, of which there are many."""
    if dtype == "float16":
        halves = np.asarray(values, np.float16).reshape(-1).view(np.uint16)
        return [None if math.isnan(x) else int(b) for x, b in zip(np.ravel(values), halves, strict=True)]
    bits = np.asarray(values, np.float32).reshape(-1).view(np.uint32)
    shifted = bits >> np.uint32(16) if dtype == "bfloat16" else bits
    return [None if math.isnan(x) else int(b) for x, b in zip(np.ravel(values), shifted, strict=True)]


def _nearest(i: Any) -> list[int | None]:
    with np.errstate(over="ignore"):
        return patterns(rounding.nearest(i.x, FORMATS[i.format]), i.format)


def _stochastic(i: Any) -> list[int | None]:
    with np.errstate(over="ignore", invalid="ignore"):
        return patterns(rounding.stochastic(i.x, np.asarray(i.r, np.uint32)), "bfloat16")


def _of_patterns(i: Any) -> list[int | None]:
    """As :func:`_stochastic`, from the bits of float32 numbers: which NaN it is matters."""
    i.x = np.array(i.q, np.uint32).view(np.float32).astype(np.float64)
    return _stochastic(i)


def _bits(i: Any) -> dict[str, list[int]]:
    for_y, for_z = rounding.rounding_bits(i.seed, i.k, i.i, i.count)
    return {"for_y": [int(b) for b in for_y], "for_z": [int(b) for b in for_z]}


def _formats(i: Any) -> dict[str, Any]:
    found = rounding.storage(i.dtype, i.factored_fp32)
    return {"formats": {name: form.name for name, form in found.items()}}


def _compact(i: Any) -> dict[str, Any]:
    found = rounding.compact(rounding.storage(i.dtype, True), i.bf16_state)
    return {"formats": {name: form.name for name, form in found.items()}}


def _random(count: int) -> Draw:
    one = integer(0, 2**16 - 1)
    return lambda stream: [one(stream) for _ in range(count)]


SPECIAL = (0.0, -0.0, math.inf, -math.inf, math.nan)
BETWEEN = 1 + STEP / 2

ROUNDING = (
    exact(
        "PPSF-R-001",
        "dtype:text factored_fp32:boolean",
        "formats:formats",
        _formats,
        case("float32", "DefaultOptions", dtype="float32", factored_fp32=True),
        case("bfloat16: the factors in float32", "DefaultOptions Factored", dtype="bfloat16", factored_fp32=True),
        case("bfloat16: the factors in bfloat16", "Factored", dtype="bfloat16", factored_fp32=False),
        case("float32, where the switch changes nothing", "Factored", dtype="float32", factored_fp32=False),
        case("float16: the weights alone are", "DefaultOptions", dtype="float16", factored_fp32=True),
        case("float16, where the switch changes nothing", "Factored", dtype="float16", factored_fp32=False),
    ),
    exact(
        "PPSF-R-002",
        "x:raw format:text",
        "bits:integers",
        _nearest,
        case("numbers of the format", "Exact", x=(1.0, -2.5, f32(1e-20)), format="float32"),
        case("half-way: to the even one", "Tie", x=(1 + 2.0**-24, 1 + 3 * 2.0**-24, -1 - 2.0**-24), format="float32"),
        case(
            "just beside half-way", "NearGuard", x=(1 + 2.0**-24 + 2.0**-50, 1 + 2.0**-24 - 2.0**-50), format="float32"
        ),
        case(
            "below the smallest number",
            "Subnormal Tie",
            x=(TINY / 2, 0.75 * TINY, -TINY / 2, TINY / 4),
            format="float32",
        ),
        case(
            "subnormal numbers have fewer bits",
            "Subnormal",
            x=(2.5 * TINY, 3.5 * TINY, 2.0**-127 + TINY / 2),
            format="float32",
        ),
        case(
            "around the largest number",
            "Overflow",
            x=(LARGEST, LARGEST + 2.0**102, LARGEST + 2.0**103, -1e300),
            format="float32",
        ),
        case("special values", "NonFinite Zero", x=SPECIAL, format="float32"),
        case(
            "bfloat16: half-way goes to the even one", "Tie", x=(BETWEEN, 1 + 1.5 * STEP, -BETWEEN), format="bfloat16"
        ),
        case(
            "bfloat16: just beside half-way", "NearGuard", x=(BETWEEN + 2.0**-23, BETWEEN - 2.0**-23), format="bfloat16"
        ),
        case(
            "bfloat16: rounded once, not by way of float32",
            "NearGuard",
            x=(BETWEEN + 2.0**-40, BETWEEN - 2.0**-40),
            format="bfloat16",
        ),
        case(
            "bfloat16: subnormal numbers",
            "Subnormal Tie",
            x=(TINY_BF16, TINY_BF16 / 2, 1.5 * TINY_BF16, TINY),
            format="bfloat16",
        ),
        case("bfloat16: around the largest number", "Overflow", x=(LARGEST_BF16, LARGEST, -LARGEST), format="bfloat16"),
        case("bfloat16: special values", "NonFinite Zero", x=SPECIAL, format="bfloat16"),
        drawn("R-002", 2, x=array((6,), signed(-20, 20)), format=lambda _: "bfloat16"),
        case("float16: half-way goes to the even one", "Tie", x=(1 + 2.0**-11, 1 + 3 * 2.0**-11), format="float16"),
        case(
            "float16: rounded once, not by way of float32",
            "NearGuard",
            x=(1 + 2.0**-11 + 2.0**-40, 1 + 3 * 2.0**-11 - 2.0**-40),
            format="float16",
        ),
        case(
            "float16: subnormal numbers",
            "Subnormal Tie",
            x=(2.0**-24, 2.0**-25, 1.5 * 2.0**-24, 1e-30),
            format="float16",
        ),
        case("float16: around the largest number", "Overflow", x=(65504.0, 65519.0, 65520.0, -1e30), format="float16"),
        case("float16: special values", "NonFinite Zero", x=SPECIAL, format="float16"),
    ),
    exact(
        "PPSF-R-003",
        "x:raw r:integers",
        "bits:integers",
        _stochastic,
        case("a number of bfloat16 stays, whatever the bits", "Exact", x=(1.0, 1.0, -2.5), r=[0, 65535, 65535]),
        case("half-way: up from bit 32768 on", "Tie", x=(BETWEEN, BETWEEN, BETWEEN), r=[32767, 32768, 0]),
        case("a quarter of the way", "NearGuard", x=(1 + STEP / 4,) * 3, r=[49151, 49152, 65535]),
        case("a unit of float32 above: one bit value in 65536", "NearGuard", x=(1 + 2.0**-23,) * 2, r=[65534, 65535]),
        case("a unit of float32 below the next", "NearGuard", x=(1 + STEP - 2.0**-23,) * 2, r=[0, 1]),
        case("negative numbers: away from zero", "", x=(-BETWEEN, -BETWEEN), r=[32767, 32768]),
        case("across a power of two", "", x=(2 - STEP / 4, 2 - STEP / 4), r=[0, 16384]),
        case("subnormal numbers", "Subnormal", x=(TINY, TINY, 3 * TINY), r=[65534, 65535, 0]),
        case("past the largest number of bfloat16", "Overflow", x=(LARGEST, LARGEST, LARGEST_BF16), r=[0, 1, 65535]),
        case("rounded to float32 first, to nearest", "Tie", x=(1 + 2.0**-24, 1 + 3 * 2.0**-24), r=[65535, 65534]),
        drawn("R-003", 4, x=array((8,), signed(-10, 10)), r=_random(8)),
    ),
    exact(
        "PPSF-R-004",
        "seed:integer k:integer i:integer count:integer",
        "for_y:integers for_z:integers",
        _bits,
        case("the published block of zeros has key 0: seed 0, k 0", "Edge", seed=0, k=0, i=0, count=4),
        case("the first step", "DefaultOptions FirstStep", seed=0, k=1, i=0, count=6),
        case("the second step", "DefaultOptions", seed=0, k=2, i=0, count=6),
        case("the second parameter", "DefaultOptions", seed=0, k=1, i=1, count=6),
        case("another seed", "", seed=12345, k=1, i=0, count=6),
        case("seeds above 2^32 are taken modulo 2^32", "Edge", seed=2**32 + 7, k=3, i=2, count=5),
        case("the same as before", "Edge", seed=7, k=3, i=2, count=5),
        case("the largest seed and a late step", "Edge", seed=2**32 - 1, k=1_000_000, i=1000, count=5),
        case("k above 2^32", "Edge", seed=1, k=2**32 + 1, i=0, count=3),
        case("no elements", "Edge", seed=0, k=1, i=0, count=0),
        case("one element", "Edge", seed=0, k=1, i=0, count=1),
    ),
    exact(
        "PPSF-R-005",
        "q:integers r:integers",
        "bits:integers",
        _of_patterns,
        case("NaN stays NaN", "NonFinite", q=[0x7FC00000] * 3, r=[0, 32768, 65535]),
        case("a NaN whose sum overflows to zero", "NonFinite", q=[0x7FFFFFFF, 0xFFFFFFFF], r=[1, 65535]),
        case("a NaN whose sum is an infinity", "NonFinite", q=[0x7F800001, 0xFF800001], r=[0, 65534]),
        case("infinities stay", "NonFinite", q=[0x7F800000, 0xFF800000] * 2, r=[0, 0, 65535, 65535]),
        case("zeros keep their sign", "Zero", q=[0, 0x80000000] * 2, r=[0, 0, 65535, 65535]),
        case(
            "all of them beside ordinary numbers",
            "NonFinite Zero",
            q=[0x3F800000, 0x7FFFFFFF, 0x3F808000, 0xFF800000, 0x80000000],
            r=[65535] * 5,
        ),
        case("the largest number of bfloat16 stays", "Exact", q=[0x7F7F0000, 0xFF7F0000], r=[65535, 65535]),
        case("the smallest number of bfloat16 stays", "Exact Subnormal", q=[0x00010000, 0x80010000], r=[65535, 65535]),
    ),
    exact(
        "PPSF-R-010",
        "dtype:text bf16_state:boolean",
        "formats:formats",
        _compact,
        case("float32", "DefaultOptions", dtype="float32", bf16_state=False),
        case("float32 with compact samples", "", dtype="float32", bf16_state=True),
        case("bfloat16", "DefaultOptions", dtype="bfloat16", bf16_state=False),
        case("bfloat16 with compact samples", "", dtype="bfloat16", bf16_state=True),
    ),
)
