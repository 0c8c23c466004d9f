"""What instructions compute: functions of arrays, an element for each thread.

Bits are those of the ISA's manual. Where it only bounds an error, the result is off by that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # of NumPy, of any dtype
TYPES: dict[str, np.dtype[Any]] = {
    "pred": np.dtype(bool),
    **{f"{kind}{bits}": np.dtype(f"u{bits // 8}") for kind in "bu" for bits in (8, 16, 32, 64)},
    **{f"s{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"f{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    "bf16": np.dtype("u2"),
    "f16x2": np.dtype("u4"),
    "bf16x2": np.dtype("u4"),
    "f32x2": np.dtype("u8"),
}
_FLOATS = ("f16", "f32", "f64")
#: All NaN that float32 arithmetic makes.
_NAN = np.uint32(0x7FFFFFFF).view(np.float32)
#: What is smaller is subnormal, and 0 to some instructions.
_TINY = np.finfo(np.float32).tiny
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|\d+)U?$")


@dataclass(frozen=True, slots=True)
class Operation:
    """What an instruction computes from its operands.

    Attributes:
        result: the type of what it gives.
        takes: the types of its operands.
        compute: arrays of these types to one of that.
    """

    result: str
    takes: tuple[str, ...]
    compute: Callable[..., Array]


def operation(name: str) -> Operation:
    """What an instruction without memory, jumps and other threads does.

    Raises:
        NotImplementedError: if nobody has written down what that is.
    """
    base, *more = name.split(".")
    make = _MAKERS.get(base)
    found = None if make is None else make(base, more)
    if found is None:
        raise NotImplementedError(name)
    return found


def bits_of(kind: str) -> int:
    """The width of a type, as registers have it."""
    return 1 if kind == "pred" else 8 * TYPES[kind].itemsize


def literal(text: str, kind: str) -> Array:
    """A number as it is written, of a type."""
    dtype = TYPES[kind]
    if text[:2] in ("0f", "0d"):
        return np.array(int(text[2:], 16), "u4" if text[1] == "f" else "u8").view(dtype)
    assert _NUMBER.match(text), text
    number = int(text.rstrip("U"), 0)
    if kind == "pred":
        return np.array(number != 0)
    return np.array(number & (1 << bits_of(kind)) - 1, f"u{dtype.itemsize}").view(dtype)


# ------------------------------------------------------------------------------------------------------- exact floats


def exact_fma(a: Array, b: Array, c: Array) -> Array:
    """a * b + c of float32 or float64, rounded once."""
    if a.dtype == np.float32:
        a, b, c = (np.asarray(each, np.float64) for each in (a, b, c))
        return _to_odd(a * b, c).astype(np.float32)
    # Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008.
    high, low = _product(a, b)
    upper, rest = _sum(c, low)
    whole, left = _sum(high, upper)
    exact = whole + _to_odd(rest, left)
    return np.where(np.isfinite(exact) & np.isfinite(high), exact, a * b + c)


def _sum(a: Array, b: Array) -> tuple[Array, Array]:
    """A sum, and what rounding took from it."""
    whole = a + b
    part = whole - a
    return whole, (a - (whole - part)) + (b - part)


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """A product of float64, and what rounding took from it."""

    def halves(x: Array) -> tuple[Array, Array]:
        large = x * 134217729.0
        high = large - (large - x)
        return high, x - high

    whole, (ah, al), (bh, bl) = a * b, halves(a), halves(b)
    return whole, ((ah * bh - whole) + ah * bl + al * bh) + al * bl


def _to_odd(a: Array, b: Array) -> Array:
    """A sum of float64; where it is not exact, the neighbour whose last bit is 1: rounded again, it is rounded once."""
    whole, rest = _sum(a, b)
    even = (np.ascontiguousarray(whole).view(np.uint64) & np.uint64(1)) == 0
    off = (rest != 0) & even & np.isfinite(whole)
    return np.where(off, np.nextafter(whole, np.where(rest > 0, np.inf, -np.inf)), whole)


def _one_nan(compute: Callable[..., Array]) -> Callable[..., Array]:
    """Float32 results with the only NaN there is."""

    def computed(*given: Array) -> Array:
        found = compute(*given)
        return np.where(np.isnan(found), _NAN, found) if found.dtype == np.float32 else found

    return computed


def widened(values: Array) -> Array:
    """bfloat16 to float32."""
    return (np.asarray(values).astype(np.uint32) << np.uint32(16)).view(np.float32)


def _narrowed(values: Array) -> Array:
    """float32 to bfloat16, to nearest, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    found = (bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))) >> np.uint32(16)
    return np.where(np.isnan(values), 0x7FFF, found).astype(np.uint16)


