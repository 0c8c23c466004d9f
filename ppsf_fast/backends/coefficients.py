"""The numbers of a group in one step: what multiplies its arrays, all known before any array is touched."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from ppsf_fast import schedules, speed
from ppsf_fast.numerics import over
from ppsf_fast.plan import GroupPlan, Plan, PoolPlan
from ppsf_fast.rectification import corrected_beta2
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import FIRST_STEP

OnDevice = TypeVar("OnDevice", "Coefficients", "Outcome")


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What multiplies the arrays of one group in one step: 0-d tensors on one device, float32 unless noted.

    Attributes:
        k: number of the step, int64.
        d: the estimate of the pool when the step begins, in the wide dtype.
        ok: whether the step may write, bool; None: it may.
        unscale: what multiplies the gradients as they are read; None: nothing does.
        opened: whether the step is inside the window of adaptation, bool; None: it always is.
        adapts: whether both are so, bool; None: they are.
        item_weight: weight of this step's inner product in the statistics, in the wide dtype.
        sum_weight: weight of this step's gradient in the statistics.
        keep, gain: what multiplies the second moment and the new square.
        unit: what multiplies the new square where nothing is kept: 1, or the square of d.
        renewal: what the present weights are of the average of FOCUS.
        share: what the second moment is divided by in the divisor; None: by nothing.
        moment_gain: what multiplies the gradient in the first moment.
        bound: b, the bound of the clipping.
        mix: c, what z contributes to y.
        z_step, y_step: what multiplies the update in z and y.
        y_decay: what multiplies y in the decay of y, if that is not scaled by the step size of y.
        weight_sum: the new weight sum, in the wide dtype; None: nothing is averaged.
        lr_max: the largest step size so far, in the wide dtype, if it is stored.
    """

    k: Tensor
    d: Tensor
    ok: Tensor | None
    unscale: Tensor | None
    opened: Tensor | None
    adapts: Tensor | None
    item_weight: Tensor
    sum_weight: Tensor
    keep: Tensor
    gain: Tensor
    unit: Tensor
    renewal: Tensor
    share: Tensor | None
    moment_gain: Tensor
    bound: Tensor
    mix: Tensor
    z_step: Tensor
    y_step: Tensor
    y_decay: Tensor
    weight_sum: Tensor | None
    lr_max: Tensor | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the moves need of the estimate: 0-d tensors on one device.

    Attributes:
        d: the estimate of the pool after the step, in the wide dtype.
        moves: whether weights move, bool; None: they do.
    """

    d: Tensor
    moves: Tensor | None


def moved_to(device: torch.device, numbers: OnDevice) -> OnDevice:
    """The same numbers on another device."""
    if numbers.d.device == device:
        return numbers
    values = {entry.name: getattr(numbers, entry.name) for entry in fields(numbers)}
    return replace(numbers, **{name: value.to(device) for name, value in values.items() if value is not None})


def both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Whether two things are so, where None says that one is known to be."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def allowed(by: Coefficients, ok: Tensor | None) -> Coefficients:
    """The same numbers where `ok` tells whether the step may write."""
    return replace(by, ok=ok, adapts=both(ok, by.opened))


def either(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Whether one of two things is so, where None says that one is known to be."""
    return None if first is None or second is None else first | second.to(first.device)


def moves_at_once(rule: Rule) -> bool:
    """Whether no move of a pool needs to know the estimate after the step, nor whether there is evidence for one."""
    return rule.revision.unit != "new_d" and rule.revision.without_evidence == "moves"


def coefficients(plan: Plan, pool: PoolPlan, group: GroupPlan) -> Coefficients:
    """The numbers of a group of a pool in the step of a plan."""
    rule, scalars = group.rule, pool.scalars.tensors
    k = scalars["k"]
    d = scalars["d"] if "d" in scalars else torch.full_like(_any_wide(group), rule.d0)
    ok = None if plan.ok is None else plan.ok.to(k.device)
    opened = _window(k, rule)
    full = _full_step_size(_estimate(plan, d), k, rule)
    dlr = _scheduled(full, k, scalars, rule)
    item_weight, sum_weight = _statistic_weights(d, full, dlr, rule)
    beta2 = _beta2(d, k, rule)
    keep, unit = _memory(beta2, d, scalars, rule)
    mix, weight_sum, lr_max = _averaging(group, dlr, k)
    reach = 1 - rule.beta1 * (1 - mix)
    return Coefficients(
        k=k,
        d=d,
        ok=ok,
        unscale=None if plan.scaling.unscale is None else plan.scaling.unscale.to(k.device),
        opened=opened,
        adapts=both(ok, opened),
        item_weight=item_weight,
        sum_weight=sum_weight.float(),
        keep=keep.float(),
        gain=(unit * (1 - beta2)).float(),
        unit=unit.float(),
        renewal=(1 - beta2).float(),
        share=_share(d, k, rule),
        moment_gain=(d * (1 - rule.beta1)).float(),
        bound=_bound(d, rule),
        mix=mix.float(),
        z_step=dlr.float(),
        y_step=(dlr * reach).float(),
        y_decay=_decay_of_y(dlr, reach, rule).float(),
        weight_sum=weight_sum,
        lr_max=lr_max,
    )


def _any_wide(group: GroupPlan) -> Tensor:
    """A number of the group, for its device and dtype: one without an estimate has a weight sum."""
    return group.scalars.tensors["weight_sum"]


