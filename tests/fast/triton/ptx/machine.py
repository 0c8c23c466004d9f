"""The programs of a kernel, thread by thread.

Threads of a group are at one instruction together. Where some jump and others do not, those that are farther back go
first, until they meet again. Groups are warps, which run one after the other from barrier to barrier in any order, so
that one which reads what another has not written yet is found; or all threads are one group, which is faster.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.fast.triton.ptx.arithmetic import TYPES, Array, bits_of
from tests.fast.triton.ptx.code import WARP, Function, Instruction, Module
from tests.fast.triton.ptx.decoding import decoded
from tests.fast.triton.ptx.operands import Action

#: What a program may share, and what a thread may have of its own, in bytes.
_SHARED, _STACK = 1 << 18, 128
#: What is there before anything is written: no number that anybody wants.
_NOTHING = 0xA5A5A5A5A5A5A5A5
Mask = Any


class Kernel:
    """A kernel that can be launched.

    Args:
        module: what it was compiled to.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        #: The constants, which stay where they are.
        self.tables = {name: np.array(values, f"u{bits // 8}") for name, (bits, values) in module.tables.items()}
        self._actions: dict[str, list[Action | None]] = {}

    def launch(self, programs: int, args: Sequence[int], by_warps: bool, seed: int) -> None:
        """Run all programs.

        Args:
            programs: how many.
            args: addresses and numbers, as the kernel's parameters.
            by_warps: whether warps run one after the other.
            seed: of the order of programs, and of that of warps.
        """
        order = random.Random(seed)
        with np.errstate(all="ignore"):
            for index in order.sample(range(programs), programs):
                self._run(index, args, WARP if by_warps else self.module.threads, order)

    def _run(self, index: int, args: Sequence[int], size: int, order: random.Random) -> None:
        shared = np.full(_SHARED, _NOTHING & 0xFF, np.uint8)
        params = {
            name: np.array(value & (1 << 64) - 1, np.uint64)
            for name, value in zip(self.module.entry.params, args, strict=True)
        }
        groups = []
        for first in range(0, self.module.threads, size):
            special = {
                "%tid.x": np.arange(first, first + size, dtype=np.uint32),
                "%ctaid.x": np.full(size, index, np.uint32),
            }
            stack = np.full((size, _STACK), _NOTHING & 0xFF, np.uint8)
            frame = Frame(self, self.module.entry, special, shared, params, stack, 0)
            groups.append(frame.run(np.ones(size, bool)))
        while groups:
            order.shuffle(groups)
            waiting = [group for group in groups if next(group, None) is not None]
            assert len(waiting) in (0, len(groups)), "some threads wait for others that are gone"
            groups = waiting

    def actions(self, function: Function) -> list[Action | None]:
        """What its instructions do; None where the frame has to see to it."""
        if function.name not in self._actions:
            self._actions[function.name] = [decoded(each, function, self) for each in function.code]
        return self._actions[function.name]


class Frame:
    """Some threads in a function: their registers, and where they are in it.

    Args:
        kernel: of which this is a part.
        function: what they execute.
        special: registers that tell who they are.
        shared: the memory of the program, bytes.
        params: what the function is given, by name; what it gives comes here too.
        stack: what each thread has of its own, bytes: shape (threads, size).
        base: where in it that of this function begins.
    """

    def __init__(
        self, kernel: Kernel, function: Function, special: dict[str, Array], shared: Array, params: dict[str, Array],
        stack: Array, base: int,
    ) -> None:  # fmt: skip
        self.kernel, self.function, self.special, self.params = kernel, function, special, dict(params)
        self.shared, self.stack, self.base, self.threads = shared, stack, base, len(stack)
        #: Registers as they are seen by type: shape (number of this width, threads).
        self.registers: dict[str, Array] = {"pred": np.zeros((function.count(1), self.threads), bool)}
        for bits in (8, 16, 32, 64):
            of_width = np.full((function.count(bits), self.threads), _NOTHING & (1 << bits) - 1, f"u{bits // 8}")
            kinds = [kind for kind in TYPES if bits_of(kind) == bits]
            self.registers.update({kind: of_width.view(TYPES[kind]) for kind in kinds})

    def meet(self, here: Mask) -> None:
        """Make sure that of each warp all threads are here, or none."""
        warps = here.reshape(-1, WARP)
        assert (warps.all(1) == warps.any(1)).all(), "only some threads of a warp are where they exchange values"

    def run(self, everyone: Mask) -> Iterator[str]:
        """Until all have returned; gives notice at each barrier."""
        code, actions = self.function.code, self.kernel.actions(self.function)
        at, here = 0, everyone
        others: dict[int, Mask] = {}  # who waits where
        while True:
            if at in others:
                here = here | others.pop(at)
            if others and min(others) < at:
                others[at] = here
                at = min(others)
                here = others.pop(at)
            action = actions[at]
            if action is not None:
                action(self, here)
                at += 1
            elif code[at].name.startswith("bar"):
                assert not others, "only some threads of a group come to a barrier"
                yield "barrier"
                at += 1
            else:
                here = self._parted(code[at], here, others)
                if here.any():
                    at += 1
                elif others:
                    at = min(others)
                    here = others.pop(at)
                else:
                    return

    def _parted(self, instruction: Instruction, here: Mask, others: dict[int, Mask]) -> Mask:
        """Let those go who jump or return; these stay."""
        goes = here
        if instruction.guard:
            found = self._register(instruction.guard, "pred")
            goes = here & (found if instruction.holds else ~found)
        for to, who in self._destinations(instruction, goes):
            if who.any():
                others[to] = others.get(to, np.zeros_like(who)) | who
        return here & ~goes

    def _destinations(self, instruction: Instruction, goes: Mask) -> Iterator[tuple[int, Mask]]:
        labels = self.function.labels
        if instruction.name.startswith("bra"):
            yield labels[instruction.operands[0]], goes
        elif instruction.name.startswith("brx"):
            index = self._register(instruction.operands[0], "u32")
            for place, label in enumerate(self.function.targets[instruction.operands[1]]):
                yield labels[label], goes & (index == place)

    def _register(self, name: str, kind: str) -> Array:
        return self.registers[kind][self.function.registers[name][1]]
