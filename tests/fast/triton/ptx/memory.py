"""Loads and stores: of the host's memory, of what a program shares, of a thread's stack, of parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tests.fast.triton.ptx.arithmetic import TYPES, Array
from tests.fast.triton.ptx.code import WARP, members
from tests.fast.triton.ptx.operands import Action, Decoder, Read

if TYPE_CHECKING:
    from tests.fast.triton.ptx.machine import Frame, Mask

#: Where the host's memory begins, as NumPy takes an address of 0 for none; and where it ends.
_FIRST, _LAST = 4096, 1 << 47
_SPACES = ("global", "shared", "local", "param")
_ADDRESS = re.compile(r"\[\s*([%\w$@.]+)\s*(?:\+\s*(-?\d+))?\s*\]")


class _Host:
    """All memory of this process, as an array of bytes."""

    __array_interface__: ClassVar = {
        "data": (_FIRST, False),
        "shape": (_LAST - _FIRST,),
        "typestr": "|u1",
        "version": 3,
    }


_MEMORY = np.asarray(_Host())
#: Told of each access to the host's memory: by which function, the addresses of the threads that take part, and how
#: many bytes there are at each.
observers: list[Callable[[str, Array, int], None]] = []


def load(of: Decoder) -> Action:
    """From memory to registers, each of which may be wider."""
    target, source = of.operands
    if "param" in of.parts:
        name, write = source.strip("[] "), of.write(target, of.parts[-1])
        dtype = TYPES[of.parts[-1]]
        return lambda frame, here: write(frame, frame.params[name].astype(f"u{dtype.itemsize}").view(dtype), here)
    space, dtype, names = _space(of), TYPES[of.parts[-1]], members(target)
    writes, place = [of.write(each, of.parts[-1]) for each in names], _place(of, source)
    of_bits = f"u{dtype.itemsize}"

    def act(frame: Frame, here: Mask) -> None:
        at = _checked(place(frame)[here], dtype.itemsize * len(names), of)
        _tell(frame, space, at, dtype.itemsize * len(names))
        for index, write in enumerate(writes):
            found = np.zeros(frame.threads, of_bits)
            found[here] = _cells(frame, space, of_bits)[_index(at, dtype.itemsize, space, here, index)]
            write(frame, found.view(dtype), here)

    return act


def store(of: Decoder) -> Action:
    """From registers, of which each may be wider, to memory."""
    target, source = of.operands
    if "param" in of.parts:
        name, read = target.strip("[] "), of.spread(source, of.parts[-1])
        bits = f"u{TYPES[of.parts[-1]].itemsize}"

        def give(frame: Frame, here: Mask) -> None:
            frame.params[name] = read(frame).copy().view(bits).astype(np.uint64)

        return give
    space, dtype, names = _space(of), TYPES[of.parts[-1]], members(source)
    reads, place = [of.spread(each, of.parts[-1]) for each in names], _place(of, target)

    def act(frame: Frame, here: Mask) -> None:
        at = _checked(place(frame)[here], dtype.itemsize * len(names), of)
        _tell(frame, space, at, dtype.itemsize * len(names))
        for index, read in enumerate(reads):
            cells = _cells(frame, space, f"u{dtype.itemsize}")
            cells[_index(at, dtype.itemsize, space, here, index)] = read(frame)[here].view(cells.dtype)

    return act


def _space(of: Decoder) -> str:
    found = [each for each in of.parts if each in _SPACES]
    if len(found) != 1:
        raise NotImplementedError(of.instruction.text)
    return found[0]


def _place(of: Decoder, text: str) -> Read:
    """The address of each thread, int64."""
    found = _ADDRESS.fullmatch(text)
    assert found is not None, of.instruction.text
    read = of.spread(found[1], f"u{of.bits(found[1], 64)}")
    offset = int(found[2] or 0)
    return lambda frame: read(frame).astype(np.int64) + offset


def _checked(at: Array, size: int, of: Decoder) -> Array:
    assert not (at % size).any(), f"an address is not divisible by {size}: {of.instruction.text}"
    return at


def _tell(frame: Frame, space: str, at: Array, size: int) -> None:
    if space == "global":
        for observer in observers:
            observer(frame.function.name, at, size)


def _cells(frame: Frame, space: str, dtype: str) -> Array:
    memory: Any = {"global": _MEMORY, "shared": frame.shared, "local": frame.stack}[space]
    return memory.view(dtype)


def _index(at: Array, size: int, space: str, here: Mask, index: int) -> Any:
    """Where one of the elements at an address is among the cells."""
    cell = (at - _FIRST if space == "global" else at) // size + index
    return (np.flatnonzero(here), cell) if space == "local" else cell


# ------------------------------------------------------------------------------------------------------------ matrices


def load_matrices(of: Decoder) -> Action:
    """Matrices of 8 x 8 elements of 16 bits, of which each thread has two that follow each other in a row; transposed,
    in a column."""
    target, source = of.operands
    pairs = _pairs_of(of, source)
    writes = [of.write(each, "u32") for each in members(target)]

    def act(frame: Frame, here: Mask) -> None:
        cells = frame.shared.view(np.uint16)
        for write, (lower, upper) in zip(writes, pairs(frame, here, len(writes)), strict=True):
            write(frame, cells[lower] | cells[upper].astype(np.uint32) << np.uint32(16), here)

    return act


def store_matrices(of: Decoder) -> Action:
    """The same from registers to memory."""
    target, source = of.operands
    pairs = _pairs_of(of, target)
    reads = [of.spread(each, "u32") for each in members(source)]

    def act(frame: Frame, here: Mask) -> None:
        cells = frame.shared.view(np.uint16)
        for read, (lower, upper) in zip(reads, pairs(frame, here, len(reads)), strict=True):
            word = read(frame)[here]
            cells[lower[here]], cells[upper[here]] = word & np.uint32(0xFFFF), word >> np.uint32(16)

    return act


def _pairs_of(of: Decoder, text: str) -> Any:
    """For each matrix the two elements of each thread; of its rows, thread 8 m + n of a warp has the address of the
    n-th of the m-th matrix."""
    if "shared" not in of.parts or "m8n8" not in of.parts:
        raise NotImplementedError(of.instruction.text)
    place, transposed = _place(of, text), "trans" in of.parts

    def pairs(frame: Frame, here: Mask, count: int) -> list[tuple[Array, Array]]:
        frame.meet(here)
        at = _checked(place(frame), 16, of) // 2
        thread = np.arange(frame.threads)
        first, side, along = thread // WARP * WARP, thread % WARP // 4, thread % 4 * 2
        if transposed:
            rows = [first + 8 * index + along for index in range(count)]
            return [(at[row] + side, at[row + 1] + side) for row in rows]
        rows = [first + 8 * index + side for index in range(count)]
        return [(at[row] + along, at[row] + along + 1) for row in rows]

    return pairs
