"""A driver of Triton for a GPU of NVIDIA that is emulated, whose memory is that of the host."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from torch import Tensor
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import CUDABackend
from triton.runtime import driver

from ppsf_fast.backends.triton import serving
from tests.fast.triton.ptx.code import parse
from tests.fast.triton.ptx.machine import Kernel

#: What is loaded, by the number that the driver knows it by.
_loaded: dict[int, Kernel] = {}
_numbers = itertools.count(1)
_seeds = itertools.count()
#: Whether warps run one after the other.
by_warps = False


class _Launcher:
    """Of one compilation of a kernel."""

    def __init__(self, src: Any, metadata: Any) -> None:
        self._kinds = tuple(src.signature.values())

    def __call__(self, programs: int, _: int, __: int, stream: int, function: int, *more: Any) -> None:
        given = zip(more[4:], self._kinds, strict=True)  # before them come metadata and hooks
        args = [each for each, kind in given if kind != "constexpr"]
        addresses = [each.data_ptr() if isinstance(each, Tensor) else int(each) for each in args]
        kernel = _loaded[function]
        unused = len(kernel.module.entry.params) - len(addresses)  # memory for what Triton may want to keep
        kernel.launch(programs, [*addresses, *[0] * unused], by_warps, next(_seeds))


class _Utilities:
    """What a driver does with binaries."""

    def load_binary(self, name: str, binary: bytes, shared: int, device: int) -> tuple[Any, ...]:
        """A function is a number."""
        return name, next(_numbers), 0, 0, 1024

    def unload_module(self, module: Any) -> None:
        """Nothing is freed."""

    def get_device_properties(self, device: int) -> dict[str, int]:
        """Enough of everything."""
        return {"max_shared_mem": 2**18, "multiprocessor_count": 1}


class _Driver:
    utils = _Utilities()
    launcher_cls = _Launcher

    def __init__(self, architecture: int) -> None:
        self._target = GPUTarget("cuda", architecture, 32)

    def get_current_device(self) -> int:
        """There is one."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """There is one."""
        return 0

    def get_current_target(self) -> GPUTarget:
        """What is compiled for."""
        return self._target


def install(architecture: int) -> None:
    """From now on kernels are compiled for an architecture, say 90, and launched on tensors of the CPU."""

    def load(module: Any, function: int, name: str, files: dict[str, Any], digest: str) -> None:
        (path,) = (Path(each) for each in files.values() if str(each).endswith(".ptx"))
        _loaded[function] = Kernel(parse(path.read_text()))

    # Nobody needs machine code, which takes longer to make than all that comes before. What has none is kept elsewhere.
    backend: Any = CUDABackend
    backend.make_cubin = lambda *_: b""
    knobs.cache.dir = str(Path(knobs.cache.dir).with_name("emulated"))
    driver.set_active(_Driver(architecture))
    knobs.runtime.kernel_load_end_hook = load
    serving.DEVICES = ("cpu",)
