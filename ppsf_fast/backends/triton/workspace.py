"""What the backend keeps between steps on a device: small tables as they were last sent, and scratch memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ppsf_fast import capture


@dataclass(slots=True)
class Sent:
    """A table on the device, and what it was made from."""

    signature: object
    table: Tensor


@dataclass(slots=True)
class Workspace:
    """Tables and scratch of one device; all of it can be thrown away at any time between steps.

    Attributes:
        spare: by name, memory of the host that a captured step can send a table from: none can be had while a graph is
            captured.
        lent: such memory, where a graph reads it whenever it is replayed.
    """

    device: torch.device
    tables: dict[object, Sent] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)
    spare: dict[object, Tensor] = field(default_factory=dict)
    lent: list[Tensor] = field(default_factory=list)

    def table(
        self, name: object, signature: object, make: Callable[[], Sequence[float]], dtype: torch.dtype = torch.int64
    ) -> Tensor:
        """A table on the device, sent anew only if what it is made from has changed: to the same place if it fits.

        Args:
            name: tells tables apart.
            signature: what it is made from; compared with that of the last time.
            make: its numbers.
        """
        found = self.tables.get(name)
        if found is None or found.signature != signature:
            table = self.sent(make(), dtype, name, None if found is None else found.table)
            found = self.tables[name] = Sent(signature, table)
        return found.table

    def sent(
        self, numbers: Sequence[float], dtype: torch.dtype, name: object = None, into: Tensor | None = None
    ) -> Tensor:
        """Numbers on the device, sent without waiting.

        Args:
            numbers: what is sent; if there are none, there is still an address.
            dtype: of the table.
            name: of a table that a captured step may have to send anew.
            into: where they go if they fit.
        """
        return self.brought(torch.tensor(list(numbers) or [0], dtype=dtype, device="cpu"), name, into)

    def brought(self, host: Tensor, name: object = None, into: Tensor | None = None) -> Tensor:
        """A tensor of the host on the device, sent without waiting; `name` and `into` as :meth:`sent` has them."""
        source = self._source(host, name)
        if into is not None and (into.shape, into.dtype) == (host.shape, host.dtype):
            return into.copy_(source, non_blocking=True)
        return source.to(self.device, non_blocking=True)

    def _source(self, host: Tensor, name: object) -> Tensor:
        """A copy that can be sent without waiting."""
        if capture.capturing(self.device):
            return self._source_of_graph(host, name)
        if name is not None and (name not in self.spare or self.spare[name].shape != host.shape):
            self.spare[name] = self._pinned(host)
        return self._pinned(host).copy_(host)

    def _pinned(self, like: Tensor) -> Tensor:
        return torch.empty_like(like, pin_memory=self.device.type == "cuda")

    def _source_of_graph(self, host: Tensor, name: object) -> Tensor:
        """A graph copies again in every replay: what it copies from must stay, and stay as it is."""
        reserved = self.spare.pop(name, None)
        source = self._pinned(host) if reserved is None or reserved.shape != host.shape else reserved
        self.lent.append(source.copy_(host))
        return source

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
