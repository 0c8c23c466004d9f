"""Compiles the kernels ahead of time, without a GPU of NVIDIA, and prints what each takes: a line of JSON per kernel.

Run as a program of its own, since a process that interprets kernels cannot compile them:
python -m tests.fast.triton.compiling 90 default-bf16 default-fp32
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree, plan
from ppsf_fast.backends.triton import factors, kernels, numbers, totals
from ppsf_fast.backends.triton.features import Law, is_early
from ppsf_fast.backends.triton.geometry import cut
from ppsf_fast.backends.triton.launch import MOST, REGISTERS, WARPS, options
from ppsf_fast.backends.triton.table import Bucket, buckets_of, entry_of

SHAPES = ((256, 256), (64,))
#: Tensors for which blocks of all three shapes are needed.
MIXED = ((256, 256), (640, 16), (64, 33, 3, 3), (64,))
#: As in a U-Net: kernels of convolutions, of which the first cannot be read in vectors, nor can the last bias.
CONVOLUTIONS = ((256, 256), (320, 320, 3, 3), (320, 4, 3, 3), (64,), (4,))
BF16, FP32 = torch.bfloat16, torch.float32
CONFIGURATIONS: dict[str, tuple[Any, torch.dtype, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "default-bf16": (ProdigyPlusScheduleFree, BF16, SHAPES, {}),
    "default-fp32": (ProdigyPlusScheduleFree, FP32, SHAPES, {}),
    "convolutions-bf16": (ProdigyPlusScheduleFree, BF16, CONVOLUTIONS, {}),
    "convolutions-fp32": (ProdigyPlusScheduleFree, FP32, CONVOLUTIONS, {}),
    "scaled-convolutions": (ProdigyPlusScheduleFree, BF16, CONVOLUTIONS, {}),
    "convolutions-orthograd": (
        ProdigyPlusScheduleFree, FP32, CONVOLUTIONS, {"use_orthograd": True, "use_adopt": True, "eps": None},
    ),
    "scaled-bf16": (ProdigyPlusScheduleFree, BF16, SHAPES, {}),
    "mixed-bf16": (ProdigyPlusScheduleFree, BF16, MIXED, {}),
    "atan2-dense": (ProdigyPlusScheduleFree, BF16, SHAPES, {"eps": None, "factored": False, "weight_decay": 0.1}),
    "cautious": (ProdigyPlusScheduleFree, BF16, SHAPES, {"use_cautious": True}),
    "adopt-orthograd": (ProdigyPlusScheduleFree, BF16, SHAPES, {"use_adopt": True, "use_orthograd": True}),
    "focus-speed": (ProdigyPlusScheduleFree, BF16, SHAPES, {"use_focus": True, "use_speed": True}),
    "muon": (ProdigyPlusScheduleFree, BF16, SHAPES, {"use_muon_pp": True}),
    "2.0": (ProdigyPlusScheduleFree, BF16, SHAPES, {"revision": "2.0", "amplify_gradients": True}),
    "2.0-not-averaged": (
        ProdigyPlusScheduleFree, BF16, SHAPES, {"revision": "2.0", "use_schedulefree": False, "use_cautious": True},
    ),
    "2.0-speed": (ProdigyPlusScheduleFree, BF16, SHAPES, {"revision": "2.0", "use_speed": True}),
    "update3": (ProdigyPlusScheduleFree, FP32, SHAPES, {"revision": "update3", "factored": True}),
    "prodigy": (Prodigy, FP32, SHAPES, {"cosine_decay": True}),
    "schedulefree": (AdamWScheduleFree, FP32, SHAPES, {}),
}  # fmt: skip

_TYPES = {
    "table": "*i64", "tiles": "*i32", "work": "*i32", "found": "*fp64", "parts": "*fp32", "slots": "*fp64",
    "bad": "*i32", "numbers": "*fp64", "means": "*fp64", "shares": "*fp64", "pools": "*i64",
    "ranges": "*i64", "members": "*i64", "entries": "*i64", "settings": "*fp64", "scalars": "*i64", "values": "*fp64",
    "estimates": "*i64", "groups": "i32", "first": "i32", "elsewhere": "*i32", "skipped": "*i64",
}  # fmt: skip
#: The kernels that may have as many registers as the features of their bucket say, and those that sum squares.
OVER_TILES, OVER_SUMS = (kernels.part, kernels.measure, kernels.apply), (kernels.look, kernels.squares)


def buckets(name: str) -> tuple[list[Bucket], Law]:
    """What the kernels of a configuration are compiled for."""
    make, dtype, shapes, options = CONFIGURATIONS[name]
    params = [torch.nn.Parameter(torch.empty(shape, dtype=dtype)) for shape in shapes]
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizer = make(params, **options)
    rules = optimizer._rules()
    work = plan.gather(optimizer.param_groups, rules, optimizer.state, optimizer._ledger)
    plan.equip(work, optimizer.param_groups, rules, optimizer.state, optimizer._ledger)
    scale = torch.ones(1) if name.startswith("scaled") else None
    entries = [(entry_of(item, rules[0], 0, cut(), unscale=scale), rules[0]) for item in work.items]
    found = buckets_of(entries, cut())
    assert all(bucket.features.early == is_early(rules[0].revision) for bucket in found)
    return found, Law.of(rules[0].revision)


def needed(bucket: Bucket, law: Law) -> Iterator[tuple[Any, dict[str, Any], int]]:
    """The kernels of a bucket: each with its compile-time arguments and its number of warps."""
    features, large = bucket.features, {"F": bucket.of_large}
    yield kernels.look, {"F": features}, WARPS
    if features.orthograd:
        yield kernels.part, large, WARPS
        yield kernels.squares, large, WARPS
    if bucket.of_large.factored:
        yield factors.factors, large, WARPS
    if features.early and features.statistics:
        yield kernels.measure, large, WARPS
    for what in features.reductions:
        yield kernels.reduce, {**large, "WHAT": what}, WARPS
        yield totals.finish_sums, {**large, "WHAT": what}, 1
    yield kernels.apply, large, WARPS
    if bucket.large < len(bucket.entries):
        yield kernels.whole, {"F": bucket.of_small}, WARPS
    if features.by_item:
        yield totals.finish_items, {"F": features, "MEASURED": features.statistics != ""}, 1
    yield numbers.begin, {"L": law}, WARPS
    yield numbers.end, {"L": law, "ADOPT": features.adopt}, WARPS


def allowed(kernel: Any, constants: dict[str, Any]) -> int:
    """How many registers a thread may have."""
    if kernel in OVER_SUMS:
        return int(constants["F"].registers_of_sums)
    if kernel is kernels.reduce:
        return int(constants["F"].registers_of_updates)
    if kernel in OVER_TILES:
        return int(constants["F"].registers)
    return MOST if kernel is kernels.whole else REGISTERS


def barriers(sass: str) -> int | None:
    """How often all threads of a program wait for each other in its innermost loops; None without code."""
    found = re.finditer(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\d+ )?([A-Z0-9_.]+)([^;]*);", sass)
    code = [(int(at, 16), name, rest) for at, name, rest in (each.groups() for each in found)]
    jumps = [(int(to[1], 16), at) for at, name, rest in code if name == "BRA" and (to := re.search(r"0x(\w+)", rest))]
    loops = [(first, last) for first, last in jumps if first < last]
    inner = [(a, b) for a, b in loops if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)]
    waits = [at for at, name, _ in code if name.startswith("BAR")]
    return sum(first <= at <= last for at in waits for first, last in inner) if code else None


def source_of(kernel: Any, constants: dict[str, Any]) -> ASTSource:
    """A kernel with its compile-time arguments."""
    names = kernel.arg_names
    types = {**_TYPES, **({"tiles": "i32"} if kernel is numbers.begin else {})}
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    return ASTSource(kernel, signature=signature, constexprs={(names.index(k),): v for k, v in constants.items()})


def compiled(kernel: Any, constants: dict[str, Any], warps: int, arch: str) -> dict[str, Any]:
    """What a kernel takes on an architecture."""
    made = triton.compile(
        source_of(kernel, constants),
        target=GPUTarget("cuda", int(arch), 32),
        options=options(warps, allowed(kernel, constants)),
    )
    binaries = Path(triton.__file__).parent / "backends/nvidia/bin"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(made.asm["cubin"])
        usage = [binaries / "cuobjdump", "--dump-resource-usage", path]
        text = subprocess.run(usage, capture_output=True, text=True, check=True).stdout
        code = [binaries / "cuobjdump", "-sass", path]
        sass = subprocess.run(code, capture_output=True, text=True, check=False).stdout
    found = {name: int(re.search(rf"{name}:(\d+)", text)[1]) for name in ("REG", "STACK", "LOCAL")}  # type: ignore[index]
    # Without a stack nothing can be spilled. Where there is one, the code says whether anything is stored there.
    spilled = len(re.findall(r"\bSTL|\bLDL", sass)) if "EXIT" in sass else None
    return {**found, "ptx": made.asm["ptx"].count("\n"), "local": spilled, "barriers": barriers(sass)}


def main(by: Callable[[Any, dict[str, Any], int, str], dict[str, Any]] = compiled) -> None:
    """Compile the configurations that are named, for an architecture."""
    arch, *names = sys.argv[1:]
    for name in names:
        found, law = buckets(name)
        for bucket in found:
            for kernel, constants, warps in needed(bucket, law):
                took = by(kernel, constants, warps, arch)
                what = constants.get("WHAT", "")
                row = {"configuration": name, "kernel": kernel.fn.__name__, "what": what, "arch": arch, **took}
                row["plain"] = allowed(kernel, constants) <= REGISTERS
                row["strips"] = "F" in constants and (constants["F"].flat or constants["F"].deep)
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
