"""accelerate and the Trainer of transformers: what their wrappers do to an optimizer, with the real wrapper where it is
one, and written down here where it needs more than a CPU."""

from __future__ import annotations

import copy
import inspect
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from tests.trainers.contract.helpers import backward, network, numbers, train, weights

Make = Callable[..., Any]
PLAIN = (int, float, bool, str, type(None))


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(each) for key, each in value.items())
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    return type(value) in PLAIN or type(value) is torch.Tensor


def moved(value: Any) -> Any:
    """As accelerate moves a state dict to its device: every tensor in it, also those in groups."""
    if isinstance(value, torch.Tensor):
        return value.to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: moved(each) for key, each in value.items()}
    return type(value)(map(moved, value)) if isinstance(value, list | tuple) else value


def test_its_own_state_is_loaded_before_the_first_step(make: Make) -> None:
    plain, wrapped = network(), network()
    one, other = make(plain.parameters(), d0=1e-3), make(wrapped.parameters(), d0=1e-3)
    other.load_state_dict(moved(other.state_dict()))
    train(plain, one, range(5))
    train(wrapped, other, range(5))
    assert weights(wrapped) == weights(plain)
    assert numbers(other) == numbers(one)


@pytest.mark.need(32)
def test_step_may_be_replaced_on_the_instance_and_put_back(make: Make) -> None:
    """So it finds out whether a scaler has skipped a step."""
    plain, patched = network(), network()
    one, other = make(plain.parameters(), d0=1e-3), make(patched.parameters(), d0=1e-3)
    calls = []
    original = other.step

    def step(*args: Any, **given: Any) -> Any:
        calls.append(1)
        return original(*args, **given)

    for number in range(4):
        train(plain, one, [number])
        other.step = step
        train(patched, other, [number])
        other.step = original
    assert (len(calls), weights(patched)) == (4, weights(plain))


def test_zero_grad_takes_the_argument_that_it_looks_for(make: Make) -> None:
    assert "set_to_none" in inspect.signature(make(network().parameters()).zero_grad).parameters


@pytest.mark.parametrize("whole", [True, False], ids=["a new list", "in the list"])
def test_parameters_are_replaced_after_construction(make: Make, whole: bool) -> None:
    """Under FSDP2 each is a dummy of one element for a while, then another object; on XLA the list is a new one."""
    plain, swapped = network(), network()
    one, other = make(plain.parameters(), d0=1e-3), make(swapped.parameters(), d0=1e-3)
    group = other.param_groups[0]
    for index in range(len(group["params"])):
        group["params"][index] = torch.empty(1)
    for layer in (swapped[0], swapped[2]):
        for name, param in list(layer.named_parameters()):
            setattr(layer, name, torch.nn.Parameter(param.detach().clone()))
    if whole:
        group["params"] = list(swapped.parameters())
    else:
        group["params"][:] = list(swapped.parameters())
    train(plain, one, range(5))
    train(swapped, other, range(5))
    assert weights(swapped) == weights(plain)


def test_data_of_a_parameter_is_replaced_between_steps(make: Make) -> None:
    """Trainers that keep layers elsewhere move them so."""
    plain, moving = network(), network()
    one, other = make(plain.parameters(), d0=1e-3), make(moving.parameters(), d0=1e-3)
    for step in range(5):
        train(plain, one, [step])
        for param in moving.parameters():
            param.data = param.data.clone()
        train(moving, other, [step])
    assert weights(moving) == weights(plain)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_saved_state_is_plain_and_is_loaded_on_the_cpu_as_weights_only(make: Make, mode: str) -> None:
    net = network()
    optimizer = make(net.parameters(), d0=1e-3)
    train(net, optimizer, range(4))
    getattr(optimizer, mode)()
    assert is_plain(optimizer.state_dict())
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again, resumed = network(), None
    again.load_state_dict(net.state_dict())
    resumed = make(again.parameters(), d0=1e-3)
    resumed.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    assert resumed.param_groups[0]["train_mode"] == (mode == "train")
    for each in (optimizer, resumed):
        each.train()
    train(net, optimizer, range(4, 8))
    train(again, resumed, range(4, 8))
    assert weights(again) == weights(net)


@pytest.mark.need(17)
def test_what_loggers_take_is_a_float(make: Make) -> None:
    """A tracker drops values that are no numbers, and says nothing."""
    net = network()
    optimizer = make(net.parameters())
    train(net, optimizer, range(2))
    values = [optimizer.param_groups[0][name] for name in ("lr", "d", "effective_lr")]
    values += optimizer.metrics()[0].values()
    assert {type(value) for value in values} <= {float, int}


def test_train_in_every_micro_batch_is_free_and_changes_nothing(make: Make) -> None:
    plain, called = network(), network()
    one, other = make(plain.parameters(), d0=1e-3), make(called.parameters(), d0=1e-3)
    for step in range(4):
        backward(plain, step)
        backward(plain, step + 100)
        one.step()
        one.zero_grad()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            other.train()
        assert not [event.name for event in seen.events() if event.name.startswith("aten::")]  # no tensor is touched
        backward(called, step)
        other.train()
        backward(called, step + 100)
        other.step()
        other.zero_grad()
    assert weights(called) == weights(plain)


def test_a_schedule_writes_floats_into_groups(make: Make) -> None:
    net = network()
    accelerator = Accelerator(cpu=True)
    optimizer = accelerator.prepare_optimizer(make(net.parameters(), d0=1e-3))
    schedule = accelerator.prepare_scheduler(torch.optim.lr_scheduler.LinearLR(optimizer.optimizer, 1.0, 0.5, 4))
    rates = []
    for step in range(4):
        train(net, optimizer, [step])
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.875, 0.75, 0.625, 0.5]


@pytest.mark.need(32)
def test_the_wrapper_is_copied_and_pickled(make: Make) -> None:
    net = network()
    optimizer = make(net.parameters(), d0=1e-3)
    train(net, optimizer, range(3))
    copied = copy.deepcopy({"net": net, "optimizer": optimizer})
    train(net, optimizer, range(3, 6))
    train(copied["net"], copied["optimizer"], range(3, 6))
    assert weights(copied["net"]) == weights(net)
