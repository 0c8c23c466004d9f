"""A step can be captured and replayed without the host: as a CUDA graph does it, shown on a CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree, capture, numerics, philox
from tests.fast.helpers import give_gradients, parameters, snapshot, train
from tests.fast.revised import CASES, build
from tests.safety.tape import Tape

pytestmark = [pytest.mark.need(24), pytest.mark.usefixtures("on_a_device")]

WARM, REPLAYS = 3, 4
SWITCHES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "window": {"prodigy_steps": 5, "split_groups": False},
    "adopt": {"use_adopt": True, "eps": None},
    "muon": {"use_muon_pp": True},
    "orthograd": {"use_orthograd": True, "use_cautious": True},
    "speed": {"use_speed": True, "use_bias_correction": True},
}


@pytest.fixture
def on_a_device(monkeypatch: pytest.MonkeyPatch, accelerator: Any) -> None:
    """The host reads nothing at all."""
    for module in (numerics, philox):
        monkeypatch.setattr(module, "readable", lambda device: False)


def replaced(params: list[Tensor], step: int) -> None:
    """New gradients, where the old ones were."""
    places = [param.grad for param in params]
    give_gradients(params, step)
    for param, place in zip(params, places, strict=True):
        assert param.grad is not None
        assert place is not None
        param.grad = place.copy_(param.grad)


def compared(optimizer: Any, params: list[Tensor]) -> dict[str, Any]:
    """Everything but the memory of the estimate, which a graph may write to for ever."""
    found = snapshot(optimizer, params)
    kept = {key: {n: v for n, v in of.items() if n not in ("p0", "s")} for key, of in found["state"].items()}
    return found | {"state": kept}


def recorded_is_ordinary(params: list[Tensor], optimizer: Any, others: list[Tensor], other: Any) -> None:
    train(optimizer, params, range(WARM))
    replaced(params, WARM)
    with pytest.MonkeyPatch.context() as patch, Tape() as tape:
        patch.setattr(capture, "capturing", lambda device: True)
        optimizer.step()
    for step in range(WARM + 1, WARM + 1 + REPLAYS):
        replaced(params, step)
        if step == WARM + 3:
            params[0].grad.view(-1)[3] = torch.nan  # type: ignore[union-attr]
        tape.replay()
    train(other, others, range(WARM + 1))
    for step in range(WARM + 1, WARM + 1 + REPLAYS):
        if step != WARM + 3:
            train(other, others, [step])
    assert compared(optimizer, params) == compared(other, others)
    assert optimizer.metrics()[0]["skipped_steps"] == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", SWITCHES)
def test_a_replayed_step_is_the_ordinary_one(options: str, dtype: torch.dtype) -> None:
    made = []
    for _ in range(2):
        params = parameters(dtype)
        groups = [{"params": params[:2]}, {"params": params[2:]}]
        made += [params, ProdigyPlusScheduleFree(groups, d0=1e-3, **SWITCHES[options])]
    recorded_is_ordinary(*made)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("1.9")])
def test_so_it_is_in_every_revision(case: str) -> None:
    params, others = parameters(), parameters()
    recorded_is_ordinary(params, build(case, params), others, build(case, others))


def test_where_numbers_are_kept_they_stay() -> None:
    """Also after an edit: a graph that was recorded before goes on with it."""
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(2))
    kept = {name: value.data_ptr() for name, value in optimizer._ledger.pool((0,)).tensors.items()}
    optimizer.metrics()
    optimizer.param_groups[0]["d"] = 0.25
    train(optimizer, params, [2])
    assert {name: value.data_ptr() for name, value in optimizer._ledger.pool((0,)).tensors.items()} == kept
    assert optimizer.metrics()[0]["d_prev"] == 0.25


def test_a_recording_that_would_repeat_a_number_of_the_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    monkeypatch.setattr(capture, "capturing", lambda device: True)
    give_gradients(params, 0)
    with pytest.raises(RuntimeError, match="ordinary steps first"):
        optimizer.step()
    monkeypatch.undo()
    train(optimizer, params, [1])
    optimizer.metrics()
    optimizer.param_groups[0]["d"] = 0.5
    monkeypatch.setattr(capture, "capturing", lambda device: True)
    with pytest.raises(RuntimeError, match="edit no group"):
        optimizer.step()
