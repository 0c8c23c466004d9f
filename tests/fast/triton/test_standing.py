"""What a step keeps from the one before: it costs the host little, and nothing that changes goes unseen."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ppsf_fast import ProdigyPlusScheduleFree, backends
from ppsf_fast.backends.triton import parts, serving, standing
from ppsf_fast.backends.triton.launch import Launch
from ppsf_fast.backends.triton.numbers import end
from ppsf_fast.backends.triton.sight import Plain, sight
from tests.fast.helpers import bits, give_gradients, parameters, snapshot

SHAPES = ((33, 8), (6, 6), (7,))
Event = Callable[[ProdigyPlusScheduleFree, list[Tensor]], None]


def _in_place(params: list[Tensor], step: int) -> None:
    """New gradients where the old ones are."""
    old = [param.grad for param in params]
    give_gradients(params, step)
    for param, grad in zip(params, old, strict=True):
        if grad is not None and param.grad is not None and grad.dtype == param.grad.dtype:
            param.grad = grad.copy_(param.grad)


def _turn(tensor: Tensor) -> Tensor:
    """The same address, other strides."""
    return tensor.t()


def _first(optimizer: ProdigyPlusScheduleFree) -> dict[str, Any]:
    return optimizer.state[optimizer.param_groups[0]["params"][0]]


def values_of(optimizer: ProdigyPlusScheduleFree) -> list[Tensor]:
    return [value for state in optimizer.state.values() for value in state.values()]


def _set(name: str, value: Any) -> Event:
    def event(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
        optimizer.param_groups[0][name] = value

    return event


def _replace_state(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    _first(optimizer)["z"] = _first(optimizer)["z"] * 0.5


def _replace_memory(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    z = _first(optimizer)["z"]
    z.data = z.data * 0.5


def _set_memory(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    z = _first(optimizer)["z"]
    with torch.no_grad():
        z.set_(z * 0.5)


def _swap_memory(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    z = _first(optimizer)["z"]
    torch.utils.swap_tensors(z, z * 0.5)


def _view_state(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    _first(optimizer)["z"] = _first(optimizer)["z"].view(SHAPES[0])


def _turn_state(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    z = optimizer.state[params[1]]["z"]
    z.data = _turn(z.data)


def _exchange_names(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    """The same tensors in the same order."""
    state = optimizer.state[params[2]]
    names = {"z": "exp_avg_sq", "exp_avg_sq": "z"}
    exchanged = {names.get(name, name): value.abs_() for name, value in state.items()}
    state.clear()
    state.update(exchanged)


def _begin_anew(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    optimizer.state[params[1]].clear()


def _turn_weights(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    params[1].data = _turn(params[1].data)


def _turn_gradient(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    assert params[1].grad is not None
    params[1].grad = _turn(params[1].grad)


def _widen_gradient(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    assert params[1].grad is not None
    wide = params[1].grad.double()
    params[1].grad_dtype = None
    params[1].grad = wide


def _drop_gradient(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    params[0].grad = None


def _other_parameter(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    """Another parameter in the same memory: it has no state yet."""
    fresh = torch.nn.Parameter(params[2].data)
    fresh.grad = params[2].grad
    optimizer.param_groups[0]["params"][2] = params[2] = fresh


def _new_group(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    added = torch.nn.Parameter(torch.ones(5, 4))
    added.grad = torch.ones_like(added)
    optimizer.add_param_group({"params": [added]})


def _reload(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    optimizer.load_state_dict(optimizer.state_dict())


def _misalign(optimizer: ProdigyPlusScheduleFree, params: list[Tensor]) -> None:
    assert params[0].grad is not None
    params[0].grad = torch.cat([torch.zeros(1), params[0].grad.flatten()])[1:].view_as(params[0])


EVENTS: dict[str, Event] = {
    "nothing": lambda optimizer, params: None,
    "learning rate": _set("lr", 0.5),
    "a pause": _set("lr", 0.0),
    "decay": _set("weight_decay", 0.1),
    "a switch": _set("use_cautious", True),
    "atan2": _set("eps", None),
    "an edited d": _set("d", 0.02),
    "another tensor in the state": _replace_state,
    "a view of a tensor of the state": _view_state,
    "other memory under a tensor of the state": _replace_memory,
    "a tensor of the state set to other memory": _set_memory,
    "a tensor of the state swapped with another": _swap_memory,
    "a tensor of the state turned in place": _turn_state,
    "names in the state exchanged": _exchange_names,
    "state is gone": _begin_anew,
    "weights turned in place": _turn_weights,
    "a gradient turned in place": _turn_gradient,
    "a gradient of another dtype": _widen_gradient,
    "no gradient": _drop_gradient,
    "another parameter in the same memory": _other_parameter,
    "a new group": _new_group,
    "loading": _reload,
    "a gradient that cannot be read in vectors": _misalign,
}
#: What the same tables serve.
SAME = ("nothing", "learning rate", "an edited d", "a view of a tensor of the state")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each step from here on, whether it is the last one once more."""
    found: list[bool] = []
    original = backends.again

    def told(*args: Any) -> bool:
        found.append(original(*args))
        return found[-1]

    monkeypatch.setattr(backends, "again", told)
    return found


