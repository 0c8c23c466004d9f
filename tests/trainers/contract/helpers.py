"""Classes under the contract, networks, and how training goes on."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ppsf_fast import ProdigyPlusScheduleFree

ROOT = Path(__file__).parents[3]
SHIM = ROOT / "shim"


def shim_modules() -> tuple[Any, Any]:
    """The two modules of the shim; the release of that name is left where it was."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "prodigyplus"}
    sys.path.insert(0, str(SHIM))
    try:
        names = ("prodigyplus.prodigy_plus_schedulefree", "prodigyplus.core_optimiser")
        whole, core = map(importlib.import_module, names)
        return whole, core
    finally:
        sys.path.remove(str(SHIM))
        for name in [name for name in sys.modules if name.partition(".")[0] == "prodigyplus"]:
            del sys.modules[name]
        sys.modules.update(hidden)


SHIMMED, CORE = shim_modules()
PARTS: tuple[str, ...] = CORE.PARTS


def second(params: Any, **options: Any) -> ProdigyPlusScheduleFree:
    """Revision 2.0 of the product, which trainers ship."""
    return ProdigyPlusScheduleFree(params, **options, revision="2.0")


#: What a trainer may find in the place of the class that it was written for.
MAKERS: dict[str, Callable[..., Any]] = {
    "1.9": ProdigyPlusScheduleFree,
    "2.0": second,
    "shim": SHIMMED.ProdigyPlusScheduleFree,
}


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 40), nn.Tanh(), nn.Linear(40, 3))


def backward(net: nn.Module, step: int, scaler: Any = None) -> torch.Tensor:
    """Gradients that depend on the weights and on the step alone; scaled, where there is a scaler."""
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(8, 4, generator=generator)
    loss: torch.Tensor = (net(inputs) - inputs[:, :3]).square().mean()
    (loss if scaler is None else scaler.scale(loss)).backward()
    return loss


def train(net: nn.Module, optimizer: Any, steps: Iterable[int]) -> None:
    for step in steps:
        backward(net, step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def weights(net: nn.Module) -> list[list[float]]:
    """All weights, to be compared exactly: float32 is shown without loss."""
    return [param.detach().flatten().tolist() for param in net.parameters()]


def numbers(optimizer: Any) -> list[dict[str, Any]]:
    """The groups without their parameters, tensors as floats."""
    return [
        {name: value.item() if isinstance(value, torch.Tensor) else value for name, value in group.items()}
        for group in optimizer.state_dict()["param_groups"]
    ]
