"""Instructions as actions on a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.fast.triton.ptx import exchange, memory, registers
from tests.fast.triton.ptx.code import Function, Instruction
from tests.fast.triton.ptx.operands import Action, Decoder

if TYPE_CHECKING:
    from tests.fast.triton.ptx.machine import Frame, Kernel, Mask

_MAKERS: dict[str, Callable[[Decoder], Action]] = {
    "call": registers.call, "ld": memory.load, "st": memory.store, "ldmatrix": memory.load_matrices,
    "stmatrix": memory.store_matrices, "shfl": exchange.shuffle, "redux": exchange.reduce,
}  # fmt: skip
#: The one that all threads of a program come to.
_BARRIER = "bar.sync", ("0",)


def decoded(instruction: Instruction, function: Function, kernel: Kernel) -> Action | None:
    """What an instruction does; None if it decides where threads are: a jump, a return, a barrier.

    What nobody has written down raises NotImplementedError when it is executed.
    """
    base = instruction.name.split(".")[0]
    if base in ("bra", "brx", "ret") or (instruction.name, instruction.operands) == _BARRIER:
        return None
    try:
        action = _MAKERS.get(base, registers.compute)(Decoder(instruction, function, kernel))
    except NotImplementedError:
        action = _refuse(instruction)
    if not instruction.guard:
        return action
    guard, holds = function.registers[instruction.guard][1], instruction.holds

    def guarded(frame: Frame, here: Mask) -> None:
        found = frame.registers["pred"][guard]
        here = here & (found if holds else ~found)
        if here.any():
            action(frame, here)

    return guarded


def _refuse(instruction: Instruction) -> Action:
    def refuse(frame: Frame, here: Mask) -> None:
        raise NotImplementedError(instruction.text)

    return refuse
