"""The state of one parameter: which arrays it has, when they appear and go, how they are loaded."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.muon import moves
from ppsf_fast.numerics import SAMPLE_STRIDE, sample
from ppsf_fast.options import Rule

State = dict[str, Any]

_FACTORED_FROM = 32
_OF_ESTIMATE = ("p0", "s")
#: Under ADOPT: whether the second moment has been made, a 0-d bool. The host cannot tell: a first step that the device
#: finds to be bad leaves the state behind and makes nothing.
FILLED = "filled"


def factored_axes(shape: Sequence[int]) -> tuple[int, int] | None:
    """The two axes over which the second moment of a parameter is factored.

    Returns:
        (dr, dc), the largest axis and the second largest - of equal ones the later is the larger - or None if
        an array of this shape is not factored.
    """
    # clause: PPSF-V-002 0aa50330
    if len(shape) < 2 or 0 in shape or max(shape) < _FACTORED_FROM:
        return None
    *_, column, row = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))
    return row, column


def _start_of_moment(param: Tensor, rule: Rule) -> State:
    if moves(param.shape, rule.muon):
        return {"rms_sq": torch.zeros((), dtype=torch.float32, device=param.device)}
    if rule.focus:
        return {"exp_avg_sq": param.detach().to(torch.float32, copy=True)}
    axes = factored_axes(param.shape) if rule.factored else None
    if axes is None:
        return {"exp_avg_sq": torch.zeros_like(param, dtype=torch.float32)}
    dtype = torch.float32 if rule.factored_fp32 else param.dtype
    shapes = [[1 if axis == reduced else size for axis, size in enumerate(param.shape)] for reduced in axes]
    row, column = (torch.zeros(shape, dtype=dtype, device=param.device) for shape in shapes)
    return {"exp_avg_sq_row": row, "exp_avg_sq_col": column}


def moment_names(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a state keeps the second moment: one array, or a row and a column."""
    return ("exp_avg_sq",) if "exp_avg_sq" in state else ("exp_avg_sq_row", "exp_avg_sq_col")


def prepare(state: State, param: Tensor, rule: Rule, adapts: bool) -> None:
    """Create what a parameter that takes part in a step lacks, and bring the rest to its device.

    Args:
        state: of the parameter; changed in place.
        param: the live weights.
        rule: of its group.
        adapts: whether its pool may still adapt d.
    """
    # clause: PPSF-L-001 9746d72d
    # clause: PPSF-R-001 6f06d4b8
    for name, value in state.items():
        if isinstance(value, Tensor) and value.device != param.device:
            state[name] = value.to(param.device)
    if rule.adopt and FILLED not in state:
        # State from before the switch was on holds a second moment to divide by; Muon never waits for one.
        filled = "z" in state or moves(param.shape, rule.muon)
        state[FILLED] = torch.full((), filled, dtype=torch.bool, device=param.device)
    if "z" not in state:
        state["z"] = param.detach().clone()
    moments = {"rms_sq"} if moves(param.shape, rule.muon) else {"exp_avg_sq", "exp_avg_sq_row"}
    if not moments & state.keys():
        state.update(_start_of_moment(param, rule))
    if adapts and "p0" not in state:
        state["p0"] = sample(param.detach()).clone()
    if adapts and "s" not in state:
        state["s"] = torch.zeros_like(sample(param.detach()), dtype=torch.float32)


def release(state: State) -> None:
    """Drop what only the estimation of d needs."""
    for name in _OF_ESTIMATE:
        state.pop(name, None)


def loaded(entries: Mapping[str, Any], param: Tensor) -> State:
    """The state of a parameter from a state dict: a copy on its device, of unchanged dtypes."""
    # clause: PPSF-L-005 3a21b9ab
    return {
        name: value.to(param.device, copy=True) if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in entries.items()
    }


def check_shapes(state: Mapping[str, Any], param: Tensor, where: str) -> None:
    """Raise ValueError if `state` cannot belong to `param`; `where` names the parameter."""
    sampled = torch.Size([-(-param.numel() // SAMPLE_STRIDE)])
    expected = {"z": param.shape, "exp_avg_sq": param.shape, "p0": sampled, "s": sampled, "rms_sq": torch.Size([])}
    for name, shape in expected.items():
        value = state.get(name)
        if isinstance(value, Tensor) and value.shape != shape:
            raise ValueError(
                f"{where} has shape {tuple(param.shape)}, but its state {name!r} has {tuple(value.shape)} "
                f"where {tuple(shape)} is needed. The state belongs to another parameter: load the "
                "matching one, or remove it from optimizer.state to start this parameter anew."
            )
