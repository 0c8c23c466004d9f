"""One launch: in the device's context, without contraction of products and sums, and counted if anybody counts.

Triton asks before each launch which of a kernel's compilations fits, which takes many times as long as the launch
itself. So that is asked once for each kind of arguments, and what was compiled is launched from then on: by its own
launcher, in the stream that is current, with the hooks of Triton's profiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from triton.compiler import CompiledKernel

from ppsf_fast.backends import TRIED, version_of_triton

_observers: list[Callable[[str, int], None]] = []
WARPS = 4
#: Triton compiles for addresses that are divisible by it, and for others.
_DIVISOR = 16
#: In a program of so many.
THREADS = WARPS * (64 if torch.version.hip else 32)
#: Registers that a thread may have so that five programs share a multiprocessor, or four, or three; and the most.
FEWEST, FEW, REGISTERS, MOST = 96, 128, 168, 255
#: What was compiled, and its compile-time arguments in the order of its parameters.
_compiled: dict[tuple[object, ...], tuple[Any, tuple[Any, ...]]] = {}
#: On ROCm Triton compiles for the size of tensors too, and older versions take other arguments.
_REMEMBERS = not torch.version.hip and version_of_triton() >= TRIED


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
        args: its tensors and numbers, a tensor first.
        warps: in a program.
        registers: that a thread may have.
        constants: its compile-time arguments.
    """
    if programs == 0:
        return
    for observer in _observers:
        observer(kernel.fn.__name__, programs)
    key = (kernel, args[0].device, warps, registers, *constants.values(), *map(_kind, args))
    known = _compiled.get(key)
    if known is not None and not kernel.pre_run_hooks:
        compiled, others = known
        compiled[programs, 1, 1](*args, *others)
        return
    compiled = kernel[(programs,)](*args, **constants, **options(warps, registers))
    if _REMEMBERS and isinstance(compiled, CompiledKernel):  # the interpreter compiles nothing
        _compiled[key] = compiled, tuple(constants[name] for name in kernel.arg_names[len(args) :])


def _kind(arg: Tensor | int) -> object:
    """All that Triton compiles for: of a tensor the dtype and what its address is divisible by; of a number no more
    than its value."""
    return (arg.dtype, arg.data_ptr() % _DIVISOR) if isinstance(arg, Tensor) else arg