# ---------------------------------------------------------------------------------------------------------- arithmetic
# Each maker takes the name of an instruction in parts, and knows that one or returns None.


def _only(more: Sequence[str], allowed: str) -> bool:
    return set(more) <= set(allowed.split())


def _of(compute: Callable[..., Array], count: int) -> Callable[[str, Sequence[str]], Operation | None]:
    """A sum, a difference or a product."""

    def make(base: str, more: Sequence[str]) -> Operation | None:
        *how, kind = more
        if kind == "f32x2":
            return Operation(kind, (kind,) * count, _in_pairs(_one_nan(compute)))
        if how == ["rn", "f32"] and kind == "bf16":  # the first of them is narrow
            return Operation("f32", ("bf16", "f32"), _one_nan(lambda a, b: compute(widened(a), b)))
        if kind in _FLOATS:
            return Operation(kind, (kind,) * count, _one_nan(compute)) if _only(how, "rn") else None
        return Operation(kind, (kind,) * count, compute) if kind[0] in "us" and _only(how, "lo") else None

    return make


def _in_pairs(compute: Callable[..., Array]) -> Callable[..., Array]:
    """The same of both halves of words of 64 bits."""

    def computed(*given: Array) -> Array:
        halves = (np.atleast_1d(np.ascontiguousarray(each)).view(np.float32).reshape(-1, 2) for each in given)
        return np.ascontiguousarray(compute(*halves)).view(np.uint64).reshape(-1)

    return computed


def _product_of(base: str, more: Sequence[str]) -> Operation | None:
    *how, kind = more
    if how == ["lo"] and base == "mad":
        return Operation(kind, (kind,) * 3, lambda a, b, c: a * b + c)
    if how not in (["wide"], ["hi"]):
        return None if base == "mad" else _of(np.multiply, 2)(base, more)
    bits = int(kind[1:])
    wide = f"{kind[0]}{2 * bits}"
    if wide not in TYPES:
        return None

    def whole(a: Array, b: Array) -> Array:
        return np.asarray(a).astype(TYPES[wide]) * np.asarray(b).astype(TYPES[wide])

    if base == "mad":
        return Operation(wide, (kind, kind, wide), lambda a, b, c: whole(a, b) + c) if how == ["wide"] else None
    if how == ["wide"]:
        return Operation(wide, (kind, kind), whole)
    return Operation(kind, (kind, kind), lambda a, b: (whole(a, b) >> bits).astype(TYPES[kind]))


def _fma(base: str, more: Sequence[str]) -> Operation | None:
    if more == ["rn", "f32x2"]:
        return Operation("f32x2", ("f32x2",) * 3, _in_pairs(_one_nan(exact_fma)))
    *how, kind = more
    return Operation(kind, (kind,) * 3, _one_nan(exact_fma)) if how == ["rn"] and kind in ("f32", "f64") else None


def _quotient(base: str, more: Sequence[str]) -> Operation | None:
    *how, kind = more
    if kind in _FLOATS:
        return Operation(kind, (kind, kind), _one_nan(np.divide)) if (base, how) == ("div", ["rn"]) else None

    def whole(a: Array, b: Array) -> Array:
        by = np.where(b == 0, 1, b).astype(TYPES[kind])  # what comes of 0 nobody may use
        rest = np.fmod(a, by)
        return rest if base == "rem" else (a - rest) // by

    return Operation(kind, (kind, kind), whole)


def _extreme(base: str, more: Sequence[str]) -> Operation | None:
    *how, kind = more
    least = base == "min"
    if kind not in _FLOATS:
        return Operation(kind, (kind, kind), np.minimum if least else np.maximum) if kind[0] in "us" else None
    if not _only(how, "NaN"):
        return None
    of_numbers: Any = np.fmin if least else np.fmax
    find: Any = of_numbers if not how else np.minimum if least else np.maximum

    def compute(a: Array, b: Array) -> Array:
        negative = np.signbit(a) | np.signbit(b) if least else np.signbit(a) & np.signbit(b)
        zero = np.where(negative, -0.0, 0.0).astype(TYPES[kind])
        return np.where((a == 0) & (b == 0), zero, find(a, b))

    return Operation(kind, (kind, kind), _one_nan(compute))


