"""Triton's driver for GPUs of NVIDIA, with an emulator behind it, whose memory is that of the host."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from triton import knobs
from triton.backends.nvidia.compiler import CUDABackend
from triton.backends.nvidia.driver import CudaDriver, CudaLauncher
from triton.runtime import driver

from ppsf_fast.backends.triton import serving
from tests.fast.triton.ptx.code import parse
from tests.fast.triton.ptx.machine import Kernel

_LIBRARY = Path(__file__).with_name("libcuda.c")
#: Where it is built; launchers, which some versions of Triton compile when they are needed, are linked with it.
_FOLDER = tempfile.TemporaryDirectory()
#: What is loaded, by the number that the driver knows it by.
_loaded: dict[int, Kernel] = {}
_seeds = itertools.count()
#: What went wrong in a launch, until its caller is told.
_failed: list[BaseException] = []
#: Whether warps run one after the other.
by_warps = False


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.POINTER(ctypes.c_void_p))
def _launch(programs: int, function: int, params: Any) -> int:
    """Run a kernel; an exception would not find its way through C."""
    kernel = _loaded[function]
    widths = {32: ctypes.c_uint32, 64: ctypes.c_uint64}
    types = [ctypes.POINTER(widths[bits]) for bits in kernel.module.entry.params.values()]
    try:
        args = [ctypes.cast(params[index], kind)[0] for index, kind in enumerate(types)]
        kernel.launch(programs, args, by_warps, next(_seeds))
    except BaseException as error:
        _failed.append(error)
    return len(_failed)


class _Launcher(CudaLauncher):  # type: ignore[misc]
    """Triton's own, which tells what went wrong behind it."""

    def __call__(self, *given: Any) -> None:
        try:
            super().__call__(*given)
        except RuntimeError as error:
            raise (_failed.pop() if _failed else error) from None


def _load(module: Any, function: int, name: str, files: dict[str, Any], digest: str) -> None:
    (path,) = (Path(each) for each in files.values() if str(each).endswith(".ptx"))
    _loaded[function] = Kernel(parse(path.read_text()))


def _build(folder: str) -> None:
    """Make and load a library that has the name of CUDA's."""
    path = Path(folder) / "libcuda.so.1"
    command = ["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(path), str(_LIBRARY)]
    subprocess.run(command, check=True)
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL).emulate(_launch)


def install(architecture: int) -> None:
    """From now on kernels are compiled for an architecture, say 90, and launched on tensors of the CPU."""
    # Nobody needs machine code, which takes longer to make than all that comes before. What has none is kept elsewhere.
    backend: Any = CUDABackend
    backend.make_cubin = lambda *_: b""
    knobs.cache.dir = str(Path(knobs.cache.dir).with_name("emulated"))
    _build(_FOLDER.name)
    knobs.nvidia.libcuda_path = _FOLDER.name
    made = CudaDriver()
    made.launcher_cls = _Launcher
    made.get_current_device = lambda: 0
    made.get_current_stream = lambda _: 0
    made.get_device_capability = lambda _=0: divmod(architecture, 10)
    driver.set_active(made)
    knobs.runtime.kernel_load_end_hook = _load
    serving.DEVICES = ("cpu",)
