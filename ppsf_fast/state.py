"""The state of one parameter: which arrays it has, when they appear and go, how they are loaded."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.distributed.layout import Layout
from ppsf_fast.muon import moves
from ppsf_fast.numerics import sample
from ppsf_fast.revisions import REVISIONS, Revision
from ppsf_fast.rule import Rule
from ppsf_fast.speed import COURSE

State = dict[str, Any]

#: What is kept of samples: what only the estimate needs.
SAMPLES = ("p0", "s")
#: What has the shape of the parameter.
LIKE_PARAM = ("z", "exp_avg", "exp_avg_sq")
#: Under ADOPT: whether the second moment has been made, a 0-d bool. The host cannot tell: a first step that the device
#: finds to be bad leaves the state behind and makes nothing.
FILLED = "filled"
#: Where a factored second moment is kept: the rows, and the columns.
FACTORS = ("exp_avg_sq_row", "exp_avg_sq_col")
#: One number for each parameter.
SINGLES = (FILLED, "rms_sq", *COURSE)


def factored_axes(shape: Sequence[int], revision: Revision) -> tuple[int, int] | None:
    """The two axes over which the second moment of a parameter is factored.

    Returns:
        (dr, dc): the rows are means over dr, the columns over dc; or None if an array of this shape is not factored.
    """
    if len(shape) < 2 or 0 in shape or max(shape) < revision.factored_min_dim:
        return None
    if revision.factored_axes == "last_two":
        # clause: PPSF-V-012 2e523a23
        return len(shape) - 1, len(shape) - 2
    # clause: PPSF-V-002 23a5b821
    *_, column, row = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))
    return row, column


def dtype_of_state(param: Tensor) -> torch.dtype:
    """The dtype of what is kept as the weights are, which float16 is too narrow for."""
    # clause: PPSF-R-001 87be6185
    return torch.float32 if param.dtype == torch.float16 else param.dtype


def _start_of_moment(param: Tensor, rule: Rule, layout: Layout | None) -> State:
    shape = param.shape if layout is None else layout.shape
    if moves(shape, rule.muon):
        return {"rms_sq": torch.zeros((), dtype=torch.float32, device=param.device)}
    if rule.focus:
        return {"exp_avg_sq": param.detach().to(torch.float32, copy=True)}
    axes = factored_axes(shape, rule.revision) if rule.factored else None
    if axes is None:
        return {"exp_avg_sq": torch.zeros_like(param, dtype=torch.float32)}
    dtype = torch.float32 if rule.factored_fp32 else dtype_of_state(param)
    row, column = (_start_of_factor(param, axis, dtype, layout) for axis in axes)
    return dict(zip(FACTORS, (row, column), strict=True))


def _start_of_factor(param: Tensor, reduced: int, dtype: torch.dtype, layout: Layout | None) -> Tensor:
    if layout is not None:
        return layout.factor(reduced, dtype, param.device)
    return torch.zeros(_reduced(param.shape, reduced) or (), dtype=dtype, device=param.device)


def moment_names(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a state keeps the second moment: one array, or a row and a column."""
    return ("exp_avg_sq",) if "exp_avg_sq" in state else FACTORS


def _sampled(param: Tensor, rule: Rule, layout: Layout | None) -> tuple[Tensor, torch.dtype]:
    """x0, and the dtype of s."""
    start = sample(param.detach(), rule.stride) if layout is None else layout.runs.sample(param.detach(), rule.stride)
    # clause: PPSF-R-010 5370d396
    if rule.bf16_state:
        return start.to(torch.bfloat16, copy=True), torch.bfloat16
    return start.to(dtype_of_state(param), copy=True), torch.float32


def prepare(state: State, param: Tensor, rule: Rule, adapts: bool, layout: Layout | None = None) -> None:
    """Create what a parameter that takes part in a step lacks, and bring the rest to its device.

    Args:
        state: of the parameter; changed in place.
        param: the live weights.
        rule: of its group.
        adapts: whether its pool may still adapt d.
        layout: of a sharded parameter; its state is sharded as it is.
    """
    # clause: PPSF-L-001 9017eed6
    # clause: PPSF-R-001 87be6185
    device = param.device
    for name, value in state.items():
        if isinstance(value, Tensor) and value.device != device:
            state[name] = value.to(device)
    fills = rule.adopt and not _has_moment(state)
    _prepare_moment(state, param, rule, layout)
    if rule.averages and "z" not in state:
        state["z"] = param.detach().to(dtype_of_state(param), copy=True)
    if rule.keeps_moment and "exp_avg" not in state:
        state["exp_avg"] = torch.zeros_like(param, dtype=dtype_of_state(param))
    if adapts:
        # The course begins with the first step that counts.
        course = () if fills else COURSE
        needed = ("p0", *course) if rule.by_displacement else ("p0", "s")
        _prepare_statistics(state, param, rule, needed, layout)