def _root(base: str, more: Sequence[str]) -> Operation | None:
    *how, kind = more
    return Operation(kind, (kind,), _one_nan(np.sqrt)) if how == ["rn"] else None


def _inverse(base: str, more: Sequence[str]) -> Operation | None:
    if more == ["approx", "ftz", "f32"]:
        return Operation("f32", ("f32",), _one_nan(_off_by_a_unit))
    if more == ["approx", "ftz", "f64"]:
        return Operation("f64", ("f64",), _to_20_bits)
    return None


def _off_by_a_unit(a: Array) -> Array:
    """An inverse with an error of at most a unit in the last place: one below, right or one above, as bits of the
    argument decide. What is subnormal counts as 0."""
    of = np.where(np.abs(a) < _TINY, np.copysign(np.float32(0), a), a)
    found = (1 / of.astype(np.float64)).astype(np.float32)
    side = (np.ascontiguousarray(a).view(np.uint32) * np.uint32(2654435761) >> np.uint32(30)).astype(np.int32) - 1
    moves = np.isfinite(found) & (np.abs(found) > _TINY) & (side < 2)
    moved = (found.view(np.int32) + np.where(moves, side, 0).astype(np.int32)).view(np.float32)
    return np.where(np.abs(moved) < _TINY, np.copysign(np.float32(0), moved), moved)


def _to_20_bits(a: Array) -> Array:
    """An inverse whose lower half is 0."""
    return (np.ascontiguousarray(1 / a).view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)


def _sign_of(base: str, more: Sequence[str]) -> Operation | None:
    *how, kind = more
    if (base, how, kind) == ("abs", ["ftz"], "f32"):
        return Operation(kind, (kind,), lambda a: np.where(np.abs(a) < _TINY, np.float32(0), np.abs(a)))
    if how:
        return None
    if kind == "bf16" or kind.endswith("x2"):
        signs = np.array(0x8000 if kind == "bf16" else 0x80008000, TYPES[kind])
        return Operation(kind, (kind,), lambda a: a & ~signs) if base == "abs" and kind != "f32x2" else None
    if base == "copysign":  # the sign is that of the first
        return Operation(kind, (kind, kind), lambda a, b: np.copysign(b, a))
    return Operation(kind, (kind,), np.negative if base == "neg" else np.abs)


# ---------------------------------------------------------------------------------------------------------------- bits


def _logic(base: str, more: Sequence[str]) -> Operation:
    kind = more[-1]
    compute: Any = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert}[base]
    return Operation(kind, (kind,) * (1 if base == "not" else 2), compute)


def _shift(base: str, more: Sequence[str]) -> Operation:
    kind = more[-1]
    bits = bits_of(kind)

    def compute(a: Array, by: Array) -> Array:
        short = np.minimum(by, bits - 1).astype(TYPES[kind])
        found = a << short if base == "shl" else a >> short
        return found if kind[0] == "s" else np.where(by >= bits, 0, found).astype(TYPES[kind])

    return Operation(kind, (kind, "u32"), compute)


def _field(base: str, more: Sequence[str]) -> Operation | None:
    """Some bits of a word, of which the last is the sign."""
    kind = more[-1]
    if bits_of(kind) != 32:
        return None

    def compute(a: Array, at: Array, length: Array) -> Array:
        at, length = (np.asarray(each & 0xFF).astype(np.int64) for each in (at, length))
        above = 64 - np.minimum(at + length, 32)  # so that the field ends where the sign of a wider word is
        word = np.asarray(a).astype(np.int64 if kind[0] == "s" else np.uint64)
        found = word << np.minimum(above, 63).astype(word.dtype) >> np.minimum(above + at, 63).astype(word.dtype)
        return np.where(length == 0, 0, found).astype(TYPES[kind])

    return Operation(kind, (kind, "u32", "u32"), compute)


def _count(base: str, more: Sequence[str]) -> Operation:
    return Operation("u32", (more[-1],), lambda a: np.bitwise_count(a).astype(np.uint32))


def _bytes(base: str, more: Sequence[str]) -> Operation | None:
    """Four bytes of two words, each chosen by four bits; the highest of these asks for its sign instead."""

    def compute(a: Array, b: Array, choice: Array) -> Array:
        whole = np.asarray(b).astype(np.uint64) << np.uint64(32) | a
        found = np.zeros_like(whole)
        for place in range(4):
            of = np.asarray(choice).astype(np.uint64) >> np.uint64(4 * place)
            byte = whole >> (of & np.uint64(7)) * np.uint64(8) & np.uint64(0xFF)
            signs = (byte >> np.uint64(7)) * np.uint64(0xFF)
            found |= np.where(of & np.uint64(8), signs, byte) << np.uint64(8 * place)
        return found.astype(np.uint32)

    return Operation("b32", ("b32",) * 3, compute) if more == ["b32"] else None


