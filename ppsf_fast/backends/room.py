"""Memory that a step uses again and again: of fresh memory the first touch costs more than the arithmetic in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor

Part = TypeVar("Part")
#: Where samples are taken and panels are moved, in turn: one place for both.
PANEL = "panel"


class Room:
    """What the operations of one step make on the way, by name; it goes with the step."""

    def __init__(self) -> None:
        self._held: dict[Hashable, Tensor] = {}
        self._divided: dict[Hashable, object] = {}

    def take(self, name: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """An array of any content; it is the caller's until somebody takes the same name."""
        size, key = math.prod(shape) * dtype.itemsize, (name, device)
        held = self._held.pop(key, None)
        if held is None or held.numel() < size:
            held = None  # what is too small goes before there is more
            self._divided.clear()
            held = torch.empty(size, dtype=torch.uint8, device=device)
        self._held[key] = held
        return held.narrow(0, 0, size).view(dtype).view(torch.Size(shape))

    def divided(self, key: Hashable, divide: Callable[[], Part]) -> Part:
        """What `divide` makes of places in this room; the same as the last time under this key, if they still are where
        they were."""
        if key not in self._divided:
            self._divided[key] = divide()  # which may clear the others
        return cast(Part, self._divided[key])
