"""What the backend keeps between steps on a device: small tables as they were last sent, and scratch memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class Sent:
    """A table on the device, and what it was made from."""

    signature: object
    table: Tensor


@dataclass(slots=True)
class Workspace:
    """Tables and scratch of one device; all of it can be thrown away at any time between steps."""

    device: torch.device
    tables: dict[object, Sent] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)

    def table(
        self, name: object, signature: object, make: Callable[[], Sequence[float]], dtype: torch.dtype = torch.int64
    ) -> Tensor:
        """A table on the device, sent anew only if what it is made from has changed.

        Args:
            name: tells tables apart.
            signature: what it is made from; compared with that of the last time.
            make: its numbers.
        """
        found = self.tables.get(name)
        if found is None or found.signature != signature:
            found = Sent(signature, self.sent(make(), dtype))
            self.tables[name] = found
        return found.table

    def sent(self, numbers: Sequence[float], dtype: torch.dtype) -> Tensor:
        """Numbers on the device, sent without waiting."""
        pinned = self.device.type == "cuda"
        # At least one element, so that there is an address.
        table = torch.tensor(list(numbers) or [0], dtype=dtype, pin_memory=pinned)
        return table.to(self.device, non_blocking=True)

    def scratch(self, name: str, size: int, dtype: torch.dtype) -> Tensor:
        """Memory of at least `size` elements, with any content."""
        found = self.buffers.get(name)
        if found is None or found.numel() < size:
            found = torch.empty(max(size, 1), dtype=dtype, device=self.device)
            self.buffers[name] = found
        return found

    def kept(self, name: str, size: int, dtype: torch.dtype) -> Tensor:
        """Memory of `size` elements that starts with zeros and keeps what is written."""
        found = self.buffers.get(name)
        if found is None or found.numel() != size:
            found = torch.zeros(size, dtype=dtype, device=self.device)
            self.buffers[name] = found
        return found
