"""What the tests of the product share: parameters, gradients that depend on the step, bitwise views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree

SHAPES = ((40, 12), (7,), (), (3, 2, 33), (0, 4))


def parameters(dtype: torch.dtype = torch.float32, shapes: Iterable[Sequence[int]] = SHAPES) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(tuple(shape), generator=generator).to(dtype)) for shape in shapes]


def give_gradients(params: Sequence[Tensor], step: int) -> None:
    """Gradients of a noisy quadratic, a function of the weights and the step only."""
    generator = torch.Generator().manual_seed(step)
    for param in params:
        noise = torch.randn(param.shape, generator=generator)
        param.grad = (param.detach().float() - 3 + 0.3 * noise).to(param.dtype)


def train(optimizer: ProdigyPlusScheduleFree, params: Sequence[Tensor], steps: Iterable[int]) -> None:
    for step in steps:
        give_gradients(params, step)
        optimizer.step()


def bits(value: Any) -> Any:
    """A value that is equal exactly if all bits, the dtype and the shape are."""
    if not isinstance(value, Tensor):
        return value
    data = value.detach().cpu().contiguous().resolve_neg()
    kind = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[data.element_size()]
    return str(value.dtype), tuple(value.shape), data.view(kind).flatten().tolist()


def exact(saved: dict[str, Any], weights: Iterable[Tensor]) -> dict[str, Any]:
    """A state dict and weights as values that compare bit for bit."""
    state = {key: {name: bits(value) for name, value in of.items()} for key, of in saved["state"].items()}
    return {"weights": [bits(values) for values in weights], "state": state, "groups": saved["param_groups"]}


def snapshot(optimizer: ProdigyPlusScheduleFree, params: Sequence[Tensor]) -> dict[str, Any]:
    """Everything a step may change, as values that compare bit for bit."""
    return exact(optimizer.state_dict(), params)


def seen(optimizer: Any, params: Sequence[Tensor]) -> dict[str, Any]:
    """Everything, bit for bit, but the option `fused_back_pass` itself."""
    found = snapshot(optimizer, params)
    return found | {"groups": [{**group, "fused_back_pass": None} for group in found["groups"]]}
