"""Sharded state in state dicts, where arrays know which part of the whole they are: what any number of processes has
saved is loaded by any other.

Of the state of a DTensor all arrays are DTensors already, except the samples: a process keeps those of its own
elements, which are not the even shares that a DTensor has. A state dict brings them into shares, and loading brings
them back; both take all processes of the mesh.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.distributed.layout import Layout, Runs
from ppsf_fast.distributed.sharding import is_dtensor
from ppsf_fast.revisions import Revision
from ppsf_fast.state import SAMPLES, State, factored_axes, loaded


def saved(state: Mapping[str, Any], layout: Layout | None, stride: int) -> State:
    """The state of a parameter as a state dict has it; a parameter that is no DTensor keeps its own."""
    shares = getattr(layout, "shares", None)
    if layout is None or shares is None:
        return dict(state)
    count = -(-layout.shape.numel() // stride)
    found = {name: _joined(state[name], layout, stride, count) for name in SAMPLES if name in state}
    return {name: shares(found[name]) if name in found else value for name, value in state.items()}


def _joined(samples: Tensor, layout: Layout, stride: int, count: int) -> Tensor:
    """The samples of the whole parameter. They are summed as integers: so every bit arrives, that of a zero too."""
    values = torch.zeros(count, dtype=torch.int32, device=samples.device)
    values[layout.runs.places(stride).to(samples.device)] = samples.float().view(torch.int32)
    layout.whole(values)
    return values.view(torch.float32).to(samples.dtype)


def restored(
    entries: Mapping[str, Any], param: Tensor, layout: Layout | None, stride: int, revision: Revision
) -> State:
    """The state of a parameter from a state dict, saved by any number of processes.

    Args:
        entries: as :func:`saved` gave them, or of a parameter that was not sharded.
        param: the parameter.
        layout: how it is sharded; None: it is not.
        stride: one element in this many is sampled.
        revision: of the optimizer.
    """
    cut = getattr(layout, "placed", None)
    if layout is None or cut is None:
        return loaded({name: _whole(value) for name, value in entries.items()}, param)
    axes = factored_axes(layout.shape, revision) or (0, 0)
    reduced = dict(zip(("exp_avg_sq_row", "exp_avg_sq_col"), axes, strict=True))

    def placed(name: str, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        value = value.to(param.device)
        if name in SAMPLES:
            return _taken(_whole(value), layout.runs, stride)
        return cut(value, reduced.get(name)) if value.dim() else _whole(value)

    return loaded({name: placed(name, value) for name, value in entries.items()}, param)


def _whole(value: Any) -> Any:
    return value.full_tensor() if is_dtensor(value) else value


def _taken(samples: Tensor, runs: Runs, stride: int) -> Tensor:
    return samples[runs.places(stride).to(samples.device)]
