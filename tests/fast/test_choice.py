"""Which backend takes a step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree, backends


def plan_on(*devices: str) -> Any:
    """What the choice sees of a plan with parameters on these devices."""
    items = [
        SimpleNamespace(
            param=SimpleNamespace(device=torch.device(device), ndim=1), grad=SimpleNamespace(dtype=torch.float32)
        )
        for device in devices
    ]
    return SimpleNamespace(items=items)


@pytest.fixture(autouse=True)
def _nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(backends.CHOICE, raising=False)
    monkeypatch.setattr(torch.version, "hip", None)


def given(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]) -> None:
    monkeypatch.setattr(backends, "version_of_triton", lambda: version)


@pytest.mark.parametrize(
    ("version", "devices", "chosen"),
    [
        ((3, 6), ("cuda", "cuda"), True),
        ((3, 9), ("cuda",), True),
        ((3, 5), ("cuda",), False),  # on a GPU its kernels have not been judged with that
        ((0,), ("cuda",), False),
        ((3, 6), ("cuda", "cpu"), False),
        ((3, 6), ("cpu",), False),
        ((3, 6), ("mps",), False),
    ],
)
def test_on_cuda_triton_steps_unless_it_is_old(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], devices: tuple[str, ...], chosen: bool
) -> None:
    given(monkeypatch, version)
    assert backends._is_for_triton(plan_on(*devices)) == chosen


def test_without_a_compiler_triton_has_to_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, (3, 6))
    monkeypatch.setattr(backends, "_has_compiler", lambda: False)
    assert not backends._is_for_triton(plan_on("cuda"))


def test_on_rocm_triton_has_to_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, (3, 6))
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert not backends._is_for_triton(plan_on("cuda"))


def test_torch_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, (3, 6))
    monkeypatch.setenv(backends.CHOICE, "torch")
    assert isinstance(backends.choose(plan_on("cuda")), backends.Torch)


def test_another_name_is_refused_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backends.CHOICE, "tritan")
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    with pytest.raises(ValueError, match="PPSF_BACKEND='tritan': allowed are 'torch' and 'triton'"):
        ProdigyPlusScheduleFree([weight]).step()
    assert torch.equal(weight.detach(), torch.ones(3))
