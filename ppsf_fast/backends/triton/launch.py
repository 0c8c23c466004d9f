"""One launch: in the device's context, without contraction of products and sums, and counted if anybody counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

_observers: list[Callable[[str, int], None]] = []
WARPS = 4
#: In a program of so many.
THREADS = WARPS * (64 if torch.version.hip else 32)
#: Registers that a thread may have so that four programs share a multiprocessor, or three; and the most there are.
FEW, REGISTERS, MOST = 128, 168, 255


@contextmanager
def observed(by: Callable[[str, int], None]) -> Iterator[None]:
    """Inside, `by` is told the name and the number of programs of each launch."""
    _observers.append(by)
    try:
        yield
    finally:
        _observers.remove(by)


def context(device: torch.device) -> AbstractContextManager[Any]:
    """Where a device's kernels have to be launched."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def options(warps: int, registers: int) -> dict[str, Any]:
    """How a kernel is compiled. Told how many registers there may be, the assembler does not spill to take fewer."""
    limit = {} if torch.version.hip else {"maxnreg": registers}
    return {"enable_fp_fusion": False, "num_warps": warps, **limit}


def launch(
    kernel: Any, programs: int, *args: Any, warps: int = WARPS, registers: int = REGISTERS, **constants: Any
) -> None:
    """Launch a kernel, if there is anything for it to do.

    Args:
        programs: how many.
        args: its tensors and numbers.
        warps: in a program.
        registers: that a thread may have.
        constants: its compile-time arguments.
    """
    if programs == 0:
        return
    for observer in _observers:
        observer(kernel.fn.__name__, programs)
    kernel[(programs,)](*args, **constants, **options(warps, registers))
