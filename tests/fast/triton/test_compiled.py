"""The kernels compile for three generations of GPUs, keep all in registers, and take no more of them than recorded.

They compile for GPUs of AMD too, and keep all in registers there.
"""

from __future__ import annotations

import importlib.util
import json
import os
from typing import Any

import pytest

from tests.fast.triton import uninterpreted

#: Registers that a thread takes at most, by kernel, where all tensors are read several elements at a time: three
#: programs or more share a multiprocessor. Of others two do.
REGISTERS = {
    "look": 128, "factors": 64, "reduce": 128, "finish_sums": 96, "apply": 168, "whole": 255, "begin": 128, "end": 128,
    "part": 128, "squares": 128, "measure": 168, "finish_items": 96,
}  # fmt: skip
OF_OTHERS = 255
#: Of what has an inner axis: sums along the columns of many strips are at hand, and those of a row are told apart.
OF_STRIPS = {**REGISTERS, "look": 168, "squares": 168, "reduce": 168, "factors": 96}
#: Those that go over large tensors: while they do, no thread waits for another. (Float32 rows are summed by two warps.)
WITHOUT_BARRIERS = {"default-bf16": ("look", "reduce", "apply"), "default-fp32": ("reduce", "apply")}
#: Compiled in every run; the rest, on every architecture, with PPSF_TRITON_COMPILE=all.
QUICK = (("80", ("default-bf16",)), ("90", ("default-bf16", "convolutions-bf16")), ("100", ("default-bf16",)))
EVERY = (
    "default-bf16", "default-fp32", "scaled-bf16", "convolutions-bf16", "convolutions-fp32", "scaled-convolutions",
    "convolutions-orthograd", "mixed-bf16", "atan2-dense", "cautious", "adopt-orthograd", "focus-speed", "muon", "2.0",
    "2.0-not-averaged", "2.0-speed", "update3", "prodigy", "schedulefree",
)  # fmt: skip
QUICK_OF_AMD = (("gfx942", ("default-bf16", "convolutions-bf16")),)
ALL = os.environ.get("PPSF_TRITON_COMPILE") == "all"
CHOSEN = tuple((arch, (name,)) for arch in ("80", "90", "100") for name in EVERY) if ALL else QUICK
OF_AMD = tuple((arch, (name,)) for arch in ("gfx942", "gfx1100") for name in EVERY) if ALL else QUICK_OF_AMD
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is there on Linux only")


def compile_all(arch: str, names: tuple[str, ...], by: str = "compiling") -> list[dict[str, Any]]:
    """What each kernel takes, found by a process that does not interpret."""
    done = uninterpreted.run(f"tests.fast.triton.{by}", arch, *names)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs_triton
@pytest.mark.parametrize(("arch", "names"), CHOSEN, ids=[f"sm_{arch} {' '.join(names)}" for arch, names in CHOSEN])
def test_kernels_stay_in_registers(arch: str, names: tuple[str, ...]) -> None:
    found = compile_all(arch, names)
    assert {row["kernel"] for row in found} >= {"look", "apply", "begin", "end"}
    for row in found:
        # The cosine of the built-in decay keeps a table of its own on the stack, for arguments that do not occur.
        if not (row["kernel"] == "begin" and row["configuration"] == "prodigy"):
            assert row["LOCAL"] == 0, row
            assert row["STACK"] == 0 or row["local"] == 0, row
        if row["kernel"] in WITHOUT_BARRIERS.get(row["configuration"], ()):
            assert not row["barriers"], row
        recorded = OF_STRIPS if row["strips"] else REGISTERS
        assert row["REG"] <= (recorded[row["kernel"]] if row["plain"] else OF_OTHERS), row


@needs_triton
@pytest.mark.parametrize(("arch", "names"), OF_AMD, ids=[f"{arch} {' '.join(names)}" for arch, names in OF_AMD])
def test_kernels_compile_for_rocm(arch: str, names: tuple[str, ...]) -> None:
    found = compile_all(arch, names, "compiling_rocm")
    assert {row["kernel"] for row in found} >= {"look", "apply", "begin", "end"}
    for row in found:
        assert (row["vgpr_spill_count"], row["private_segment_fixed_size"]) == (0, 0), row
