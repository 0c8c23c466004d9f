"""What a step keeps besides tables: its launches, where the scalars are, and when their values are read."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree, backends
from ppsf_fast.backends.triton import launch
from ppsf_fast.scalars import Ledger, Scalars
from ppsf_fast.scaling import Scaling
from tests.fast.conftest import Line
from tests.fast.helpers import give_gradients, parameters, snapshot

SHAPES = ((33, 8), (7,))


def made(**options: Any) -> tuple[Any, list[Tensor]]:
    params = parameters(shapes=SHAPES)
    return ProdigyPlusScheduleFree([{"params": [param]} for param in params], d0=1e-3, **options), params


def elsewhere(ledger: Ledger) -> list[Tensor]:
    """All scalars in other memory, as where a device comes or goes; returns what is where they were."""
    before = []
    for scalars in (*ledger._pools.values(), *ledger._groups.values()):
        old = scalars.tensors
        scalars.tensors = {name: tensor.clone() for name, tensor in old.items()}
        before += [tensor.fill_(7) for tensor in old.values()]
    return before


def test_scalars_may_lie_elsewhere_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome(moving: bool) -> object:
        optimizer, params = made()
        held = []
        for number in range(4):
            give_gradients(params, number)
            held += [param.grad for param in params]
            optimizer.step()
            if moving:
                held += elsewhere(optimizer._ledger)
        return snapshot(optimizer, params)

    found = outcome(moving=True)
    monkeypatch.setattr(backends, "again", lambda *_: False)
    assert found == outcome(moving=False)


def test_the_device_may_refuse_any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GradScaler says comes and goes."""
    monkeypatch.setattr(Scaling, "skips", False)

    def outcome() -> object:
        optimizer, params = made()
        for number, found in enumerate((None, 0.0, 1.0, None, 1.0, 0.0)):
            give_gradients(params, number)
            optimizer.found_inf = None if found is None else torch.tensor(found)
            optimizer.step()
        assert optimizer.metrics()[0]["skipped_steps"] == 2
        return snapshot(optimizer, params)

    found = outcome()
    monkeypatch.setattr(backends, "again", lambda *_: False)
    assert found == outcome()


def test_an_edit_outlives_what_arrives_after_it(accelerator: Line) -> None:
    """The step before has computed another d, which arrives when the edit is there already."""
    optimizer, params = made()
    for number in range(3):
        give_gradients(params, number)
        optimizer.step()
    pending = optimizer._ledger._pending
    assert len(pending) == 3
    for each in pending:
        each.event.done = True
    optimizer.param_groups[0]["d"] = 0.02
    give_gradients(params, 3)
    optimizer.step()
    assert len(pending) == 1
    assert optimizer.param_groups[0]["d"] == 0.02
    assert optimizer._ledger.pool((0,)).tensors["d"] >= 0.02


def test_values_that_have_arrived_are_shown_after_the_step(accelerator: Line) -> None:
    optimizer, params = made()
    for number in range(2):
        give_gradients(params, number)
        optimizer.step()
    accelerator.open = True
    give_gradients(params, 2)
    optimizer.step()
    shown = [group["k"] for group in optimizer.param_groups]
    assert shown == [row["k"] for row in optimizer.metrics()] == [4, 4]


@pytest.mark.parametrize("change", ["d", "k"])
def test_only_edits_are_brought_to_the_device(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    optimizer, params = made()
    calls: list[str] = []
    original = Scalars.upload

    def upload(scalars: Scalars, *args: Any) -> None:
        calls.append("upload")
        original(scalars, *args)

    for number in range(4):
        give_gradients(params, number)
        if number == 3:
            optimizer.param_groups[0][change] *= 2
        calls.clear()
        monkeypatch.setattr(Scalars, "upload", upload)
        optimizer.step()
        assert bool(calls) == (number in (0, 3))


def test_another_device_is_entered_and_the_present_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert isinstance(launch.context(torch.device("cuda", 1)), nullcontext)
    assert isinstance(launch.context(torch.device("cpu")), nullcontext)
    other = launch.context(torch.device("cuda", 0))
    assert isinstance(other, torch.cuda.device)
    assert other.idx == 0
