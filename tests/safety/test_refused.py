"""What a step cannot use is refused before any parameter has moved, whatever its place among the others."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.backends.native import build
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train

SHAPES = ((40, 12), (7,), (300, 5))
COMPILES = [False, pytest.param(True, marks=pytest.mark.skipif(build.library() is None, reason="no C++ compiler"))]


def made(**options: Any) -> tuple[list[Tensor], ProdigyPlusScheduleFree]:
    params = parameters(shapes=SHAPES)
    optimizer = ProdigyPlusScheduleFree(params, **{"d0": 1e-3, **options})
    train(optimizer, params, range(2))
    give_gradients(params, 2)
    return params, optimizer


@contextmanager
def refused(optimizer: Any, error: type[Exception], match: str) -> Iterator[None]:
    """What is called here raises, and weights, groups and state are bit for bit as they were."""

    def now() -> object:
        of_state = [{name: bits(value) for name, value in state.items()} for state in optimizer.state.values()]
        groups = [{**group, "params": [bits(param) for param in group["params"]]} for group in optimizer.param_groups]
        return str((of_state, groups))

    before = now()
    with pytest.raises(error, match=match):
        yield
    assert now() == before


def shrunk(param: Tensor) -> None:
    param.data = param.data[:1]


def grown(param: Tensor) -> None:
    param.data = torch.zeros(2 * param.shape[0], param.shape[1])


def flattened(param: Tensor) -> None:
    param.data = param.data.flatten()


@pytest.mark.need(28)
@pytest.mark.parametrize("compiles", COMPILES)
@pytest.mark.parametrize("change", [shrunk, grown, flattened])
def test_a_gradient_from_before_its_parameter_was_replaced(change: Callable[[Tensor], None], compiles: bool) -> None:
    _, optimizer = made(compile=compiles)
    late = torch.nn.Parameter(torch.ones(30, 4))
    late.grad = torch.ones(30, 4)
    change(late)
    optimizer.add_param_group({"params": [late]})
    with refused(optimizer, ValueError, r"gradient of parameter 3 has shape \(30, 4\)"):
        optimizer.step()
    late.grad = None
    optimizer.step()


@pytest.mark.need(38)
def test_a_sparse_parameter() -> None:
    _, optimizer = made()
    with refused(optimizer, TypeError, "sparse"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.eye(3).to_sparse())]})


def test_a_frozen_parameter_of_another_dtype() -> None:
    """Quantized weights under adapters, where all parameters of a model are given: to convert them would undo it."""
    _, optimizer = made()
    quantized = torch.nn.Parameter(torch.zeros(3, dtype=torch.uint8), requires_grad=False)
    with refused(optimizer, TypeError, r"parameter 1 of the group is torch\.uint8.*leave out what is frozen"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(3)), quantized]})


@pytest.mark.need(28)
def test_a_parameter_without_memory() -> None:
    """A model is often made so; it may be given to the optimizer then, and no step is possible before it has memory."""
    params, optimizer = made()
    layer = torch.nn.Linear(3, 2, device="meta")
    optimizer.add_param_group({"params": list(layer.parameters())})
    layer.weight.grad = torch.zeros(2, 3, device="meta")
    kept = [bits(param) for param in params]
    with pytest.raises(TypeError, match="on the meta device"):
        optimizer.step()
    assert [bits(param) for param in params] == kept
    assert optimizer.param_groups[0]["k"] == 3


def averaged(optimizer: ProdigyPlusScheduleFree, _: torch.nn.Module) -> None:
    with optimizer.averaged():
        pass


CHANGES: tuple[Callable[[ProdigyPlusScheduleFree, torch.nn.Module], object], ...] = (
    lambda optimizer, model: optimizer.eval(),
    averaged,
    lambda optimizer, model: optimizer.averaged_state_dict(model),
)


@pytest.mark.need(28)
@pytest.mark.parametrize("change", CHANGES, ids=["eval", "averaged", "averaged_state_dict"])
def test_the_average_of_a_parameter_that_was_resized(
    change: Callable[[ProdigyPlusScheduleFree, torch.nn.Module], object],
) -> None:
    """Vocabularies grow so. Weights before it in the list would move, and once more with each further try."""
    params, optimizer = made()
    grown(params[2])
    with refused(optimizer, ValueError, r"parameter 2 has shape \(600, 5\).* 'z'"):
        change(optimizer, torch.nn.ParameterList(params))
    del optimizer.state[params[2]]
    params[2].grad = None
    change(optimizer, torch.nn.ParameterList(params))


WRONG_STATE: dict[str, Any] = {
    "exp_avg_sq_row": torch.ones(12, 1),
    "exp_avg_sq_col": torch.ones(()),
    "z": [1.0],
    "filled": torch.ones(2),
}


@pytest.mark.need(28)
@pytest.mark.parametrize("compiles", COMPILES)
@pytest.mark.parametrize("name", [*WRONG_STATE, "one factor alone"])
def test_state_of_another_parameter(name: str, compiles: bool) -> None:
    params, optimizer = made(compile=compiles)
    saved = copy.deepcopy(optimizer.state_dict())
    here, there = saved["state"][2], optimizer.state[params[2]]
    for state in (here, there):
        if name in WRONG_STATE:
            state[name] = WRONG_STATE[name]
        else:
            del state["exp_avg_sq_col"]
    match = f"parameter 2 has shape.*{name}" if name in WRONG_STATE else "exp_avg_sq_row"
    with refused(optimizer, ValueError, match):
        optimizer.step()
    good, other = made(compile=compiles)
    with refused(other, ValueError, match):
        other.load_state_dict(saved)
    assert snapshot(other, good)
