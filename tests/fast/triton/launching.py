"""Launches as on a GPU, but for the device: kernels are compiled, and a driver notes what it is told to launch.

Run as a program of its own, since a process that interprets kernels cannot compile them:
python -m tests.fast.triton.launching. What it prints are numbers, a line of JSON for each scene.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import JITFunction, driver

from ppsf_fast import ProdigyPlusScheduleFree, core
from ppsf_fast.backends.triton import launch, serving
from ppsf_fast.backends.triton.launch import Launch

launching = Launch.__call__
#: What the driver was told: kernel, grid, stream, function and its options, arguments.
told: list[tuple[Any, ...]] = []
streams = itertools.count()


class Launcher:
    """Of one compilation of a kernel."""

    def __init__(self, src: Any, metadata: Any) -> None:
        self.name = src.fn.__name__

    def __call__(self, *given: Any) -> None:
        *grid, stream, function, options, metadata, enter, leave = given[:9]
        for hook in (enter, leave):
            if hook is not None:
                hook(metadata)
        args = [each.data_ptr() if isinstance(each, Tensor) else each for each in given[9:]]
        told.append((self.name, tuple(grid), stream, function, options, args))


class Utilities:
    """What a driver does with binaries."""

    def load_binary(self, name: str, binary: bytes, shared: int, device: int) -> tuple[Any, ...]:
        """A function is known by its code."""
        return name, hash(binary), 0, 0, 1024

    def get_device_properties(self, device: int) -> dict[str, int]:
        """Enough of everything."""
        return {"max_shared_mem": 2**18, "multiprocessor_count": 1}


class Driver:
    """Of a GPU that does nothing, whose memory is that of the host."""

    utils = Utilities()
    launcher_cls = Launcher
    stream = 0

    def get_current_device(self) -> int:
        """There is one."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """It changes when a scene says so."""
        return self.stream

    def get_current_target(self) -> GPUTarget:
        """What is compiled for."""
        return GPUTarget("cuda", 90, 32)


@triton.jit
def scale(x, n, BY: tl.constexpr):  # type: ignore[no-untyped-def]
    """Any kernel."""
    at = tl.arange(0, 32)
    tl.store(x + at, tl.load(x + at, mask=at < n) * BY, mask=at < n)


@contextmanager
def asked() -> Iterator[list[str]]:
    """Which kernels Triton is asked to find a compilation of."""
    found: list[str] = []
    original: Any = JITFunction.run

    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(self.fn.__name__)
        return original(self, *args, **kwargs)

    with mock.patch.object(JITFunction, "run", run):
        yield found


def _told(call: Callable[[], None]) -> tuple[Any, ...]:
    told.clear()
    call()
    (found,) = told
    return found


def differs(call: Launch) -> bool:
    """Whether a launch tells the driver anything else than it does where nothing is remembered."""
    if call.programs == 0:
        return False
    found = _told(lambda: launching(call))
    with mock.patch.dict(launch._compiled, clear=True):
        fresh = dataclasses.replace(call)
        return found != _told(lambda: launching(fresh))


def of_arguments() -> dict[str, object]:
    """Arguments that Triton compiles for, in turn, so that each comes after every other."""
    memory = torch.zeros(64)
    tensors = [memory, memory[4:], memory[1:], memory.to(torch.bfloat16), memory.to(torch.int64)]
    kinds = list(itertools.product(tensors, (1, 16, 17, 2**40), (2, 3), (1, 4)))
    different, functions = 0, set()
    calls = [launch.launch(scale, 3, x, n, BY=by, warps=warps) for x, n, by, warps in (*kinds, *kinds)]
    for call in (*calls, *calls):  # the first time by Triton's launch or one that it remembers, then by the driver's
        different += differs(call)
    with asked() as again:
        for call in calls:
            call()
            functions.add(told[-1][3])
    return {"different": different, "asked again": len(again), "functions": len(functions)}


def of_hooks() -> dict[str, object]:
    """A profiler's hooks, hooks before a run, and another stream, once a launch is remembered."""
    calls: list[str] = []
    again = launch.launch(scale, 1, torch.zeros(64), 16, BY=5)
    for name in ("launch_enter_hook", "launch_exit_hook"):
        again()
        chain = getattr(knobs.runtime, name)
        chain.add(hook := lambda metadata: calls.append(metadata.get()["name"]))
        again()
        chain.remove(hook)
        setattr(knobs.runtime, name, hook)
        again()
        setattr(knobs.runtime, name, chain)
    scale.add_pre_run_hook(lambda *args, **kwargs: calls.append("before"))
    again()
    scale.pre_run_hooks.clear()
    driver.active.stream = 7
    found = _told(again)
    driver.active.stream = 0
    with launch.observed(lambda name, programs: calls.append(f"{name} of {programs}")):
        again()
    return {"calls": calls, "stream": found[2]}


def of_steps() -> dict[str, object]:
    """An optimizer, with gradients that move and a learning rate that changes."""
    params = [torch.nn.Parameter(torch.ones(shape)) for shape in ((16, 40), (40, 16), (7,))]
    optimizer = ProdigyPlusScheduleFree(params)
    different: list[bool] = []
    asking = []

    def told_apart(call: Launch) -> None:
        different.append(differs(call))

    for step in range(4):
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer.param_groups[0]["lr"] = 1.0 / (1 + step)
        with asked() as found, mock.patch.object(Launch, "__call__", told_apart):
            optimizer.step()
        asking.append(len(found))
    return {"different": sum(different), "asked": asking}


def main() -> None:
    """All scenes."""
    driver.set_active(Driver())
    with (
        mock.patch.object(serving, "DEVICES", ("cpu",)),
        mock.patch.object(core, "show_effective_lr"),  # no kernel writes what it is found from
        mock.patch.dict("os.environ", {"PPSF_BACKEND": "triton"}),
    ):
        for scene in (of_arguments, of_hooks, of_steps):
            print(json.dumps({"scene": scene.__name__, **scene()}))


if __name__ == "__main__":
    main()
