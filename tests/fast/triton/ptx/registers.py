"""Instructions from registers to registers, and calls of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.fast.triton.ptx.arithmetic import TYPES, bits_of, operation
from tests.fast.triton.ptx.code import members
from tests.fast.triton.ptx.operands import Action, Decoder

if TYPE_CHECKING:
    from tests.fast.triton.ptx.machine import Frame, Mask


def compute(of: Decoder) -> Action:
    """Arithmetic."""
    target, *sources = of.operands
    if "{" in "".join(of.operands):
        return _split(of) if target[0] == "{" else _join(of)
    if "|" in target:
        return _compare_both(of)
    meant = operation(of.instruction.name)
    write = of.write(target, meant.result)
    reads = [of.read(each, kind) for each, kind in zip(sources, meant.takes, strict=True)]
    dtype = TYPES[meant.result]

    def do(frame: Frame, here: Mask) -> None:
        write(frame, np.asarray(meant.compute(*(read(frame) for read in reads))).astype(dtype, copy=False), here)

    return do


def _compare_both(of: Decoder) -> Action:
    """Two comparisons, of the halves of words."""
    targets, *sources = of.operands
    meant = operation(of.instruction.name.removesuffix("x2"))
    writes = [of.write(each, "pred") for each in targets.split("|")]
    reads = [of.read(each, "u32") for each in sources]

    def compare(frame: Frame, here: Mask) -> None:
        words = [read(frame) for read in reads]
        for half, write in enumerate(writes):
            halves = [np.asarray(word >> np.uint32(16 * half)).astype(np.uint16) for word in words]
            write(frame, meant.compute(*(each.view(TYPES[meant.takes[0]]) for each in halves)), here)

    return compare


def _split(of: Decoder) -> Action:
    """One register to several narrower ones."""
    target, source = of.operands
    names, bits = members(target), bits_of(of.parts[-1])
    part = bits // len(names)
    read, writes = of.read(source, f"u{bits}"), [of.write(each, f"u{part}") for each in names]

    def split(frame: Frame, here: Mask) -> None:
        whole = read(frame)
        for place, write in enumerate(writes):
            write(frame, (whole >> np.array(place * part, whole.dtype)).astype(f"u{part // 8}"), here)

    return split


def _join(of: Decoder) -> Action:
    """Several registers to one wider one."""
    target, source = of.operands
    names, bits = members(source), bits_of(of.parts[-1])
    part, dtype = bits // len(names), np.dtype(f"u{bits // 8}")
    write, reads = of.write(target, f"u{bits}"), [of.read(each, f"u{part}") for each in names]

    def join(frame: Frame, here: Mask) -> None:
        whole = np.zeros(frame.threads, dtype)
        for place, read in enumerate(reads):
            whole |= read(frame).astype(dtype) << np.array(place * part, dtype)
        write(frame, whole, here)

    return join


def call(of: Decoder) -> Action:
    """A function, of which all have to return."""
    result, name, given = of.operands
    called = of.kernel.module.functions[name]
    names = [each.strip() for each in given.strip("()").split(",")]
    room = -(-of.function.stack // 16) * 16

    def do(frame: Frame, here: Mask) -> None:
        params = {formal: frame.params[actual] for formal, actual in zip(called.params, names, strict=True)}
        inner = type(frame)(frame.kernel, called, frame.special, frame.shared, params, frame.stack, frame.base + room)
        assert not list(inner.run(here)), "a barrier in a function"
        frame.params[result.strip("() ")] = inner.params[called.result]

    return do
