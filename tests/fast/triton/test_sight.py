"""What is seen of tensors: the same in C as in Python, whatever changes, and nothing that only looks different."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast.backends.triton.sight import Plain, Sight, sight, whereabouts


class World:
    """Two groups, of which the second one's gradients do not count, and some state."""

    def __init__(self) -> None:
        shapes = [(3, 4), (5,), (), (0, 2), (2, 3, 4)]
        made = [torch.nn.Parameter(torch.ones(shape, dtype=torch.bfloat16)) for shape in shapes]
        self.groups = [made[:3], made[3:]]
        self.counts = [True, False]
        for param in made:
            param.grad = torch.ones_like(param)
        self.states: dict[Tensor, dict[str, Any]] = {
            param: {"z": torch.zeros_like(param), "s": torch.zeros(2)} for param in made
        }

    @property
    def param(self) -> Any:
        return self.groups[0][0]

    @property
    def state(self) -> dict[str, Any]:
        return self.states[self.param]


Change = Callable[[World], object]


def _other_param(world: World) -> None:
    other = torch.nn.Parameter(world.param.data)
    other.grad, world.groups[0][0] = world.param.grad, other


def _other_owner(world: World) -> None:
    """Of the same state, in the same place of the order."""
    entries = list(world.states.items())
    world.states.clear()
    world.states.update([(torch.nn.Parameter(entries[0][0].data), entries[0][1]), *entries[1:]])


def _set(name: str, make: Callable[[Tensor], Any]) -> Change:
    def change(world: World) -> None:
        world.state[name] = make(world.state[name])

    return change


def _data(of: Callable[[World], Tensor], make: Callable[[Tensor], Tensor]) -> Change:
    def change(world: World) -> None:
        tensor = of(world)
        tensor.data = make(tensor.data)

    return change


def _grad(make: Callable[[Tensor], Tensor | None]) -> Change:
    def change(world: World) -> None:
        world.param.grad = make(world.param.grad)

    return change


def _unaligned(tensor: Tensor) -> Tensor:
    return tensor.new_empty(tensor.numel() + 1)[1:].view_as(tensor)


CHANGES: dict[str, Change] = {
    "another parameter": _other_param,
    "a parameter less": lambda world: world.groups[0].pop(),
    "a parameter in another group": lambda world: world.groups[1].insert(0, world.groups[0].pop()),
    "a parameter in another group that counts as well": lambda world: (
        world.groups.insert(1, [world.groups[0].pop()]),
        world.counts.insert(1, True),
    ),
    "a group less": lambda world: (world.groups.pop(), world.counts.pop()),
    "gradients that begin to count": lambda world: world.counts.__setitem__(1, True),
    "memory of a parameter": _data(lambda world: world.param, torch.clone),
    "dtype of a parameter": _data(lambda world: world.param, lambda data: data.view(torch.float16)),
    "shape of a parameter": _data(lambda world: world.param, lambda data: data.view(4, 3)),
    "strides of a parameter": _data(lambda world: world.param, lambda data: data.as_strided((3, 4), (1, 3))),
    "no gradient": _grad(lambda grad: None),
    "strides of a gradient": _grad(lambda grad: grad.as_strided((3, 4), (1, 3))),
    "a gradient in every row": _grad(lambda grad: grad[:1].expand(3, 4)),
    "a gradient that is not aligned": _grad(_unaligned),
    "a gradient that is negated": _grad(torch._neg_view),
    "no state": lambda world: world.states.pop(world.param),
    "another owner of the state": _other_owner,
    "a new entry": lambda world: world.state.update(t=torch.ones(1)),
    "an entry less": lambda world: world.state.pop("s"),
    "another name": lambda world: world.state.update(t=world.state.pop("s")),
    "other memory": _set("z", torch.clone),
    "memory given back": lambda world: world.state["z"].untyped_storage().resize_(0),
    "another dtype": _set("z", lambda z: z.view(torch.float16)),
    "another shape": _set("z", lambda z: z.view(12)),
    "other strides": _set("z", lambda z: z.as_strided((3, 4), (1, 3))),
    "another beginning": _set("z", lambda z: z.flatten()[4:8]),
    "a number": _set("s", lambda _: 1.0),
    "no memory": _set("s", lambda s: s.to_sparse()),
    "no dict": lambda world: world.states.__setitem__(world.param, [1]),  # type: ignore[call-overload]
}  # fmt: skip
#: After which the same launches serve.
ALIKE: dict[str, Change] = {
    "nothing": lambda world: None,
    "other numbers": lambda world: world.state["z"].fill_(3.0),
    "another object": _set("z", lambda z: z.view(3, 4)),
    "another list": lambda world: world.groups.__setitem__(0, list(world.groups[0])),
    "a gradient elsewhere": _grad(torch.clone),
    "a gradient that does not count": lambda world: setattr(world.groups[1][1], "grad", None),
}


@pytest.fixture(params=["in C", "in Python"])
def by(request: pytest.FixtureRequest) -> Sight:
    fast = sight()
    assert not isinstance(fast, Plain)
    return fast if request.param == "in C" else Plain()


def _seen_again(by: Sight, world: World, change: Change) -> bytearray | None:
    found = by.record(world.groups, world.counts, world.states)
    assert found is not None
    ahead = whereabouts(world.groups, world.counts, world.states)
    held = [world.param.grad, *world.states.values()]  # so that nothing new takes their places
    tensors = [value for state in world.states.values() for value in state.values()]
    with torch.no_grad():
        change(world)
    assert held
    assert tensors
    return by.compare(world.groups, world.counts, world.states, found[0], ahead)


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_seen(by: Sight, change: str) -> None:
    assert _seen_again(by, World(), CHANGES[change]) is None


@pytest.mark.parametrize("change", ALIKE)
def test_what_only_looks_different_is_not(by: Sight, change: str) -> None:
    world = World()
    gradients = _seen_again(by, world, ALIKE[change])
    assert gradients is not None
    expected = [param.grad.data_ptr() for param in world.groups[0] if param.grad is not None]
    assert torch.frombuffer(gradients, dtype=torch.int64).tolist() == expected


@pytest.mark.parametrize("value", [1.0, "text", None])
def test_state_that_is_no_tensor_cannot_be_recorded(by: Sight, value: object) -> None:
    world = World()
    world.state["s"] = value
    assert by.record(world.groups, world.counts, world.states) is None


def test_where_torch_keeps_tensors_need_not_be_right() -> None:
    world, by = World(), sight()
    found = by.record(world.groups, world.counts, world.states)
    assert found is not None
    for ahead in (b"", b"\xff" * 24 * 40, b"\x00" * 24 * 4):
        assert by.compare(world.groups, world.counts, world.states, found[0], ahead) == found[1]


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise subprocess.CalledProcessError(1, "cc")


def test_without_a_compiler_it_is_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime import build

    monkeypatch.setattr(build, "compile_module_from_src", _refuse)
    assert isinstance(sight.__wrapped__(), Plain)


def test_without_the_exchange_api_it_is_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Tensor, "__dlpack_c_exchange_api__")
    assert isinstance(sight.__wrapped__(), Plain)
