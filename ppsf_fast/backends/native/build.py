"""The kernel as a library of functions: compiled once per machine, compiler and source, and kept."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("kernel.cpp")
#: Everything that is compiled.
SOURCES = (SOURCE, *sorted(SOURCE.parent.glob("*.hpp")))
#: No fast-math: infinities, NaNs and the order of sums keep their meaning. The last two only say that nobody reads
#: errno or traps, without which roots and selections would not be vectorized.
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math")
#: Where there are vectors of 512 bits, compilers use half of them unless told.
_WIDE = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
_WORD, _POINTER = ctypes.c_int64, ctypes.c_void_p
_SIGNATURES = {
    "ppsf_scratch": ([_POINTER, _WORD, _WORD], _WORD),
    "ppsf_kept": ([_POINTER, _WORD], _WORD),
    "ppsf_look": ([_POINTER, _WORD, _POINTER, _WORD, _WORD, _POINTER], _WORD),
    "ppsf_step": ([_POINTER, _WORD, _POINTER, _POINTER, _WORD, _WORD, _POINTER, _POINTER], None),
}


def folder() -> Path:
    """Where compiled kernels are kept: where torch keeps its compiled extensions."""
    chosen = os.environ.get("TORCH_EXTENSIONS_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch_extensions"


def compiler() -> str:
    """The command of the C++ compiler, as torch's own extensions choose it."""
    return os.environ.get("CXX", "c++")


def _machine() -> str:
    """What code for this processor depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    known = (line for line in lines if line.startswith(("flags", "Features")))  # as x86 and ARM say it
    return next(known, platform.processor() or platform.machine())


def _told(command: Sequence[str]) -> str:
    """What a command prints; what is not in the encoding of this process, as compilers may speak, is replaced."""
    return subprocess.run(command, check=True, capture_output=True, errors="replace").stdout


def _compiled() -> Path:
    """The library; made if it is not there.

    Raises:
        OSError, subprocess.CalledProcessError: there is no compiler, or it cannot compile this.
        OSError, RuntimeError: there is no folder to keep the library in.
    """
    parts = (
        *(source.read_bytes() for source in SOURCES),
        _told((compiler(), "--version")).encode(),
        _machine().encode(),
        " ".join((compiler(), *FLAGS, *_WIDE)).encode(),
    )
    path = folder() / "ppsf" / f"step-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another process may be doing the same: the name appears when the file is complete.
        with tempfile.TemporaryDirectory(dir=path.parent) as place:
            made = Path(place) / path.name
            _told((compiler(), *FLAGS, *_WIDE, str(SOURCE), "-o", str(made)))
            made.replace(path)
    return path


@functools.cache
def library() -> ctypes.CDLL | None:
    """The functions of the kernel; None, after a warning, if it cannot be compiled."""
    try:
        found = ctypes.CDLL(str(_compiled()))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", None) or error).splitlines()[0]
        warnings.warn(
            f"compile=True: {compiler()} could not compile the step, which goes on uncompiled and slower ({said}). "
            "Install a C++ compiler with OpenMP, or name it in the environment variable CXX, and a folder that can be "
            "written in TORCH_EXTENSIONS_DIR; or leave compile out.",
            stacklevel=2,
        )
        return None
    for name, (takes, gives) in _SIGNATURES.items():
        function = getattr(found, name)
        function.argtypes, function.restype = takes, gives
    return found