def _choice(base: str, more: Sequence[str]) -> Operation:
    kind = more[-1]
    return Operation(kind, (kind, kind, "pred"), lambda a, b, first: np.where(first, a, b))


def _same(base: str, more: Sequence[str]) -> Operation:
    return Operation(more[-1], (more[-1],), lambda a: a)


# ------------------------------------------------------------------------------------------- comparing and converting

_ORDERED: dict[str, Any] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


def _comparison(base: str, more: Sequence[str]) -> Operation | None:
    if len(more) != 2:
        return None
    how, kind = more
    takes = (kind, kind)
    if kind == "bf16":
        wide = operation(f"{base}.{how}.f32")
        return Operation("pred", takes, lambda a, b: wide.compute(widened(a), widened(b)))
    if kind not in _FLOATS:
        return Operation("pred", takes, _ORDERED[how]) if how in _ORDERED else None
    if how in ("num", "nan"):
        return Operation("pred", takes, lambda a, b: (np.isnan(a) | np.isnan(b)) == (how == "nan"))
    if how[:-1] in _ORDERED:
        return Operation("pred", takes, lambda a, b: _ORDERED[how[:-1]](a, b) | np.isnan(a) | np.isnan(b))
    return Operation("pred", takes, lambda a, b: _ORDERED[how](a, b) & ~(np.isnan(a) | np.isnan(b)))


_TO_WHOLE: dict[str, Any] = {"rzi": np.trunc, "rni": np.rint}


def _conversion(base: str, more: Sequence[str]) -> Operation | None:
    *how, to, of = more
    if not _only(how, "rn rzi rni") or len(how) > 1:
        return None
    if to in ("bf16", "bf16x2", "f16x2"):
        return _to_narrow(to) if of == "f32" else None
    wide: Any = widened if of == "bf16" else np.asarray
    whole = _TO_WHOLE.get("".join(how))
    if to in _FLOATS:
        of_floats = whole or (lambda values: values)
        return Operation(to, (of,), _one_nan(lambda a: of_floats(wide(a)).astype(TYPES[to])))
    if of in _FLOATS:
        return None if whole is None else Operation(to, (of,), lambda a: _clamped(whole(a), to))
    return Operation(to, (of,), lambda a: np.asarray(a).astype(TYPES[to])) if not how else None


def _to_narrow(to: str) -> Operation:
    """To one narrow number, or to a word of two."""
    if to == "bf16":
        return Operation(to, ("f32",), _narrowed)
    narrow: Any = _narrowed if to == "bf16x2" else lambda values: np.asarray(values).astype("f2").view("u2")

    def both(upper: Array, lower: Array) -> Array:
        return narrow(upper).astype(np.uint32) << np.uint32(16) | narrow(lower)

    return Operation(to, ("f32", "f32"), both)


def _clamped(values: Array, kind: str) -> Array:
    """Whole numbers as integers: the nearest there is; 0 for a NaN."""
    about = np.iinfo(TYPES[kind])
    far = 2.0**62  # beyond it float64 may round to what int64 does not hold
    near = np.where(np.abs(values) < far, values, 0).astype(np.int64)
    found = np.clip(near, max(about.min, -(2**63)), min(about.max, 2**63 - 1)).astype(TYPES[kind])
    return np.where(values >= far, about.max, np.where(values <= -far, about.min, found)).astype(TYPES[kind])


_MAKERS: dict[str, Callable[[str, Sequence[str]], Operation | None]] = {
    "add": _of(np.add, 2), "sub": _of(np.subtract, 2), "mul": _product_of, "mad": _product_of, "fma": _fma,
    "div": _quotient, "rem": _quotient, "min": _extreme, "max": _extreme, "sqrt": _root, "rcp": _inverse,
    "neg": _sign_of, "abs": _sign_of, "copysign": _sign_of, "and": _logic, "or": _logic, "xor": _logic, "not": _logic,
    "shl": _shift, "shr": _shift, "bfe": _field, "popc": _count, "prmt": _bytes, "selp": _choice, "mov": _same,
    "cvta": _same, "setp": _comparison, "cvt": _conversion,
}  # fmt: skip
