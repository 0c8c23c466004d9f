"""What the operands of an instruction are, and how they are read and written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tests.fast.triton.ptx.arithmetic import TYPES, Array, bits_of, literal
from tests.fast.triton.ptx.code import Function, Instruction

if TYPE_CHECKING:
    from tests.fast.triton.ptx.machine import Frame, Kernel, Mask

#: Does an instruction for the threads of a mask.
Action = Callable[["Frame", "Mask"], None]
Read = Callable[["Frame"], Array]
Write = Callable[["Frame", Array, "Mask"], None]


class Decoder:
    """Finds what the operands of one instruction are."""

    def __init__(self, instruction: Instruction, function: Function, kernel: Kernel) -> None:
        self.instruction, self.function, self.kernel = instruction, function, kernel
        self.operands = instruction.operands
        self.parts = instruction.name.split(".")

    def bits(self, name: str, otherwise: int = 0) -> int:
        """The width of a register."""
        return self.function.registers[name][0] if name in self.function.registers else otherwise

    def read(self, text: str, kind: str) -> Read:
        """How an operand is read as a type."""
        if text in self.function.registers:
            bits, index = self.function.registers[text]
            if bits > bits_of(kind):  # what is too wide loses its upper part
                unsigned = f"u{bits_of(kind) // 8}"
                return lambda frame: frame.registers[f"u{bits}"][index].astype(unsigned).view(TYPES[kind])
            assert bits == bits_of(kind), self.instruction.text
            return lambda frame: frame.registers[kind][index]
        if text.startswith("%"):
            return lambda frame: frame.special[text]
        if text.startswith("__local_depot"):
            return lambda frame: np.array(frame.base, TYPES[kind])
        if text in self.kernel.tables:
            value = np.array(self.kernel.tables[text].ctypes.data, TYPES[kind])
        else:
            value = literal("0" if text == "global_smem" else text, kind)  # shared memory has addresses of its own
        return lambda frame: value

    def spread(self, text: str, kind: str) -> Read:
        """The same, with an element for each thread also where all have one value."""
        read = self.read(text, kind)
        return lambda frame: np.broadcast_to(read(frame), (frame.threads,))

    def write(self, text: str, kind: str) -> Write:
        """How a result of a type is written."""
        if text == "_":
            return lambda frame, value, here: None
        bits, index = self.function.registers[text]
        if bits == bits_of(kind):
            return lambda frame, value, here: np.copyto(frame.registers[kind][index], value, where=here)
        assert bits > bits_of(kind), self.instruction.text
        signed = "i" if TYPES[kind].kind == "i" else "u"  # what is wider is filled with the sign, if there is one
        of, to = np.dtype(f"{signed}{TYPES[kind].itemsize}"), f"{signed}{bits // 8}"

        def extend(frame: Frame, value: Array, here: Mask) -> None:
            wide = np.asarray(value).view(of).astype(to).view(f"u{bits // 8}")
            np.copyto(frame.registers[f"u{bits}"][index], wide, where=here)

        return extend
