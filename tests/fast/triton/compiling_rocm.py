"""The same for GPUs of AMD: python -m tests.fast.triton.compiling_rocm gfx942 default-bf16"""

from __future__ import annotations

import re
from typing import Any

import torch

torch.version.hip = "6.4"  # the kernels ask which platform torch was built for when they are imported

import triton  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402

from ppsf_fast.backends.triton.launch import options  # noqa: E402
from tests.fast.triton import compiling  # noqa: E402


def compiled(kernel: Any, constants: dict[str, Any], warps: int, arch: str) -> dict[str, Any]:
    """What a kernel takes: vector registers, how many of them are spilled, and bytes of memory for a thread alone."""
    target = GPUTarget("hip", arch, 64 if arch.startswith("gfx9") else 32)
    made = triton.compile(compiling.source_of(kernel, constants), target=target, options=options(warps, 0))
    names = ("vgpr_count", "vgpr_spill_count", "private_segment_fixed_size")
    return {name: int(re.search(rf"\.{name}:\s+(\d+)", made.asm["amdgcn"])[1]) for name in names}  # type: ignore[index]


if __name__ == "__main__":
    compiling.main(compiled)
