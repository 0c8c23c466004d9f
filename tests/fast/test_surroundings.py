"""A step is the same whatever the process is set to around it: autocast, defaults of torch, grad modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import give_gradients, parameters, snapshot


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


AROUND: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16),
    "autocast to bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "device": default_device,
    "dtype": default_dtype,
    "inference": torch.inference_mode,
    "gradients": torch.enable_grad,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "compiled": {"compile": True},
    "matrices": {"use_muon_pp": True, "use_orthograd": True},
    "switches": {"use_cautious": True, "use_adopt": True, "use_speed": True, "revision": "2.0"},
}


def outcome(
    around: Callable[[], AbstractContextManager[Any]], dtype: torch.dtype, fused: bool, **options: Any
) -> object:
    params = parameters(dtype)
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2, fused_back_pass=fused, **options)
    for step in range(3):
        give_gradients(params, step)
        with around():
            for param in params if fused else []:
                optimizer.step_param(param)
            optimizer.step()
            optimizer.eval().train()
    return snapshot(optimizer, params)


@pytest.mark.need(25)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_step_does_not_depend_on_what_surrounds_it(options: str, dtype: torch.dtype, fused: bool) -> None:
    plain = outcome(nullcontext, dtype, fused, **OPTIONS[options])
    others = {name: outcome(around, dtype, fused, **OPTIONS[options]) for name, around in AROUND.items()}
    assert [name for name, other in others.items() if other != plain] == []
