"""Memory that is used again: one block for each name and device, which grows and is never kept twice."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch

from ppsf_fast.backends.room import Room


def test_a_name_has_one_place_whatever_is_taken_there() -> None:
    room, here = Room(), torch.device("cpu")
    first = room.take("a", (4, 6), torch.float64, here)
    again = room.take("a", (7,), torch.bfloat16, here)
    other = room.take("b", (7,), torch.bfloat16, here)
    assert (first.shape, again.shape, again.dtype) == ((4, 6), (7,), torch.bfloat16)
    assert again.data_ptr() == first.data_ptr() != other.data_ptr()


def test_a_place_grows_and_lets_go_of_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it takes more, or there would be both for a while."""
    room, here = Room(), torch.device("cpu")
    room.take("a", (8,), torch.float32, here)
    held = [weakref.ref(block) for block in room._held.values()]
    empty = torch.empty

    def taken(*size: int, **how: Any) -> torch.Tensor:
        assert [block() for block in held] == [None]
        return empty(*size, **how)

    monkeypatch.setattr(torch, "empty", taken)
    larger = room.take("a", (5, 5), torch.int64, here)
    assert larger.untyped_storage().nbytes() == 200
    assert room.take("a", (), torch.float32, here).data_ptr() == larger.data_ptr()
    assert room.take("a", (0, 3), torch.float32, here).numel() == 0


def test_what_a_place_was_divided_into_is_kept_until_it_grows() -> None:
    room, here = Room(), torch.device("cpu")

    def divided(numel: int) -> torch.Tensor:
        return room.divided(numel, lambda: room.take("a", (numel,), torch.float32, here))

    first, smaller = divided(8), divided(6)
    assert divided(8) is first
    assert divided(6) is smaller
    larger = divided(9)
    assert divided(9) is larger
    assert divided(8) is not first
    assert divided(8).data_ptr() == larger.data_ptr()
