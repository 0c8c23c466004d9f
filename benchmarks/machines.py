"""What `gpu_step` asks of the machine it measures: a GPU, or a rehearsal of it on a CPU, with the same control flow."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity

from ppsf_conformance.report.environment import cpu_name

Step = Callable[[], object]


class Machine(Protocol):
    """Where steps are taken and timed."""

    device: str
    #: Elements of the array that is copied to find the bandwidth.
    copied: int
    #: Steps before anything is measured, and steps that are counted together.
    repeats: int

    @property
    def name(self) -> str:
        """Of the hardware."""

    def milliseconds(self, step: Step) -> tuple[float, float]:
        """Of one call: until the device is done, and until the call returns."""

    def never_waiting(self) -> AbstractContextManager[None]:
        """Inside, an operation that makes the host wait for the device is an error."""

    def waits(self, step: Step) -> int:
        """How often the host waits for the device in a call."""

    def peak(self, step: Step) -> int:
        """Most bytes that are allocated in a call beyond what was before."""

    def kernels(self, step: Step, calls: int) -> dict[str, tuple[float, float]]:
        """Of each kernel and each copy the milliseconds and the number in one call, by the profiler."""

    def captured(self, step: Step) -> Step:
        """Three calls, and one that is captured in a graph without being executed; returns what replays it."""

    def clear(self) -> None:
        """Give back memory that nobody uses."""


def _profiled(step: Step, calls: int, activity: Any, device: Any, settle: Step) -> dict[str, tuple[float, float]]:
    times: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    with torch.profiler.profile(activities=[activity]) as profile:
        for _ in range(calls):
            step()
        settle()
    for event in profile.events() or ():
        if event.device_type == device:
            times[event.name] += event.time_range.elapsed_us()
            counts[event.name] += 1
    return {name: (times[name] / 1e3 / calls, counts[name] / calls) for name in times}


class Gpu:
    """The first CUDA (or ROCm) device."""

    device = "cuda"
    copied = 2**28
    repeats = 5

    @property
    def name(self) -> str:
        """Of the GPU."""
        return torch.cuda.get_device_name()

    def milliseconds(self, step: Step) -> tuple[float, float]:
        """By events, and by the clock of the host."""
        event: Any = torch.cuda.Event
        start, stop = event(enable_timing=True), event(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        began = time.perf_counter()
        step()
        returned = time.perf_counter()
        stop.record()
        stop.synchronize()
        return float(start.elapsed_time(stop)), 1e3 * (returned - began)

    @contextmanager
    def never_waiting(self) -> Iterator[None]:
        """By torch's own guard."""
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def waits(self, step: Step) -> int:
        """By the warnings of torch's own guard."""
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(each.message) for each in found)

    def peak(self, step: Step) -> int:
        """By torch's allocator."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    def kernels(self, step: Step, calls: int) -> dict[str, tuple[float, float]]:
        """What the device does."""
        activity, device = ProfilerActivity.CUDA, DeviceType.CUDA
        return _profiled(step, calls, activity, device, torch.cuda.synchronize)

    def captured(self, step: Step) -> Step:
        """As torch's notes on CUDA graphs ask for: warmed up on another stream."""
        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay

    def clear(self) -> None:
        """Of the caching allocator."""
        torch.cuda.empty_cache()


class Rehearsal:
    """A CPU in the place of the GPU: kernels are interpreted, and what only a GPU can tell is 0."""

    device = "cpu"
    copied = 2**16
    repeats = 1

    @property
    def name(self) -> str:
        """Of the processor."""
        return f"rehearsal on {cpu_name()}"

    def milliseconds(self, step: Step) -> tuple[float, float]:
        """By the clock."""
        began = time.perf_counter()
        step()
        found = 1e3 * (time.perf_counter() - began)
        return found, found

    def never_waiting(self) -> AbstractContextManager[None]:
        """Nothing to wait for."""
        return nullcontext()

    def waits(self, step: Step) -> int:
        """None."""
        step()
        return 0

    def peak(self, step: Step) -> int:
        """Unknown."""
        step()
        return 0

    def kernels(self, step: Step, calls: int) -> dict[str, tuple[float, float]]:
        """Operations of torch, in their place."""
        activity, device = ProfilerActivity.CPU, DeviceType.CPU
        return _profiled(step, calls, activity, device, lambda: None)

    def captured(self, step: Step) -> Step:
        """The calls, without a graph."""
        for _ in range(3):
            step()
        return step

    def clear(self) -> None:
        """Nothing."""
