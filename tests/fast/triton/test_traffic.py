"""What compiled kernels ask of memory is what the tables predict, and what comes with it is little.

Only what is compiled has vectors, and threads that ask together. So these tests are for the emulator, in a process of
its own: see `test_emulated`.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import give_gradients, parameters, train
from tests.fast.triton import chosen
from tests.fast.triton.test_launches import predicted

pytestmark = pytest.mark.skipif(not chosen.ARCHITECTURE, reason="the interpreter has no threads")
#: What memory moves at once, in bytes.
SECTOR = 32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_ask_for_what_is_predicted_and_waste_little(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """Of a matrix. What they ask for beyond it, numbers of the group and factors in every block, is in a cache."""
    from tests.fast.triton.ptx import driver, memory

    shape = (128, 1024)
    params = parameters(dtype, [shape])
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(1))
    give_gradients(params, 1)
    asked: Counter[str] = Counter()
    moved: Counter[str] = Counter()

    def note(name: str, at: Any, size: int) -> None:
        asked[name] += len(set(at)) * size
        moved[name] += SECTOR * len({byte // SECTOR for first in at for byte in (first, first + size - 1)})

    monkeypatch.setattr(driver, "by_warps", True)  # what a warp asks for together
    monkeypatch.setattr(memory, "observers", [note])
    optimizer.step()
    found = predicted(dtype, shape)
    # A row has one number in `reduce` and `apply`, which takes a sector.
    for name, kind, most in (("look", "look", 1.06), ("reduce", "reduce (norm)", 1.25), ("apply", "apply", 1.12)):
        assert 1 <= asked[name] / math.prod(shape) / found[kind] < 1.05
        assert 1 <= moved[name] / asked[name] < most


def test_what_fails_in_a_launch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fast.triton.ptx import memory

    class Mishap(Exception):
        pass

    def fail(*_: object) -> None:
        raise Mishap

    params = parameters(torch.float32, [(33, 8)])
    optimizer = ProdigyPlusScheduleFree(params)
    give_gradients(params, 0)
    monkeypatch.setattr(memory, "observers", [fail])
    with pytest.raises(Mishap):
        optimizer.step()
    monkeypatch.setattr(memory, "observers", [])
    train(optimizer, params, range(1))
