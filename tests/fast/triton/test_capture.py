"""A step in a CUDA graph, as far as a CPU can tell: nothing is read on the host, and what is launched can be launched
again. No graph has been captured here; `benchmarks/gpu_step.py` does so on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ppsf_fast import ProdigyPlusScheduleFree, capture
from ppsf_fast.backends.triton import serving
from ppsf_fast.backends.triton.launch import Launch
from tests.fast.helpers import bits, give_gradients, parameters, snapshot
from tests.fast.revised import CASES, build

SHAPES = ((33, 8), (7,), (6, 6))


class NoReading(TorchDispatchMode):
    """Refuses what needs a value of a tensor."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        assert not any(part in name for part in ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "item")), name
        return func(*args, **(kwargs or {}))


@contextmanager
def captured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Launch]]:
    """As if the steps inside were captured in a graph, and not executed: all their launches."""
    found: list[Launch] = []

    def refuse(*_: Any) -> Any:
        raise AssertionError("the host reads a value")

    with monkeypatch.context() as patch, NoReading():
        patch.setattr(Launch, "__call__", lambda launch: found.append(launch))
        for reading in ("tolist", "item", "__bool__", "__float__", "__int__", "numpy", "cpu"):
            patch.setattr(Tensor, reading, refuse)
        patch.setattr(capture, "capturing", lambda device: True)
        yield found


def replay(launches: list[Launch]) -> None:
    for launch in launches:
        launch()


@pytest.mark.parametrize("case", CASES)
def test_replays_are_steps(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Numbers that change with the steps, such as k and d, are not in what is launched."""

    def made() -> tuple[Any, list[Tensor], Callable[[int], None]]:
        params = parameters(shapes=SHAPES)
        optimizer = build(case, params)
        grads = [torch.zeros_like(param) for param in params]

        def give(step: int) -> None:
            give_gradients(params, step)
            for param, grad in zip(params, grads, strict=True):
                assert param.grad is not None
                param.grad = grad.copy_(param.grad)

        return optimizer, params, give

    optimizer, params, give = made()
    give(0)
    optimizer.step()
    with captured(monkeypatch) as launches:
        optimizer.step()
    for step in (1, 2):
        give(step)
        replay(launches)
    plain, expected, give = made()
    for step in range(3):
        give(step)
        plain.step()
    assert optimizer.metrics() == plain.metrics()
    assert snapshot(optimizer, params) == snapshot(plain, expected)


def test_replays_and_other_steps_may_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a graph sends to the device is there only when it is replayed: other steps do not count on it."""

    def made() -> tuple[ProdigyPlusScheduleFree, list[Tensor]]:
        params = parameters(shapes=SHAPES)
        for param in params:
            param.grad = torch.ones_like(param)
        return ProdigyPlusScheduleFree(params, d0=1e-3), params

    optimizer, params = made()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.5
    with captured(monkeypatch) as launches:
        optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.25
    for number in range(4):
        replay(launches) if number % 2 else optimizer.step()
    plain, expected = made()
    for lr in (1.0, 0.25, 0.5, 0.25, 0.5):
        plain.param_groups[0]["lr"] = lr
        plain.step()
    optimizer.metrics()
    optimizer.param_groups[0]["lr"] = 0.5
    assert [bits(param) for param in params] == [bits(param) for param in expected]
    assert optimizer.metrics() == plain.metrics()


def test_gradients_may_be_elsewhere_when_the_graph_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the backward pass is in the graph too. The host memory that the graph copies from is its own."""
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params)
    give_gradients(params, 0)
    held = [param.grad for param in params]
    optimizer.step()
    give_gradients(params, 1)
    with captured(monkeypatch):
        optimizer.step()
    assert held
    workspaces = [each for each in optimizer._workspace.values() if isinstance(each, serving.Workspace)]
    lent = [tensor for each in workspaces for tensor in each.lent]
    assert [param.grad.data_ptr() for param in params if param.grad is not None] in [each.tolist() for each in lent]


def test_a_step_uses_the_memory_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params)
    give_gradients(params, 0)
    optimizer.step()
    addresses: list[list[int]] = [[], []]
    original = Launch.__call__
    for found in addresses:

        def call(launch: Launch, found: list[int] = found) -> None:
            found += [each.data_ptr() for each in launch.args if isinstance(each, Tensor)]
            original(launch)

        monkeypatch.setattr(Launch, "__call__", call)
        optimizer.param_groups[0]["lr"] *= 0.5
        optimizer.step()
    assert addresses[0]
    assert addresses[0] == addresses[1]


def test_memory_that_a_graph_may_write_to_is_not_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params, prodigy_steps=2)
    give_gradients(params, 0)
    optimizer.step()
    with captured(monkeypatch) as launches:
        optimizer.step()
    replay(launches)
    replay(launches)
    before = bits(optimizer.state[params[0]]["s"])
    assert optimizer.metrics()[0]["k"] == 4
    assert bits(optimizer.state[params[0]]["s"]) == before
