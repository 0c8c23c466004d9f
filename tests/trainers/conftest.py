"""Networks to train, and what constructors take."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

import pytest
import torch

# The tables of the guide, as they are when the documentation is built.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))


def options_of(path: str) -> set[str]:
    """What the constructor of a class takes."""
    module, _, name = path.rpartition(".")
    return set(inspect.signature(getattr(importlib.import_module(module), name)).parameters)


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