def is_complete(state: State, rule: Rule, adapts: bool) -> bool:
    """Whether the step after a prepared one needs nothing more: under ADOPT the course of SPEED begins a step late."""
    return not (adapts and rule.by_displacement) or COURSE[0] in state


def _has_moment(state: State) -> bool:
    """Whether there is a second moment, or the memory of Muon, which takes its place."""
    return moment_names(state)[0] in state or "rms_sq" in state


def _prepare_moment(state: State, param: Tensor, rule: Rule, layout: Layout | None) -> None:
    by_muon = moves(param.shape if layout is None else layout.shape, rule.muon)
    if by_muon and "rms_sq" not in state:
        state.pop(FILLED, None)  # Muon waits for no second moment.
    if rule.adopt and FILLED not in state:
        # State from before the switch was on holds a second moment to divide by.
        able = by_muon or _has_moment(state)
        state[FILLED] = torch.full((), able, dtype=torch.bool, device=param.device)
    if ("rms_sq" if by_muon else moment_names(state)[0]) not in state:
        state.update(_start_of_moment(param, rule, layout))


def _prepare_statistics(state: State, param: Tensor, rule: Rule, needed: Sequence[str], layout: Layout | None) -> None:
    if all(name in state for name in needed):
        return
    start, dtype = _sampled(param, rule, layout)
    first = {"p0": start, "s": torch.zeros_like(start, dtype=dtype)}
    first |= {name: torch.zeros((), dtype=torch.float32, device=param.device) for name in COURSE}
    for name in needed:
        state.setdefault(name, first[name])


def release(state: State) -> None:
    """Drop what only the estimation of d needs."""
    for name in SAMPLES:
        state.pop(name, None)


def loaded(entries: Mapping[str, Any], param: Tensor) -> State:
    """The state of a parameter from a state dict: a copy on its device, of unchanged dtypes."""
    # clause: PPSF-L-005 bdd0f7e1
    return {
        name: value.to(param.device, copy=True) if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in entries.items()
    }


def check_shapes(
    state: Mapping[str, Any],
    shape: torch.Size,
    stride: int,
    where: str,
    samples: int | None = None,
    revision: Revision | None = None,
) -> None:
    """Raise ValueError if `state` cannot belong to a parameter of this shape.

    Args:
        state: of a parameter.
        shape: of the parameter.
        stride: one element in this many is sampled.
        where: names the parameter.
        samples: how many that gives, if it is not a matter of the size: of a sharded parameter.
        revision: of the optimizer; None: a factored second moment is not looked at, since pieces have parts of it.
    """
    needed = _shapes(shape, -(-shape.numel() // stride) if samples is None else samples, revision and revision.name)
    for name, value in state.items():
        if name in needed and getattr(value, "shape", None) != needed[name]:
            _refuse_shape(name, value, needed[name], shape, where)
    present = [name for name in FACTORS if name in state]
    if len(present) == 1:
        raise ValueError(
            f"{where} has {present[0]!r} in its state, and not the other one of {FACTORS}: allowed are both or none. "
            "Load a complete state dict, or remove it from optimizer.state to start this parameter anew."
        )


@functools.lru_cache(maxsize=4096)
def _shapes(shape: torch.Size, samples: int, revision: str | None) -> Mapping[str, torch.Size | None]:
    """The shape of each array of the state; None: there is no such array."""
    needed: dict[str, torch.Size | None] = dict.fromkeys(LIKE_PARAM, shape)
    needed |= dict.fromkeys(SAMPLES, torch.Size([samples])) | dict.fromkeys(SINGLES, torch.Size([]))
    if revision is not None:
        axes = factored_axes(shape, REVISIONS[revision]) or (None, None)
        needed |= {name: _reduced(shape, axis) for name, axis in zip(FACTORS, axes, strict=True)}
    return needed


def _reduced(shape: torch.Size, reduced: int | None) -> torch.Size | None:
    """The shape of a mean over an axis, which stays with size 1."""
    return None if reduced is None else torch.Size([1 if axis == reduced else size for axis, size in enumerate(shape)])


def _refuse_shape(name: str, value: Any, needed: torch.Size | None, shape: torch.Size, where: str) -> None:
    found = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
    wanted = "no such array" if needed is None else tuple(needed)
    raise ValueError(
        f"{where} has shape {tuple(shape)}, but its state {name!r} has {found} where {wanted} is needed. The state "
        "belongs to another parameter: load the matching one, or remove it from optimizer.state to start this "
        "parameter anew."
    )
