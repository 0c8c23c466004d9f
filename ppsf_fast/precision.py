"""Matrix products in float32, whatever the user lets them be taken in elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

#: Kinds of devices that autocast knows, of those that parameters may be on.
_KINDS = ("cpu", "cuda", "xpu", "mps")


def ordinary() -> ExitStack:
    """A context in which nothing is autocast and no tensor is made for inference alone, whatever holds around it.

    A step inside such a block of a training loop is the step outside of it, and the next one can write its state.
    """
    stack = ExitStack()
    for kind in filter(torch.is_autocast_enabled, _KINDS):
        stack.enter_context(torch.autocast(kind, enabled=False))
    if torch.is_inference_mode_enabled():
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
    return stack


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Inside, float32 products on `device` are neither autocast nor rounded to TF32 or bfloat16 first."""
    # The settings are those of the process: they are put back also if a product fails.
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        for read, write, full in _settings():
            stack.callback(write, read())
            write(full)
        yield


def _settings() -> list[tuple[Callable[[], str], Callable[[str], Any], str]]:
    """How each setting is read and written, and its value for full precision."""
    backends: Any = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):  # torch before 2.9
        return [(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest")]
    # Once someone has used these, reading the older switch raises: so only these are used.
    return [_setting(backends.cuda.matmul), _setting(backends.mkldnn.matmul)]


def _setting(place: Any) -> tuple[Callable[[], str], Callable[[str], Any], str]:
    return lambda: place.fp32_precision, lambda value: setattr(place, "fp32_precision", value), "ieee"
