"""Networks to train, and stand-ins for the packages that are too heavy to be installed for the tests."""

from __future__ import annotations

import inspect
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

# The tables of the guide, as they are when the documentation is built.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))

_BNB = "weight_decay min_8bit_size"
#: Constructors, as bitsandbytes 0.50.2 and transformers 5.24.0 declare them, without `params` and `lr`.
SIGNATURES = {
    "bitsandbytes.optim.Adagrad8bit": f"{_BNB} lr_decay initial_accumulator_value eps optim_bits args",
    "bitsandbytes.optim.Adam8bit": f"{_BNB} betas eps amsgrad optim_bits args is_paged",
    "bitsandbytes.optim.AdamW8bit": f"{_BNB} betas eps amsgrad optim_bits args is_paged",
    "bitsandbytes.optim.LAMB": f"{_BNB} bias_correction betas eps amsgrad adam_w_mode optim_bits args max_unorm",
    "bitsandbytes.optim.LAMB8bit": f"{_BNB} bias_correction betas eps amsgrad adam_w_mode args max_unorm",
    "bitsandbytes.optim.LARS": f"{_BNB} momentum dampening nesterov optim_bits args max_unorm",
    "bitsandbytes.optim.LARS8bit": f"{_BNB} momentum dampening nesterov args max_unorm",
    "bitsandbytes.optim.Lion8bit": f"{_BNB} betas args is_paged",
    "bitsandbytes.optim.RMSprop8bit": f"{_BNB} alpha eps momentum centered args",
    "bitsandbytes.optim.SGD8bit": f"{_BNB} momentum dampening nesterov args",
    "transformers.optimization.Adafactor": "eps clip_threshold decay_rate beta1 weight_decay scale_parameter "
    "relative_step warmup_init",
}


def stand_in(name: str, options: tuple[str, ...]) -> type:
    """An optimizer with such a constructor, which keeps what it is given and steps as SGD does."""

    def init(self: Any, params: Any, **given: Any) -> None:
        foreign = given.keys() - {"lr", *options}
        if foreign:
            raise TypeError(f"unexpected {sorted(foreign)}")
        if "momentum" in options and name != "RMSprop8bit" and not given.get("momentum"):
            raise NotImplementedError(f"{name} without momentum")  # so bitsandbytes has it
        torch.optim.SGD.__init__(self, params, lr=given.get("lr") or 1e-3)
        for group in self.param_groups:
            group.update(given)

    return type(name, (torch.optim.SGD,), {"__init__": init})


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, types.ModuleType] = {}
    for path, options in SIGNATURES.items():
        module, _, name = path.rpartition(".")
        held = modules.setdefault(module, types.ModuleType(module))
        setattr(held, name, stand_in(name, tuple(options.split())))
        modules.setdefault(module.partition(".")[0], types.ModuleType(module.partition(".")[0]))
    for name, module_ in modules.items():
        monkeypatch.setitem(sys.modules, name, module_)


def options_of(path: str) -> set[str]:
    """What the constructor of an installed or a recorded class takes."""
    if path in SIGNATURES:
        return set(SIGNATURES[path].split())
    module, _, name = path.rpartition(".")
    return set(inspect.signature(getattr(__import__(module, fromlist=[name]), name)).parameters)


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)


class TextModel(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = torch.nn.Embedding(8, 4)
        self.encoder = torch.nn.Module()
        self.encoder.layers = torch.nn.ModuleList(Layer() for _ in range(3))
        self.final_layer_norm = torch.nn.LayerNorm(4)


class Encoder(torch.nn.Module):
    """Laid out as CLIPTextModel."""

    def __init__(self) -> None:
        super().__init__()
        self.text_model = TextModel()


@pytest.fixture
def unet() -> torch.nn.Module:
    return torch.nn.Linear(4, 4)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()
