"""Sharded state in state dicts; all of it takes every process that has a piece.

Of a DTensor all arrays are DTensors, which know their part of the whole: what any number of processes has saved is
loaded by any other. Its samples alone are not the even shares that a DTensor has, since a process keeps those of its
own elements: a state dict brings them into shares, and loading brings them back. Of a flat piece a state dict has what
the process has, and says which piece that is. The state of the whole can be made of either, and be loaded into both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from ppsf_fast.distributed.layout import FlatLayout, Layout, full
from ppsf_fast.revisions import Revision
from ppsf_fast.state import FACTORS, LIKE_PARAM, SAMPLES, State, check_shapes, factored_axes, loaded

if TYPE_CHECKING:
    from ppsf_fast.distributed.mesh import MeshLayout

#: In the state dict of a flat piece: the index of its first element, and that of the first one after it.
PIECE = "piece"


def saved(state: Mapping[str, Any], layout: Layout | None, stride: int) -> State:
    """The state of a parameter as a state dict has it."""
    if layout is None:
        return dict(state)
    if isinstance(layout, FlatLayout):
        return {**state, PIECE: layout.ends}
    shares = cast("MeshLayout", layout).shares
    return {
        name: shares(_joined(name, value, layout, stride)) if name in SAMPLES else value
        for name, value in state.items()
    }


def whole(entries: Mapping[str, Any], layout: Layout | None, stride: int, keeps: bool) -> State:
    """The same of the whole parameter, as copies on the host, from what :func:`saved` gave.

    Args:
        entries: of this process.
        layout: how the parameter is sharded.
        stride: one element in this many is sampled.
        keeps: whether it is wanted here; else nothing is returned.
    """
    found = {}
    for name, value in entries.items():
        flat = isinstance(layout, FlatLayout) and name in (*LIKE_PARAM, *SAMPLES)
        value = _joined(name, value, cast(FlatLayout, layout), stride) if flat else full(value)
        if keeps and name != PIECE:
            found[name] = value.to("cpu", copy=True) if isinstance(value, Tensor) else value
    return found


def _joined(name: str, values: Tensor, layout: Layout, stride: int) -> Tensor:
    """All samples, or the elements of all pieces, summed as integers: every bit arrives, that of a zero too."""
    samples, numel = name in SAMPLES, layout.shape.numel()
    at = layout.runs.places(stride) if samples else layout.runs.indices()
    bits = torch.zeros(-(-numel // stride) if samples else numel, dtype=torch.int32, device=values.device)
    bits[at.to(values.device)] = values.float().view(torch.int32)
    layout.whole(bits)
    joined = bits.view(torch.float32).to(values.dtype)
    return joined if samples else joined.view(layout.shape)


def check(
    entries: Mapping[str, Any], param: Tensor, layout: Layout | None, stride: int, where: str, revision: Revision
) -> None:
    """Raise ValueError unless the state in a state dict can be loaded into a parameter; `where` names it."""
    here = layout.ends if isinstance(layout, FlatLayout) else None
    if PIECE not in entries:  # of the whole
        whole = param.shape if layout is None else layout.shape
        check_shapes(entries, whole, stride, where, revision=revision)
        return
    there = tuple(entries[PIECE])
    if there != here:
        now = "the whole of it" if here is None else f"elements {here[0]} to {here[1]}"
        raise ValueError(
            f"the state dict has elements {there[0]} to {there[1]} of {where}, and this process holds {now}: the state "
            "dict of a process goes back to the same pieces only. Save whole_state_dict(), which any number of "
            "processes can load."
        )
    check_shapes(entries, param.shape, stride, where, layout.runs.sample(param, stride).numel() if layout else None)


def restored(
    entries: Mapping[str, Any], param: Tensor, layout: Layout | None, stride: int, revision: Revision
) -> State:
    """The state of a parameter from a state dict, its own or that of the whole.

    Args:
        entries: as :func:`saved` or :func:`whole` gave them.
        param: the parameter.
        layout: how it is sharded; None: it is not.
        stride: one element in this many is sampled.
        revision: of the optimizer.
    """
    if layout is None or PIECE in entries:
        return loaded({name: full(value) for name, value in entries.items() if name != PIECE}, param)
    axes = factored_axes(layout.shape, revision) or (0, 0)
    reduced = dict(zip(FACTORS, axes, strict=True)) | dict.fromkeys(LIKE_PARAM)

    def placed(name: str, value: Any) -> Any:
        if name in SAMPLES:
            value = full(value)
            return value[layout.runs.places(stride).to(value.device)]
        return layout.placed(value.to(param.device), reduced[name]) if name in reduced else full(value)

    return loaded({name: placed(name, value) for name, value in entries.items()}, param)