# ---------------------------------------------------------------------------------------------------------- step size


def _estimate(plan: Plan, own: Tensor) -> Tensor:
    """The step estimate of a group whose pool's d is `own`."""
    # clause: PPSF-G-003 04bf0f0a
    if not plan.estimates:
        return own
    if own.device not in plan.averaged:
        d = torch.stack([d.to(own.device, own.dtype) for d, _ in plan.estimates])
        active = torch.stack([k.to(own.device) for _, k in plan.estimates]) > FIRST_STEP
        count = active.sum()
        plan.averaged[own.device] = count > 0, count / torch.where(active, 1 / d, 0.0).sum()
    return torch.where(*plan.averaged[own.device], own)


def _full_step_size(estimate: Tensor, k: Tensor, rule: Rule) -> Tensor:
    """The step size without warm-up and decay."""
    # clause: PPSF-G-004 1dcdeaaf
    dlr = estimate * rule.lr
    return dlr * schedules.correction(rule, k, estimate.dtype)


def _scheduled(full: Tensor, k: Tensor, scalars: dict[str, Tensor], rule: Rule) -> Tensor:
    dlr = full * schedules.warmup(rule, k, full.dtype)
    return dlr * schedules.decay(rule, k, scalars["peak"], full.dtype) if rule.cosine_decay else dlr


# --------------------------------------------------------------------------------------------------------- statistics


def _window(k: Tensor, rule: Rule) -> Tensor | None:
    """Whether the estimate may change."""
    # clause: PPSF-D-008 eab78d5a
    return None if rule.prodigy_steps == 0 else k <= rule.prodigy_steps


def _statistic_weights(d: Tensor, full: Tensor, dlr: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """What multiplies the inner product and the gradient."""
    kind = rule.revision.statistic_weight
    if kind == "prodigy":
        # clause: PPSF-D-021 80b40fdc
        ratio = over(d, rule.d0)
        return ratio * dlr, ratio * (d if rule.safeguard_warmup else dlr)
    if kind == "d_squared":
        # clause: PPSF-D-020 7a527ae5
        weight = over(d * d, math.sqrt(rule.d0))
    elif kind == "share":
        # clause: PPSF-D-022 7314ec4b
        weight = full * (1 - rule.beta3)
    else:
        # clause: PPSF-D-001 6eb47677
        root = d.sqrt()
        weight = speed.weight(root, rule.d0) if rule.by_signs else root
    return weight, weight


# ------------------------------------------------------------------------------------------------- moments and update


def _beta2(d: Tensor, k: Tensor, rule: Rule) -> Tensor:
    """The coefficient of the second moment in this step."""
    if rule.bias_correction and rule.correction == "radam_in_moment":
        return corrected_beta2(rule.beta2, k, d.dtype)
    return torch.full_like(d, rule.beta2)


def _memory(beta2: Tensor, d: Tensor, scalars: dict[str, Tensor], rule: Rule) -> tuple[Tensor, Tensor]:
    """What multiplies the second moment, and the unit of the new square."""
    if rule.revision.second_moment == "rescaled":
        return beta2 * (scalars["d_prev"] / d) ** 2, torch.ones_like(d)
    return beta2, d * d


def _share(d: Tensor, k: Tensor, rule: Rule) -> Tensor | None:
    # clause: PPSF-V-013 bf5718d5
    if rule.revision.second_moment != "corrected":
        return None
    return (1 - torch.pow(rule.beta2, k.to(d.dtype))).float()


def _bound(d: Tensor, rule: Rule) -> Tensor:
    if rule.speed:
        # clause: PPSF-M-013 f9aa6e97
        return torch.full_like(d, rule.revision.bound_later).float()
    # clause: PPSF-U-001 9d1739ee
    bounds = torch.where(d <= rule.d0, rule.revision.bound_at_start, rule.revision.bound_later)
    return bounds.float()


# ---------------------------------------------------------------------------------------------------------- averaging


def _averaging(group: GroupPlan, dlr: Tensor, k: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """c, the new weight sum and the largest step size so far."""
    rule, scalars = group.rule, group.scalars.tensors
    if not rule.averages:
        return torch.zeros_like(dlr), None, None
    largest = None
    if rule.revision.averaging_weight == "largest":
        # clause: PPSF-Z-010 a50e7a76
        largest = torch.maximum(scalars["lr_max"], dlr)
        weight = k.to(dlr.dtype) ** rule.r * largest**rule.weight_lr_power
    else:
        # clause: PPSF-Z-001 a9f28a09
        weight = dlr * dlr
    weight_sum = scalars["weight_sum"] + weight
    mix = torch.where(weight_sum > 0, weight / weight_sum, 0.0)
    if rule.schedulefree_c:
        # clause: PPSF-Z-011 dc023cc6
        mix = (mix * ((1 - rule.beta1) * rule.schedulefree_c)).clamp_max(1.0)
    return mix, weight_sum, largest


def _decay_of_y(dlr: Tensor, reach: Tensor, rule: Rule) -> Tensor:
    """What multiplies y in the decay of y beside the update."""
    if rule.averages:
        return rule.weight_decay * reach
    # clause: PPSF-W-010 f7e19401
    return rule.weight_decay * dlr if rule.weight_decay_by_lr else torch.full_like(dlr, rule.weight_decay)
