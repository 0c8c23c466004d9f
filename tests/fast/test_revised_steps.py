"""What holds of a step in every revision: no reads of the device, bad steps, resuming; and the built-in decay."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree
from tests.fast.helpers import give_gradients, parameters, snapshot, train
from tests.fast.revised import CASES, build
from tests.fast.test_device import fake_parameters, imagined_gpu

DTYPES = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_a_step_never_reads_the_device(monkeypatch: pytest.MonkeyPatch, case: str, dtype: torch.dtype) -> None:
    with imagined_gpu(monkeypatch) as sent:
        params = fake_parameters(dtype)
        optimizer = build(case, params)
        for _ in range(3):
            for param in params:
                param.grad = torch.empty_like(param)
            optimizer.step()
        assert len(sent) == 3


@pytest.mark.clause("PPSF-L-004")
@pytest.mark.parametrize("decided", ["on the host", "on the device"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_a_bad_step_changes_no_bit(request: pytest.FixtureRequest, case: str, dtype: torch.dtype, decided: str) -> None:
    if decided == "on the device":
        request.getfixturevalue("accelerator")
    params = parameters(dtype)
    params[0].data[0] = -0.0
    optimizer = build(case, params)
    train(optimizer, params, range(3))
    before = snapshot(optimizer, params)
    give_gradients(params, 3)
    params[3].grad.view(-1)[7] = math.nan
    optimizer.step()
    assert snapshot(optimizer, params) == before
    assert optimizer.metrics()[0]["skipped_steps"] == 1


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("case", CASES)
def test_a_bad_first_step_leaves_no_trace_in_what_follows(case: str) -> None:
    params, others = parameters(), parameters()
    spoiled, calm = build(case, params), build(case, others)
    give_gradients(params, 9)
    params[0].grad.view(-1)[0] = math.inf
    spoiled.step()
    train(spoiled, params, range(5))
    train(calm, others, range(5))
    assert snapshot(spoiled, params) == snapshot(calm, others)


@pytest.mark.clause("PPSF-L-005")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_goes_on_bit_for_bit(case: str, dtype: torch.dtype) -> None:
    params, others = parameters(dtype), parameters(dtype)
    optimizer, resumed = build(case, params), build(case, others)
    train(optimizer, params, range(9))
    for ours, theirs in zip(others, params, strict=True):
        ours.data.copy_(theirs.data)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, among in ((optimizer, params), (resumed, others)):
        train(one, among, range(9, 18))
    assert snapshot(optimizer, params) == snapshot(resumed, others)


@pytest.mark.parametrize("case", CASES)
def test_late_values_do_not_change_the_run(request: pytest.FixtureRequest, case: str) -> None:
    def run() -> object:
        params = parameters()
        optimizer = build(case, params)
        train(optimizer, params, range(7))
        return snapshot(optimizer, params)

    at_once = run()
    request.getfixturevalue("accelerator")
    assert run() == at_once


# ---------------------------------------------------------------------------------------------------- built-in decay


def still(optimizer: Any, param: torch.Tensor, steps: int) -> None:
    """Gradients that pull back to the start, 1/2: d does not grow."""
    for _ in range(steps):
        param.grad = torch.where(param.detach() > 0.5, 1.0, -1.0)
        optimizer.step()


def run_in_decay(**options: Any) -> tuple[Any, torch.Tensor]:
    param = torch.nn.Parameter(torch.full((3,), 0.5))
    return Prodigy([param], beta3=0.0, cosine_decay=True, peak_patience=2, **options), param


@pytest.mark.clause("PPSF-M-022", "PPSF-M-023")
def test_the_step_size_decays_from_the_peak_to_the_end_of_training() -> None:
    optimizer, param = run_in_decay(total_training_steps=6)
    group = optimizer.param_groups[0]
    assert (group["stalled"], group["peak"]) == (0, None)
    shown, used = [], []
    for _ in range(8):
        shown.append(group["effective_lr"])
        grad = torch.ones(3)
        param.grad = -grad if len(shown) == 1 else grad
        d = group["d"]
        optimizer.step()
        ratio = d / group["d0"]
        used.append(float(optimizer.state[param]["s"].abs()[0]) / ratio / d)
    peak = group["peak"]
    assert peak == 2
    expected = [1.0, 1.0, *(0.5 * (1 + math.cos(math.pi * done / (6 - peak))) for done in range(4)), 0.0, 0.0]
    assert shown == pytest.approx(expected, abs=1e-15)
    assert used == pytest.approx(expected, rel=1e-6)


@pytest.mark.clause("PPSF-M-022")
def test_without_patience_the_decay_begins_at_once() -> None:
    param = torch.nn.Parameter(torch.full((3,), 0.5))
    optimizer = Prodigy([param], cosine_decay=True, peak_patience=0, total_training_steps=2)
    assert optimizer.param_groups[0]["peak"] == 0
    still(optimizer, param, 1)
    assert optimizer.param_groups[0]["effective_lr"] == pytest.approx(0.5)


def test_a_run_resumed_in_the_middle_of_the_decay_shows_where_it_stands() -> None:
    optimizer, param = run_in_decay(total_training_steps=20)
    still(optimizer, param, 7)
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["peak"] == 2
    other, twin = run_in_decay(total_training_steps=20)
    twin.data.copy_(param.data)
    other.load_state_dict(saved)
    assert other.param_groups[0]["effective_lr"] == optimizer.param_groups[0]["effective_lr"] < 1
    still(optimizer, param, 7)
    still(other, twin, 7)
    assert snapshot(optimizer, [param]) == snapshot(other, [twin])


# ---------------------------------------------------------------------------------------------------------- the rest


@pytest.mark.clause("PPSF-D-030")
@pytest.mark.parametrize("decided", ["on the host", "on the device"])
def test_without_evidence_prodigy_rests(request: pytest.FixtureRequest, decided: str) -> None:
    if decided == "on the device":
        request.getfixturevalue("accelerator")
    params = parameters()
    optimizer = Prodigy(params, weight_decay=0.1)
    before = [param.detach().clone() for param in params]
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizer.step()
    assert all(torch.equal(param, was) for param, was in zip(params, before, strict=True))
    assert optimizer.state_dict()["param_groups"][0]["k"] == 1
    train(optimizer, params, [0])
    assert optimizer.state_dict()["param_groups"][0]["k"] == 2


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (AdamWScheduleFree, {"warmup_steps": 5}),
        (AdamWScheduleFree, {"use_bias_correction": True, "betas": (0.9, 0.9)}),
        (ProdigyPlusScheduleFree, {"revision": "update3", "use_bias_correction": True, "betas": (0.5, 0.9)}),
    ],
)
def test_what_the_groups_show_is_what_the_step_uses(cls: Any, options: dict[str, Any]) -> None:
    params = parameters(shapes=[(4,)])
    optimizer = cls(params, **options)
    group = optimizer.param_groups[0]
    largest = 0.0
    for step in range(8):
        largest = max(largest, group.get("d", 1.0) * group["effective_lr"])
        train(optimizer, params, [step])
        assert group["lr_max"] == pytest.approx(largest, rel=1e-12)
