"""A small transformer that learns to write Python, character by character, from the standard library's own sources."""

from __future__ import annotations

import functools
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

#: Characters: ASCII; anything else counts as the first of them.
ALPHABET = 128
#: One file in this many is held out.
HELD_OUT = 10


@functools.cache
def text() -> tuple[Tensor, Tensor]:
    """The characters to learn from, and those held out: the modules in the folder of the standard library."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    parts = [path.read_bytes() for path in files]
    return tuple(_characters(parts, held) for held in (False, True))  # type: ignore[return-value]


def _characters(parts: list[bytes], held: bool) -> Tensor:
    chosen = b"".join(part for i, part in enumerate(parts) if (i % HELD_OUT == 0) == held)
    values = torch.frombuffer(bytearray(chosen), dtype=torch.uint8).long()
    return torch.where(values < ALPHABET, values, 0)


@dataclass(frozen=True)
class Setting:
    """How large, how long, and with which options of the optimizer."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    context: int = 64
    batch: int = 24
    steps: int = 400
    every: int = 40
    options: tuple[tuple[str, Any], ...] = ()


class Block(nn.Module):
    """Attention and a layer of neurons."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        width = setting.width
        self.heads = setting.heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, context, width) in and out."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.queries(self.before(x)).chunk(3, -1)
        )
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.out(seen)
        return x + self.narrow(F.gelu(self.widen(self.between(x))))  # type: ignore[no-any-return]


class Writer(nn.Module):
    """Predicts the next character."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.letters = nn.Embedding(ALPHABET, setting.width)
        self.places = nn.Parameter(0.02 * torch.randn(setting.context, setting.width))
        self.blocks = nn.ModuleList(Block(setting) for _ in range(setting.layers))
        self.last, self.head = nn.LayerNorm(setting.width), nn.Linear(setting.width, ALPHABET)

    def forward(self, characters: Tensor) -> Tensor:
        """The loss of a batch of shape (batch, context + 1)."""
        x = self.letters(characters[:, :-1]) + self.places
        for block in self.blocks:
            x = block(x)
        scores = self.head(self.last(x))
        return F.cross_entropy(scores.flatten(0, 1), characters[:, 1:].flatten())


def writer(setting: Setting, seed: int) -> Writer:
    """A model; sharded over the processes if there are several."""
    torch.manual_seed(seed)
    model = Writer(setting)
    if connected():
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model


def connected() -> bool:
    """Whether several processes train together."""
    return dist.is_initialized() and dist.get_world_size() > 1


def windows(setting: Setting, seed: int, step: int) -> Tensor:
    """What this process sees of the batch of a step, shape (its share of the batch, context + 1)."""
    learned, _ = text()
    draw = torch.Generator().manual_seed(1_000_003 * seed + step)
    starts = torch.randint(len(learned) - setting.context - 1, (setting.batch,), generator=draw)
    if connected():
        starts = starts[dist.get_rank() :: dist.get_world_size()]
    return learned[starts[:, None] + torch.arange(setting.context + 1)]


def held_out(setting: Setting, count: int = 48) -> Tensor:
    """Windows of the files that nobody learns from, spread over them."""
    _, held = text()
    starts = torch.linspace(0, len(held) - setting.context - 2, count).long()
    return held[starts[:, None] + torch.arange(setting.context + 1)]


def trained(setting: Setting, model: nn.Module, optimizer: Any, seed: int, steps: range) -> Iterator[tuple[int, float]]:
    """Train, and look every now and then: steps so far, and the loss of the averaged weights on what is held out."""
    for step in steps:
        model(windows(setting, seed, step)).backward()
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % setting.every == 0:
            optimizer.eval()
            with torch.no_grad():
                loss = float(model(held_out(setting)))
            if isinstance(model, FSDPModule):
                model.reshard()  # otherwise the next forward finds the averages that this one has gathered
            optimizer.train()
            yield step + 1, loss
