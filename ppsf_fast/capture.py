"""Steps that a CUDA graph captures: the host runs once, the device again and again."""

from __future__ import annotations

import torch


def capturing(device: torch.device) -> bool:
    """Whether what a device is told is written into a graph, and not executed."""
    started: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return device.type == "cuda" and started and torch.cuda.is_current_stream_capturing()
