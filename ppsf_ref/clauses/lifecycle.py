"""Area L: creation, counting, modes, bad steps, resuming."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from ppsf_ref.clauses.groups import joined
from ppsf_ref.clauses.moment import Axes
from ppsf_ref.clauses.notation import sampled
from ppsf_ref.formats import Array, Format
from ppsf_ref.frozen import replace
from ppsf_ref.law import clause
from ppsf_ref.numbers import Numbers, round_exact
from ppsf_ref.state import GroupState, ParamState, State


def _zeros(numbers: Numbers, shape: tuple[int, ...]) -> object:
    return numbers.array(np.zeros(shape))


def _shrunk(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis + 1 :])


#: Group and position of a parameter.
Place = tuple[int, int]


class Keeps(NamedTuple):
    """Whether a parameter has a base sequence, a first moment, a sum of gradients, and the memory of Muon."""

    z: bool
    m: bool
    s: bool = True
    rms_sq: bool = False


def is_new(param: ParamState) -> bool:
    """Whether a parameter has no state yet."""
    return param.v is None and param.v_row is None and param.rms_sq is None


def _start_of_moment(param: ParamState, axes: Axes | None, numbers: Numbers, use_focus: bool) -> dict[str, Any]:
    shape = param.y.shape
    if axes is None:
        return {"v": param.y if use_focus else _zeros(numbers, shape)}
    row, col = (_zeros(numbers, _shrunk(shape, axis)) for axis in axes)
    return {"v_row": row, "v_col": col}


@clause("PPSF-L-001", "9017eed6")
def created(
    param: ParamState,
    axes: Axes | None,
    keeps: Keeps,
    adapts: bool,
    stride: int,
    x0: Format,
    numbers: Numbers,
    use_focus: bool = False,
) -> ParamState:
    """State of a parameter that takes part: whatever it lacks, with initial values."""
    shape = param.y.shape
    if is_new(param):
        param = replace(param, z=param.y if keeps.z else None, m=_zeros(numbers, shape) if keeps.m else None)
    if keeps.rms_sq and param.rms_sq is None:
        param = replace(param, rms_sq=_zeros(numbers, ()))
    elif not keeps.rms_sq and param.v is None and param.v_row is None:
        param = replace(param, **_start_of_moment(param, axes, numbers, use_focus))
    if adapts and param.x0 is None:
        start = round_exact(sampled(param.y, stride), x0)
        param = replace(param, x0=start, s=_zeros(numbers, start.shape) if keeps.s else None)
    return param


@clause("PPSF-L-002", "48ce2f26")
def next_count(k: int) -> int:
    """Steps are counted from 1."""
    return k + 1


@clause("PPSF-L-003", "f3368b50")
def mode_after(train_mode: bool, call: Literal["train", "eval"], averages: bool = True) -> bool:
    """train() and eval() may be repeated; what counts is the last one, where weights are averaged at all."""
    return call == "train" or not averages


#: A sum of 2**16 squares of smaller numbers is a number of float32.
TOO_LARGE = 2.0**56


def _can_be_squared(gradient: Array) -> bool:
    """Whether no element is NaN, infinite, or too large for sums of squares."""
    return bool((np.abs(gradient) < TOO_LARGE).all())


@clause("PPSF-L-004", "863a8cde")
def all_finite(gradients: Sequence[Array]) -> bool:
    """Whether a step may run at all."""
    return all(map(_can_be_squared, gradients))


@clause("PPSF-L-005", "bdd0f7e1")
def reloaded(state: State) -> State:
    """What is loaded is what was saved."""
    return state


@clause("PPSF-L-006", "0dfa105d")
def closure_protocol() -> tuple[str, ...]:
    """What happens around a closure, in order."""
    return ("gradients enabled", "closure", "step", "return closure's value")


@clause("PPSF-L-007", "fa1054f4")
def added_group(fresh: GroupState, first: GroupState, split_groups: bool) -> GroupState:
    """A group added later: a pool of its own, or a member of the one pool."""
    if split_groups:
        return fresh
    return joined(fresh, first, position=1)


@clause("PPSF-L-008", "51aafcc7")
def moved_alone(now: State, ordinary: State, place: Place) -> State:
    """What a call for one parameter makes of the state, from what the ordinary step with its gradient would leave."""
    i, j = place
    group = now.groups[i]
    params = (*group.params[:j], ordinary.groups[i].params[j], *group.params[j + 1 :])
    return replace(now, groups=(*now.groups[:i], replace(group, params=params), *now.groups[i + 1 :]))


@clause("PPSF-L-009", "2bd8d5f9")
def fused_steps(calls: Iterable[Place | None]) -> tuple[tuple[Place, ...], ...]:
    """The steps that a series of calls makes, the last one running (or empty); None stands for step()."""
    steps: list[list[Place]] = [[]]
    for call in calls:
        if steps[-1] and (call is None or call in steps[-1]):
            steps.append([])
        if call is not None:
            steps[-1].append(call)
    return tuple(map(tuple, steps))


@clause("PPSF-L-010", "41382629")
def sits_out(gradient: Array) -> bool:
    """Whether the parameter of a gradient takes no part in a fused step."""
    return not _can_be_squared(gradient)


@clause("PPSF-L-011", "296514d8")
def ends_step(call: str, changes_mode: bool = False) -> bool:
    """Whether a call ends a running step: ``"saved"``, ``"deepcopy"``, ``"pickle"``, ``"add_group"``, eval, train."""
    return changes_mode or call in {"saved", "deepcopy", "pickle", "add_group"}


@clause("PPSF-L-012", "5cabe394")
def unscaled(gradient: Array, scale: float | None) -> Array:
    """A gradient without the scale of the loss."""
    return gradient if scale is None else gradient / scale


@clause("PPSF-L-013", "ad4b6833")
def skipped(found_inf: float) -> bool:
    """Whether a scaler keeps a step from changing anything."""
    return found_inf != 0
