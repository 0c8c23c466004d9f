"""What the kernel is given: tensors as rows of 64-bit words, the numbers of a group as doubles. See layout.hpp."""

from __future__ import annotations

import functools
import math
from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients, Outcome
from ppsf_fast.plan import Item
from ppsf_fast.revisions import REVISIONS
from ppsf_fast.rule import Rule
from ppsf_fast.state import factored_axes

#: The arrays of an item behind gradient and weights, in the kernel's order.
_ARRAYS = ("z", "exp_avg", "exp_avg_sq", "exp_avg_sq_row", "exp_avg_sq_col", "p0", "s")
#: Where they are among all arrays, and the word behind them.
_Z, _, _V, _ROW, _COLUMN, _X0, _S, _HALF = range(2, 10)
_NO_GEOMETRY: Sequence[int] = (0,) * 6
_PLAIN = (Tensor, torch.nn.Parameter)
#: Words of an item.
SIZE = _HALF + 1 + 2 + len(_NO_GEOMETRY)
_CLIPS = {"none": 0, "bounded": 1, "soft": 2}


def serves(rule: Rule) -> bool:
    """Whether the kernel computes the steps of a rule."""
    steered = (rule.cautious or rule.grams) and not rule.averages
    return not (rule.adopt or rule.focus or rule.muon or rule.orthograd or rule.by_displacement or steered)


def words(item: Item, rule: Rule) -> list[int] | None:
    """An item as the kernel reads it; None if it is not served: not contiguous, of other dtypes, none of torch's, or
    stored with the other sign (a lazy negation)."""
    param, state = item.param, item.state
    if type(param) not in _PLAIN or item.grad.shape != param.shape:
        return None
    found = _pointers((item.grad, param, *map(state.get, _ARRAYS)))
    if found is None or found[_HALF] >> _V & 1:
        return None
    if found[_Z] and state["z"].dtype != param.dtype:
        return None
    if found[_V]:  # as elsewhere, a moment of each element counts more than factors
        found[_ROW] = found[_COLUMN] = 0
    if not (found[_X0] and found[_S]):
        found[_X0] = found[_S] = 0
    geometry = _NO_GEOMETRY
    if found[_ROW]:
        geometry, row, column = _geometry(param.shape, rule.revision.name)
        # The kernel trusts the sizes; what does not fit is left to operations that say so.
        if state["exp_avg_sq_row"].numel() != row or state["exp_avg_sq_col"].numel() != column:
            return None
    return [*found, param.numel(), item.index, *geometry]


def _pointers(arrays: Sequence[Tensor | None]) -> list[int] | None:
    """Where the arrays are, 0 for none, and last the bits that say which are bfloat16; None if one is not served."""
    found, half, place = [], 0, 1
    for values in arrays:
        if values is None:
            found.append(0)
        else:
            dtype = values.dtype
            if dtype is torch.bfloat16:
                half |= place
            elif dtype is not torch.float32:
                return None
            if not values.is_contiguous() or values.is_neg():
                return None
            found.append(values.data_ptr())
        place += place
    found.append(half)
    return found


@functools.lru_cache(maxsize=4096)
def _geometry(shape: torch.Size, revision: str) -> tuple[Sequence[int], int, int]:
    """O, A, M, B, I, whether the row is the mean over B; and the numbers of elements of row and column."""
    axes = factored_axes(shape, REVISIONS[revision])
    if axes is None:
        return _NO_GEOMETRY, 0, 0
    first, second = sorted(axes)
    between = (shape[:first], shape[first + 1 : second], shape[second + 1 :])
    outer, middle, inner = (math.prod(sizes) for sizes in between)
    row, column = (math.prod(shape) // shape[axis] for axis in axes)
    return (outer, shape[first], middle, shape[second], inner, int(axes[0] == second)), row, column


def numbers(rule: Rule, by: Coefficients, outcome: Outcome, measures: bool, moves: bool) -> array[float]:
    """The numbers of a group in the kernel's order; reads their values, so they have to be on the host."""
    plain = rule.revision.unit == "g"
    d = (outcome.d if rule.revision.unit == "new_d" else by.d).float()
    ok = _known(by.ok)
    bound = float(by.bound)
    decay = rule.weight_decay if rule.decays and rule.averages else 0.0
    eps = rule.eps or 0.0
    return array(
        "d",
        (
            measures,
            moves and ok,
            ok and _known(outcome.moves),
            _known(by.adapts),
            rule.averages,
            rule.cautious,
            rule.grams,
            rule.keeps_moment,
            rule.eps is None,
            _CLIPS[rule.revision.clipping] if rule.clip else 0,
            rule.stochastic_rounding,
            float(by.keep),
            float(by.gain),
            1.0 if by.share is None else float(by.share),
            rule.beta1,
            float(by.moment_gain),
            1.0 if plain else float(d),
            eps if plain else float((by.d if rule.revision.unit == "d" else outcome.d).mul(eps).float()),
            bound if plain else 1.0,
            bound if plain else rule.revision.atan2_scale,
            bound,
            float(by.mix),
            float(by.z_step),
            float(by.y_step),
            float(by.y_decay) if rule.decays and not (rule.averages and rule.weight_decay_by_lr) else 0.0,
            0.0 if rule.weight_decay_by_lr else decay,
            decay if rule.weight_decay_by_lr else 0.0,
            rule.weight_decay if rule.penalizes else 0.0,
            rule.beta3,
            float(by.item_weight),
            float(by.sum_weight),
            rule.averages and rule.revision.statistic_point == "z",
            rule.by_signs,
            rule.amplifies and not rule.by_signs,
            rule.stride,
            rule.rounding_seed & 0xFFFFFFFF,
            int(by.k) & 0xFFFFFFFF,
        ),
    )


def _known(flag: Tensor | None) -> bool:
    return flag is None or bool(flag)
