"""What is measured of one step: time, operations, state, temporaries; and the copy that bandwidth is compared with."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.contenders import Factory
from benchmarks.workloads import Workload

WARM_UP = 3
_COPIED = 1 << 26


def prepared(factory: Factory, workload: Workload, grads: Sequence[Tensor]) -> torch.optim.Optimizer:
    """An optimizer whose parameters have these gradients, and state."""
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(grad.shape, generator=generator).to(grad.dtype) for grad in grads]
    params = [torch.nn.Parameter(value) for value in values]
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = factory(params)
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad
    if hasattr(optimizer, "train"):
        optimizer.train()
    for _ in range(WARM_UP):
        optimizer.step()
    return optimizer


def gradients(workload: Workload, dtype: torch.dtype) -> list[Tensor]:
    """Normal gradients, the same for all optimizers."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in workload.shapes]


def timed(optimizer: torch.optim.Optimizer) -> float:
    """Milliseconds of one step."""
    start = time.perf_counter()
    optimizer.step()
    return 1e3 * (time.perf_counter() - start)


def copy_bandwidth() -> float:
    """Bytes per second that a copy of a large array reads and writes: the best of a few."""
    source = torch.ones(_COPIED)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        target.copy_(source)
        seconds.append(time.perf_counter() - start)
    return 2 * source.numel() * source.element_size() / min(seconds)


# -------------------------------------------------------------------------------------------------------------- memory


def tensors(value: Any) -> Iterable[Tensor]:
    """All tensors in the state of a parameter."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors(item)


def nbytes(values: Iterable[Tensor]) -> int:
    """Bytes of all of them."""
    return sum(value.numel() * value.element_size() for value in values)


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of the state of all parameters."""
    return nbytes(tensor for state in optimizer.state.values() for tensor in tensors(state))


def needed_traffic(optimizer: torch.optim.Optimizer) -> int:
    """Bytes that a step cannot avoid to move: gradients read once, parameters and state read and written once."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    grads = [param.grad for param in params if param.grad is not None]
    return nbytes(grads) + 2 * nbytes(params) + 2 * state_bytes(optimizer)


def temporary_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Most bytes that a step holds beyond what was there before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        optimizer.step()
    recorded: Any = profiler.profiler
    events = recorded.kineto_results.events()
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=lambda each: each[0]):
        held += change
        peak = max(peak, held)
    return peak


# ---------------------------------------------------------------------------------------------------------- operations


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that compute; views and empty tensors cost nothing on the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view and "empty" not in str(func):
            self.count += 1
        return func(*args, **(kwargs or {}))


def operations(optimizer: torch.optim.Optimizer) -> int:
    """Operations that torch dispatches in one step; a call of a kernel of our own is none of them."""
    counter = Counter()
    with counter:
        optimizer.step()
    return counter.count


# ------------------------------------------------------------------------------------------------------------- results


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 20th and 80th percentile, and the least."""
    p20, p80 = (statistics.quantiles(values, n=10)[i] for i in (1, 7))
    found = {"median": statistics.median(values), "p20": p20, "p80": p80, "min": min(values)}
    return {name: round(value, 4) for name, value in found.items()}


def compare(
    workload: Workload, dtype: torch.dtype, factories: dict[str, Factory], rounds: int, yardsticks: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """One row per optimizer; all of them are timed in every round, so that a busy machine slows all alike.

    Args:
        workload: the shapes.
        dtype: of parameters and gradients.
        factories: the optimizers.
        rounds: how often each is timed; at least 2.
        yardsticks: names of those whose time the time of each is divided by, round by round.
    """
    grads = gradients(workload, dtype)
    optimizers = {name: prepared(factory, workload, grads) for name, factory in factories.items()}
    times: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(rounds):
        for name, optimizer in optimizers.items():
            times[name].append(timed(optimizer))
    copied, rows = copy_bandwidth(), {}
    for name, optimizer in optimizers.items():
        bandwidth = needed_traffic(optimizer) / (statistics.median(times[name]) * 1e-3)
        ratios = {other: [a / b for a, b in zip(times[name], times[other], strict=True)] for other in yardsticks}
        rows[name] = {
            "ms": spread(times[name]),
            "ratio": {other: spread(values) for other, values in ratios.items()},
            "gb_per_s": round(bandwidth / 1e9, 3),
            "share_of_copy": round(bandwidth / copied, 4),
            "operations": operations(optimizer),
            "state_bytes_per_parameter": round(state_bytes(optimizer) / workload.numel, 4),
            "temporary_bytes_per_parameter": round(temporary_bytes(optimizer) / workload.numel, 5),
        }
    return rows
