"""What the kernel is given: tensors as rows of 64-bit words, the numbers of a group as doubles. See kernel.cpp."""

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
_PLAIN = (Tensor, torch.nn.Parameter)
_CLIPS = {"none": 0, "bounded": 1, "soft": 2}


def serves(rule: Rule) -> bool:
    """Whether the kernel computes the steps of a rule."""
    steered = (rule.cautious or rule.grams) and not rule.averages
    return not (rule.adopt or rule.focus or rule.muon or rule.orthograd or rule.by_displacement or steered)


def words(item: Item, rule: Rule) -> list[int] | None:
    """An item as the kernel reads it; None if it is not served: not contiguous, of other dtypes, or none of torch's."""
    param, get = item.param, item.state.get
    if type(param) not in _PLAIN:
        return None
    found, half, place = [], 0, 1
    for values in (item.grad, param, *map(get, _ARRAYS)):
        if values is None:
            found.append(0)
        else:
            dtype = values.dtype
            if dtype is torch.bfloat16:
                half |= place
            elif dtype is not torch.float32:
                return None
            if not values.is_contiguous():
                return None
            found.append(values.data_ptr())
        place += place
    if half >> _ARRAYS.index("exp_avg_sq") + 2 & 1:
        return None
    if not found[-2]:  # x0 and s only together
        found[-1] = 0
    elif not found[-1]:
        found[-2] = 0
    shape = param.shape
    geometry = _geometry(shape, rule.revision.name) if found[5] else (0,) * 6
    return [*found, half, param.numel(), item.index, *geometry]


@functools.lru_cache(maxsize=4096)
def _geometry(shape: torch.Size, revision: str) -> Sequence[int]:
    """O, A, M, B, I, and whether the row is the mean over B."""
    row, column = factored_axes(shape, REVISIONS[revision]) or (0, 0)
    first, second = sorted((row, column))
    between = (shape[:first], shape[first + 1 : second], shape[second + 1 :])
    outer, middle, inner = (math.prod(sizes) for sizes in between)
    return outer, shape[first], middle, shape[second], inner, int(row == second)


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
