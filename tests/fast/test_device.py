"""On an accelerator a step never waits for the device; what trainers read follows late, but exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ppsf_fast import ProdigyPlusScheduleFree, backends, scalars
from tests.fast.helpers import SHAPES, give_gradients, parameters, snapshot, train


def kinds(tree: Any) -> set[str]:
    """The kinds of device of all tensors in a nest of containers."""
    return {leaf.device.type for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}


class NoHostRead(TorchDispatchMode):
    """Raises for every operation that carries values between host and device."""

    COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given, made = kinds((args, kwargs)), kinds(result)
        crosses = ("cuda" in given and "cpu" in made) or (func in self.COPIES and len(given | made) > 1)
        if crosses or func == torch.ops.aten._local_scalar_dense.default:
            raise AssertionError(f"{func} carries values between host and device")
        return result


class WithoutDriver(TorchFunctionMode):
    """Calls the operations behind slices and copy_ directly: their methods look for a real device first."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__ and isinstance(args[1], (slice, tuple)):
            values, keys = args
            for axis, key in enumerate(keys if isinstance(keys, tuple) else (keys,)):
                values = torch.ops.aten.slice.Tensor(values, axis, key.start, key.stop, key.step or 1)
            return values
        if func is Tensor.copy_:
            return torch.ops.aten.copy_.default(*args)
        return func(*args, **(kwargs or {}))


@contextmanager
def imagined_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tensor]]:
    """Tensors on a GPU that have no values, so that none can be read. Yields what was sent to the host."""
    sent: list[Tensor] = []

    class Never:
        def query(self) -> bool:
            return False

    def send(values: Tensor) -> tuple[Tensor, Never]:
        sent.append(values)
        return values, Never()

    monkeypatch.setenv(backends.CHOICE, "torch")  # nothing is compiled for a GPU that is not there
    monkeypatch.setattr(scalars, "_start_copy", send)
    with FakeTensorMode(), NoHostRead(), WithoutDriver():
        yield sent


def fake_parameters(dtype: torch.dtype) -> list[Tensor]:
    shapes: Sequence[Sequence[int]] = SHAPES
    data = (torch.empty(tuple(shape), dtype=dtype, device="cuda") for shape in shapes)
    return [torch.nn.Parameter(values, requires_grad=False) for values in data]


@pytest.mark.need(16)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eps": None, "factored": False},
        {"split_groups": False, "prodigy_steps": 2},
        {"weight_decay": 0.1, "weight_decay_by_lr": False, "factored_fp32": False},
        {"weight_decay": 0.1, "split_groups_mean": False, "stochastic_rounding": False},
        {"use_adopt": True, "prodigy_steps": 2},
        {"use_orthograd": True},
        {"use_speed": True},
        {"use_focus": True, "use_adopt": True},
    ],
    ids=str,
)
def test_a_step_never_reads_the_device(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, options: dict[str, Any]
) -> None:
    with imagined_gpu(monkeypatch) as sent:
        params = fake_parameters(dtype)
        optimizer = ProdigyPlusScheduleFree([{"params": params[:2]}, {"params": params[2:]}], **options)
        for _ in range(3):
            for param in params:
                param.grad = torch.empty_like(param)
            optimizer.step()
            optimizer.param_groups[0]["lr"] *= 0.5
            optimizer.param_groups[1]["weight_sum"] += 1.0
        optimizer.eval()
        optimizer.train()
        assert len(sent) == 3
        assert {value.device.type for values in sent for value in values} == {"cuda"}


@pytest.mark.need(16)
@pytest.mark.parametrize("options", [{}, {"use_adopt": True, "prodigy_steps": 2}, {"split_groups": False}], ids=str)
def test_a_fused_step_never_reads_the_device(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    with imagined_gpu(monkeypatch) as sent:
        params = fake_parameters(torch.bfloat16)
        groups = [{"params": params[:2]}, {"params": params[2:]}]
        optimizer = ProdigyPlusScheduleFree(groups, fused_back_pass=True, **options)
        for step in range(4):
            for param in reversed(params):
                param.grad = torch.empty_like(param)
                optimizer.step_param(param)
            if step % 2:
                optimizer.step()
        assert len(sent) == 4
        assert {value.device.type for values in sent for value in values} == {"cuda"}


def test_the_imagined_gpu_notices_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    with imagined_gpu(monkeypatch):
        value = torch.ones((), device="cuda")
        for read in (value.item, value.cpu, lambda: bool(value > 0), value.tolist):
            with pytest.raises((AssertionError, DataDependentOutputException)):
                read()


def test_what_trainers_read_follows_when_it_has_arrived(accelerator: Any) -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    group = optimizer.param_groups[0]
    train(optimizer, params, range(2))
    assert group["k"] == 1
    accelerator.open = True
    train(optimizer, params, [2])
    assert group["k"] == 4
    assert accelerator.awaited == 0


@pytest.mark.need(17)
@pytest.mark.usefixtures("accelerator")
def test_metrics_and_state_dict_are_exact() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(2))
    assert optimizer.metrics()[0]["k"] == 3
    train(optimizer, params, [2])
    assert optimizer.state_dict()["param_groups"][0]["k"] == 4


def test_an_edit_wins_over_a_value_that_arrives_later(accelerator: Any) -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(2))
    optimizer.param_groups[0]["d"] = 0.125
    accelerator.open = True
    train(optimizer, params, [2])
    assert optimizer.param_groups[0]["d_prev"] == 0.125


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("prodigy_steps", [0, 3])
def test_late_values_do_not_change_the_run(
    request: pytest.FixtureRequest, dtype: torch.dtype, split: bool, prodigy_steps: int
) -> None:
    def run() -> object:
        params = parameters(dtype)
        groups = [{"params": params[:2]}, {"params": params[2:]}]
        optimizer = ProdigyPlusScheduleFree(groups, split_groups=split, prodigy_steps=prodigy_steps, d0=1e-4)
        train(optimizer, params, range(7))
        return snapshot(optimizer, params)

    at_once = run()
    request.getfixturevalue("accelerator")
    assert run() == at_once


@pytest.mark.parametrize("compiled", [False, True])
def test_a_default_device_elsewhere_is_no_concern_of_a_step(compiled: bool) -> None:
    """As with torch.set_default_device: what is made on the way lies where the parameters do, or on the host."""
    shapes = (*SHAPES, SHAPES[0])  # of which two are stepped together, out of their order
    params, expected = parameters(shapes=shapes), parameters(shapes=shapes)
    optimizer = ProdigyPlusScheduleFree(params, compile=compiled)
    for step in range(3):
        give_gradients(params, step)
        with torch.device("meta"):
            optimizer.step()
    train(ProdigyPlusScheduleFree(expected, compile=compiled), expected, range(3))
    assert all(torch.equal(one, other) for one, other in zip(params, expected, strict=True))
