"""One launch: without contraction of products and sums, and counted if anybody counts.

Triton asks before each launch which of a kernel's compilations fits, which takes many times as long as the launch
itself. So that is asked once for each kind of arguments. A step makes the same launches as the last one; so each is
kept with its arguments, and what was compiled is launched from then on: by its own launcher, in the stream that is
current, with the hooks of Triton's profiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import triton
from torch import Tensor
from triton.compiler import CompiledKernel
from triton.runtime import driver

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
#: Where profilers leave their hooks; older versions have none there, and nothing is remembered with them.
_runtime: Any = getattr(getattr(triton, "knobs", None), "runtime", None)
#: On ROCm Triton compiles for the size of tensors too, and older versions take other arguments.
_REMEMBERS = not torch.version.hip and version_of_triton() >= TRIED
#: The last version whose launcher is known to take what :meth:`Launch.__call__` gives it, as that of `TRIED` does.
_KNOWN = (3, 9)
_HERE: AbstractContextManager[Any] = nullcontext()


@contextmanager
def observed(by: Callable[[str, int], None]) -> Iterator[None]:
    """Inside, `by` is told the name and the number of programs of each launch."""
    _observers.append(by)
    try:
        yield
    finally:
        _observers.remove(by)


def context(device: torch.device) -> AbstractContextManager[Any]:
    """Where a device's kernels have to be launched; that of the current device is there already."""
    if device.type != "cuda" or torch.cuda.current_device() == device.index:
        return _HERE
    return torch.cuda.device(device)


def options(warps: int, registers: int) -> dict[str, Any]:
    """How a kernel is compiled. Told how many registers there may be, the assembler does not spill to take fewer."""
    limit = {} if torch.version.hip else {"maxnreg": registers}
    return {"enable_fp_fusion": False, "num_warps": warps, **limit}


@dataclass(slots=True)
class Launch:
    """A kernel with its arguments, launched by a call, which has to come in the context of their device.

    It keeps its tensors, which stay where they are, so that a later call need not ask where that is.

    Attributes:
        kernel: of Triton.
        programs: how many; without any there is nothing to launch.
        args: its tensors and numbers, a tensor first.
        constants: its compile-time arguments.
        warps: in a program.
        registers: that a thread may have.
        direct: what its driver needs, once it is compiled.
    """

    kernel: Any
    programs: int
    args: tuple[Any, ...]
    constants: dict[str, Any]
    warps: int
    registers: int
    direct: Direct | None = field(default=None, init=False)

    def __call__(self) -> None:
        if self.programs == 0:
            return
        for observer in _observers:
            observer(self.kernel.fn.__name__, self.programs)
        if self.direct is None or self.kernel.pre_run_hooks:
            self._ask()
        else:
            self.direct(self.programs, self.args)

    def _ask(self) -> None:
        """Let Triton find what was compiled, unless a launch of the same kind has."""
        kind = map(_kind, self.args)
        key = (self.kernel, self.args[0].device, self.warps, self.registers, *self.constants.values(), *kind)
        known = _compiled.get(key)
        if known is not None and not self.kernel.pre_run_hooks:
            compiled, others = known
            compiled[self.programs, 1, 1](*self.args, *others)
        else:
            named = {**self.constants, **options(self.warps, self.registers)}
            compiled = self.kernel[(self.programs,)](*self.args, **named)
            if not _REMEMBERS or not isinstance(compiled, CompiledKernel):  # the interpreter compiles nothing
                return
            others = tuple(self.constants[name] for name in self.kernel.arg_names[len(self.args) :])
            _compiled[key] = compiled, others
        if version_of_triton() <= _KNOWN:
            self.direct = Direct.of(compiled, self.args, others)


def launch(
    kernel: Any, programs: int, *args: Any, warps: int = WARPS, registers: int = REGISTERS, **constants: Any
) -> Launch:
    """A launch of a kernel; the arguments as :class:`Launch` has them."""
    return Launch(kernel, programs, args, constants, warps, registers)


@dataclass(slots=True)
class Direct:
    """What was compiled, as its driver is told to launch it.

    Attributes:
        compiled: of Triton.
        device: index of the device.
        values: all arguments, addresses in the place of tensors.
        others: the compile-time ones.
    """

    compiled: Any
    device: int
    values: tuple[Any, ...]
    others: tuple[Any, ...]

    @staticmethod
    def of(compiled: Any, args: tuple[Any, ...], others: tuple[Any, ...]) -> Direct:
        """That of a kernel which has been launched with these arguments."""
        index = args[0].device.index
        device = driver.active.get_current_device() if index is None else index
        addresses = (each.data_ptr() if isinstance(each, Tensor) else each for each in args)
        return Direct(compiled, device, (*addresses, *others), others)

    def __call__(self, programs: int, args: tuple[Any, ...]) -> None:
        """Launch it: what `compiled[programs, 1, 1](*args, *others)` does, for tensors that are where they were."""
        compiled = self.compiled
        stream = driver.active.get_current_stream(self.device)
        enter, leave = _hook(_runtime.launch_enter_hook), _hook(_runtime.launch_exit_hook)
        about = None
        if enter is not None or leave is not None:
            about = compiled.launch_metadata((programs, 1, 1), stream, *args, *self.others)
        compiled.run(
            programs, 1, 1, stream, compiled.function, compiled.packed_metadata, about, enter, leave, *self.values
        )


def _hook(hook: Any) -> Any:
    """A hook of a profiler, None if it is a chain of none."""
    return hook if getattr(hook, "calls", True) else None


def _kind(arg: Tensor | int) -> object:
    """All that Triton compiles for: of a tensor the dtype and what its address is divisible by; of a number no more
    than its value."""
    return (arg.dtype, arg.data_ptr() % _DIVISOR) if isinstance(arg, Tensor) else arg
