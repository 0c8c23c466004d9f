"""Fixtures of the product's tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ppsf_fast import plan, scalars


@dataclass
class Line:
    """The way from an accelerator to the host: what is sent arrives when `open` is set, or when awaited."""

    open: bool = False
    awaited: int = 0

    def send(self, values: Tensor) -> tuple[Tensor, Event]:
        return values.clone(), Event(self)


@dataclass
class Event:
    line: Line
    done: bool = False

    def query(self) -> bool:
        return self.done or self.line.open

    def synchronize(self) -> None:
        self.done = True
        self.line.awaited += 1


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Line:
    """Makes the CPU behave like an accelerator: the host decides nothing, and values come back late."""
    line = Line()
    monkeypatch.setattr(plan, "readable", lambda device: False)
    monkeypatch.setattr(scalars, "_start_copy", line.send)
    return line


@pytest.fixture
def generator_untouched() -> Iterator[None]:
    """Fails the test if it moved torch's global generator."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())