@pytest.mark.parametrize("event", EVENTS)
def test_a_step_after_any_change_is_that_of_a_fresh_plan(
    monkeypatch: pytest.MonkeyPatch, taken: list[bool], event: str
) -> None:
    def moved() -> tuple[object, object, object]:
        params = parameters(shapes=SHAPES)
        optimizer = ProdigyPlusScheduleFree(params, d0=1e-3)
        give_gradients(params, 0)
        optimizer.step()
        _in_place(params, 1)
        EVENTS[event](optimizer, params)
        taken.clear()
        optimizer.step()
        return [bits(param) for param in params], [bits(value) for value in values_of(optimizer)], list(taken)

    *found, again = moved()
    assert (True in again) == (event in SAME)
    monkeypatch.setattr(backends, "again", lambda *_: False)
    assert found == list(moved()[:2])


def test_the_second_step_creates_what_the_first_one_could_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ADOPT under SPEED, whose course begins once there is something to divide by."""

    def outcome() -> object:
        params = parameters(shapes=SHAPES)
        optimizer = ProdigyPlusScheduleFree(params, d0=1e-3, revision="2.0", use_adopt=True, use_speed=True)
        for number in range(4):
            give_gradients(params, number)
            optimizer.step()
        return snapshot(optimizer, params)

    found = outcome()
    monkeypatch.setattr(backends, "again", lambda *_: False)
    assert found == outcome()


def test_gradients_of_a_group_that_pauses_are_nobody_elses(monkeypatch: pytest.MonkeyPatch, taken: list[bool]) -> None:
    def outcome() -> tuple[object, bool]:
        taken.clear()
        params = parameters(shapes=(*SHAPES, *SHAPES))
        optimizer = ProdigyPlusScheduleFree([{"params": params[:3]}, {"params": params[3:]}], d0=1e-3)
        optimizer.param_groups[0]["lr"] = 0.0
        held = []
        for number in range(3):
            give_gradients(params, number)
            held += [param.grad for param in params]
            optimizer.step()
        return snapshot(optimizer, params), any(taken)

    found, again = outcome()
    assert again
    monkeypatch.setattr(backends, "again", lambda *_: False)
    assert found == outcome()[0]


@pytest.fixture(params=["in C", "in Python"])
def seeing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to compare tensors."""
    if request.param == "in Python":
        monkeypatch.setattr(standing, "sight", Plain)


@pytest.mark.usefixtures("seeing")
def test_gradients_that_move_are_all_that_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-3)
    give_gradients(params, 0)
    held = [param.grad for param in params]
    optimizer.step()
    monkeypatch.setattr(serving, "Part", None)  # no plan is made
    give_gradients(params, 1)
    optimizer.step()
    other = parameters(shapes=SHAPES)
    fresh = ProdigyPlusScheduleFree(other, d0=1e-3)
    monkeypatch.setattr(serving, "Part", parts.Part)
    monkeypatch.setattr(backends, "again", lambda *_: False)
    for number in range(2):
        give_gradients(other, number)
        fresh.step()
    assert held
    assert snapshot(optimizer, params) == snapshot(fresh, other)


def test_no_tensor_is_kept_alive() -> None:
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params)
    give_gradients(params, 0)
    optimizer.step()
    watched = [weakref.ref(param.grad) for param in params]
    watched += [weakref.ref(value) for state in optimizer.state.values() for value in state.values()]
    optimizer.zero_grad(set_to_none=True)
    optimizer.state.clear()
    gc.collect()
    assert [each() for each in watched] == [None] * len(watched)


# ----------------------------------------------------------------------------------------------- cost on the host


class Operations(TorchDispatchMode):
    """Counts what torch dispatches."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def _pretend(launch: Launch) -> None:
    """Launch nothing; what groups would show has some value."""
    if launch.kernel is end:
        launch.args[-1].fill_(1.0)


def _cost(monkeypatch: pytest.MonkeyPatch, number: int, moves: bool = False) -> dict[str, int]:
    """Of a step at defaults whose kernels do nothing: calls, bytecodes, operations of torch."""
    monkeypatch.setattr(Launch, "__call__", _pretend)
    params = parameters(shapes=[(8, 2)] * number)
    optimizer = ProdigyPlusScheduleFree(params)
    give_gradients(params, 0)
    for _ in range(3):
        optimizer.step()
    held = [param.grad for param in params]
    if moves:
        give_gradients(params, 0)
    found = {"calls": 0, "bytecodes": 0, "operations": 0}

    def trace(frame: Any, event: str, _: Any) -> Any:
        frame.f_trace_opcodes = True
        found["calls"] += event == "call"
        found["bytecodes"] += event == "opcode"
        return trace

    gc.collect()
    gc.disable()  # whoever watches collections is called in the middle of the step
    sys.settrace(trace)
    try:
        optimizer.step()
    finally:
        sys.settrace(None)
        gc.enable()
    with Operations() as counted:
        optimizer.step()
    assert held
    return {**found, "operations": counted.count}


#: Of torch: the memory that the step publishes in, and what reads it; the kernel that does nothing writes it.
OPERATIONS = 4


@pytest.mark.parametrize("moves", [False, True], ids=["nothing changes", "gradients move"])
def test_in_python_the_host_does_nothing_for_each_tensor(monkeypatch: pytest.MonkeyPatch, moves: bool) -> None:
    assert not isinstance(sight(), Plain)
    few, many = _cost(monkeypatch, 20, moves), _cost(monkeypatch, 220, moves)
    assert many == few
    assert many["operations"] <= OPERATIONS
