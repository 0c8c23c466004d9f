"""One step in plain torch operations, on any device.

Arrays are computed in float32, sums and group scalars in float64; a scalar is rounded to float32 once, where
it meets an array. Nothing here reads a value on the host. Where `ok` is given, every write goes through it: a
step that turns out to be bad changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ppsf_fast import focus, muon, speed
from ppsf_fast.numerics import mean_over, sample, store, total, wide_dtype
from ppsf_fast.options import Rule
from ppsf_fast.orthograd import orthogonal
from ppsf_fast.philox import rounding_words
from ppsf_fast.plan import GroupPlan, Item, Plan, PoolPlan
from ppsf_fast.rectification import corrected_beta2, rectification
from ppsf_fast.state import FILLED, State, factored_axes, moment_names

_EARLY_BOUND, _BOUND = 50.0, 1.0
_LEAST_KEPT = 1e-3


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What multiplies the arrays of one group in one step: 0-d tensors on one device, float32 unless noted.

    Attributes:
        k: number of the step, int64.
        ok: whether the step may write, bool; None: it may.
        adapts: whether the estimate of d may change, bool, `ok` included; None: it may.
        root_d: sqrt(d), or SPEED's weight, of this step's gradient in the statistics.
        keep, gain: what multiplies the second moment and the new square.
        bound: b, the bound of the clipping.
        mix: c, what z contributes to y.
        z_step, y_step: what multiplies the update in z and y.
        y_decay: what multiplies y in the decay of y, if that is not scaled by the step size.
        weight_sum: the new weight sum, in the wide dtype.
        counts: whether the parameter enters the sums of its pool, bool; None: it does.
    """

    k: Tensor
    ok: Tensor | None
    adapts: Tensor | None
    root_d: Tensor
    keep: Tensor
    gain: Tensor
    bound: Tensor
    mix: Tensor
    z_step: Tensor
    y_step: Tensor
    y_decay: Tensor
    weight_sum: Tensor
    counts: Tensor | None = None

    def to(self, device: torch.device) -> Coefficients:
        """The same on another device."""
        if self.k.device == device:
            return self
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        moved = {name: value.to(device) for name, value in values.items() if value is not None}
        return replace(self, **moved)


@dataclass(slots=True)
class Statistics:
    """Sums over the parameters of a pool, 0-d in the wide dtype: of <S(g), x0 - S(y)> and of ||s||_1."""

    inner: Tensor
    norm: Tensor


def step(plan: Plan) -> None:
    """Execute `plan`: change weights, state and scalars in place.

    Args:
        plan: gathered, judged and equipped.
    """
    # All groups step with the estimates as they stood before this step: read them all, then write.
    coefficients = [[_coefficients(plan, pool, group) for group in pool.groups] for pool in plan.pools]
    for pool, of_groups in zip(plan.pools, coefficients, strict=True):
        _step_pool(pool, of_groups)


def _step_pool(pool: PoolPlan, coefficients: list[Coefficients]) -> None:
    sums = []
    for group, of_group in zip(pool.groups, coefficients, strict=True):
        on_device = {device: of_group.to(device) for device in {item.param.device for item in group.items}}
        moves = _moves(group, of_group)
        sums += [_step_parameter(item, group.rule, on_device[item.param.device]) for item in group.items]
        # clause: PPSF-Z-006 8a10fbf7
        store(group.scalars.tensors["weight_sum"], of_group.weight_sum, moves)
    _adapt(pool, _gathered(sums, pool.device), coefficients[0])


def _moves(group: GroupPlan, by: Coefficients) -> Tensor | None:
    """Whether a weight of the group moves, 0-d bool; None: one does."""
    if not group.rule.adopt:
        return by.ok
    filled = torch.stack([item.state[FILLED].to(by.k.device) for item in group.items]).any()
    return filled if by.ok is None else filled & by.ok


# ----------------------------------------------------------------------------------------- scalars of a group


def _estimate(plan: Plan, own: Tensor) -> Tensor:
    """The step estimate of a group whose pool's d is `own`."""
    # clause: PPSF-G-003 1da644b9
    if not plan.estimates:
        return own
    d = torch.stack([d.to(own.device, own.dtype) for d, _ in plan.estimates])
    weight = torch.stack([weight.to(own.device, own.dtype) for _, weight in plan.estimates])
    active = weight > 0
    count = active.sum()
    return torch.where(count > 0, count / torch.where(active, 1 / d, 0.0).sum(), own)


def _coefficients(plan: Plan, pool: PoolPlan, group: GroupPlan) -> Coefficients:
    rule, scalars = group.rule, pool.scalars.tensors
    d, d_prev, k = scalars["d"], scalars["d_prev"], scalars["k"]
    # clause: PPSF-G-004 7d07ccc1
    dlr = _estimate(plan, d) * rule.lr
    beta2 = torch.full_like(d, rule.beta2)
    if rule.bias_correction:
        dlr = dlr * rectification(rule.beta2, k, d.dtype)
        beta2 = corrected_beta2(rule.beta2, k, d.dtype)
    # clause: PPSF-Z-001 0d54eb41
    weight = dlr * dlr
    weight_sum = group.scalars.tensors["weight_sum"] + weight
    mix = torch.where(weight_sum > 0, weight / weight_sum, 0.0)
    xi = 1 - rule.beta1 * (1 - mix)
    ok = None if plan.ok is None else plan.ok.to(d.device)
    return Coefficients(
        k=k,
        ok=ok,
        adapts=_window(k, rule, ok),
        root_d=_statistic_weight(d, rule).float(),
        keep=(beta2 * (d_prev / d) ** 2).float(),
        gain=(1 - beta2).float(),
        bound=_bound(d, rule),
        mix=mix.float(),
        z_step=dlr.float(),
        y_step=(dlr * xi).float(),
        y_decay=(rule.weight_decay * xi).float(),
        weight_sum=weight_sum,
    )


def _statistic_weight(d: Tensor, rule: Rule) -> Tensor:
    # clause: PPSF-D-001 6eb47677
    root = d.sqrt()
    return speed.weight(root, rule.d0) if rule.speed else root


def _window(k: Tensor, rule: Rule, ok: Tensor | None) -> Tensor | None:
    """Whether the estimate may change."""
    # clause: PPSF-D-008 cf1b45e0
    if rule.prodigy_steps == 0:
        return ok
    opened = k <= rule.prodigy_steps
    return opened if ok is None else opened & ok


def _bound(d: Tensor, rule: Rule) -> Tensor:
    if rule.speed:
        # clause: PPSF-M-013 f9aa6e97
        return torch.full_like(d, _BOUND).float()
    # clause: PPSF-U-001 9d1739ee
    bounds = torch.where(d <= rule.d0, _EARLY_BOUND, _BOUND)
    return bounds.float()


# ---------------------------------------------------------------------------------------------- one parameter


def _step_parameter(item: Item, rule: Rule, by: Coefficients) -> Statistics:
    grad, y = item.grad.float(), item.param.float()
    update, by = _directed(item.state, grad, y, rule, by)
    if rule.clip:
        update = _clipped(update, by)
    if rule.weight_decay_by_lr and rule.weight_decay:
        # clause: PPSF-W-001 c861b1b6
        update = update + y * rule.weight_decay
    statistics = _statistics(item.state, grad, y, rule, by)
    _average(item, y, update, rule, by)
    return statistics


def _directed(state: State, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients) -> tuple[Tensor, Coefficients]:
    """Renew the second moment; returns the update, and what the rest of the parameter's step goes by."""
    if muon.moves(y.shape, rule.muon):
        update = muon.direction(grad)
        rms_sq = muon.renewed(state["rms_sq"], update, by.keep, by.gain)
        store(state["rms_sq"], rms_sq, by.ok)
        return muon.scaled(update, rms_sq), by
    moving = _once_filled(state, by) if rule.adopt else by
    by = _filling(state, by) if rule.adopt else by
    grad = orthogonal(grad, y) if rule.orthograd else grad
    if rule.focus:
        average = state["exp_avg_sq"].float()
        update = focus.direction(grad, average, y)
        store(state["exp_avg_sq"], focus.renewed(average, y, by.gain), by.ok)
        return update, moving
    # clause: PPSF-M-006 270d5445
    before = _root([state[name].float() for name in moment_names(state)], grad.shape) if rule.adopt else None
    after = _renewed(state, grad, by)
    return _update(grad, _root(after, grad.shape) if before is None else before, rule, by), moving


def _once_filled(state: State, by: Coefficients) -> Coefficients:
    """What moves a parameter under ADOPT: all as it was, or nothing while there is no second moment to divide by."""
    filled = state[FILLED].clone()
    ok, adapts = (filled if mask is None else mask & filled for mask in (by.ok, by.adapts))
    return replace(by, ok=ok, adapts=adapts, counts=filled)


def _filling(state: State, by: Coefficients) -> Coefficients:
    """What renews its second moment: in its first step the gradient alone makes it."""
    # clause: PPSF-M-005 23b4b81e
    keep, gain = torch.where(state[FILLED], by.keep, 0.0), torch.where(state[FILLED], by.gain, 1.0)
    store(state[FILLED], torch.ones_like(state[FILLED]), by.ok)
    return replace(by, keep=keep, gain=gain)


def _renewed(state: State, grad: Tensor, by: Coefficients) -> list[Tensor]:
    """Renew the second moment; returns it in float32: of each element, or of rows and columns."""
    square = grad * grad
    if "exp_avg_sq" in state:
        # clause: PPSF-V-001 eda871f8
        new = [state["exp_avg_sq"].float() * by.keep + square * by.gain]
    else:
        row_axis, column_axis = factored_axes(grad.shape) or (0, 0)
        # clause: PPSF-V-003 e56301e2
        row_mean, column_mean = mean_over(square, row_axis), mean_over(square, column_axis)
        row = state["exp_avg_sq_row"].float() * by.keep + row_mean * by.gain
        column = state["exp_avg_sq_col"].float() * by.keep + column_mean * by.gain
        new = [row, column]
    for name, moment in zip(moment_names(state), new, strict=True):
        store(state[name], moment, by.ok)
    return new


def _root(moment: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """The square root of the second moment of a parameter of this shape."""
    if len(moment) == 1:
        # clause: PPSF-V-004 a5aa6cc9
        return moment[0].sqrt()
    row, column = moment
    _, column_axis = factored_axes(shape) or (0, 0)
    # clause: PPSF-V-005 d70eac00
    mean = mean_over(row, column_axis)
    denom: Tensor = torch.where(mean > 0, row / mean, 0.0).sqrt() * column.sqrt()
    return denom


def _update(grad: Tensor, denom: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    if rule.eps is None:
        # clause: PPSF-U-003 fd609a87
        return torch.atan2(grad, denom * by.bound) * by.bound
    # clause: PPSF-U-002 2df1de99
    return grad / (denom + rule.eps)


def _clipped(update: Tensor, by: Coefficients) -> Tensor:
    # clause: PPSF-C-001 2d530c9c
    rms = (total(update * update) / max(update.numel(), 1)).sqrt()
    return update / (rms / by.bound).clamp_min(1.0).float()


def _statistics(state: State, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients) -> Statistics:
    """Update s; returns the parameter's contributions to the sums of its pool."""
    zero = torch.zeros((), dtype=wide_dtype(y.device), device=y.device)
    if "s" not in state or "p0" not in state:  # the window is closed and they are gone
        return Statistics(zero, zero)
    sampled = sample(grad)
    # clause: PPSF-D-002 817a13b9
    inner = total(sampled * (state["p0"].float() - sample(y)))
    if rule.speed:
        inner, sampled = speed.signed(inner), speed.signed(sampled)
    # clause: PPSF-D-003 14ce060e
    s = state["s"].float() * rule.beta3 + sampled * by.root_d
    store(state["s"], s, by.adapts)
    # clause: PPSF-D-004 177108e3
    norm = total(s.abs())
    if by.counts is None:
        return Statistics(inner, norm)
    return Statistics(torch.where(by.counts, inner, zero), torch.where(by.counts, norm, zero))


def _average(item: Item, y: Tensor, update: Tensor, rule: Rule, by: Coefficients) -> None:
    """Write the new y and z."""
    param, state = item.param, item.state
    z = state["z"].float()
    new_y = _new_y(y, z, update, rule, by)
    # clause: PPSF-Z-003 8204864f
    new_z = z - update * by.z_step
    if rule.weight_decay and not rule.weight_decay_by_lr:
        # clause: PPSF-W-002 8237fa9f
        new_y = new_y - y * by.y_decay
        new_z = new_z - y * rule.weight_decay
    noise_y, noise_z = _noise(item, rule, by.k)
    store(param, new_y, by.ok, noise_y)
    store(state["z"], new_z, by.ok, noise_z)


def _new_y(y: Tensor, z: Tensor, update: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    # clause: PPSF-Z-002 c73f8559
    if not (rule.cautious or rule.grams):
        return torch.lerp(y, z, by.mix) - update * by.y_step
    decrease = (y - z) * by.mix + update * by.y_step
    if rule.grams:
        # clause: PPSF-M-002 28535345
        return y - decrease.abs() * update.sign()
    # clause: PPSF-M-001 6e7a0094
    kept = (decrease.sign() * update.sign()).clamp_min(0.0)
    share = (total(kept) / max(kept.numel(), 1)).clamp_min(_LEAST_KEPT)
    return y - decrease * (kept / share.float())


def _noise(item: Item, rule: Rule, k: Tensor) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """The random bits that round y and z, or None if they round to nearest."""
    if not rule.stochastic_rounding or torch.bfloat16 not in (item.param.dtype, item.state["z"].dtype):
        return None, None
    words = rounding_words(item.param.numel(), rule.rounding_seed, k, item.index).view(item.param.shape)
    return (words & 0xFFFF).int(), (words >> 16).int()


# ------------------------------------------------------------------------------------------ scalars of a pool


def _gathered(sums: list[Statistics], device: torch.device) -> Statistics:
    inner = torch.stack([each.inner.to(device) for each in sums])
    norm = torch.stack([each.norm.to(device) for each in sums])
    return Statistics(inner.sum(), norm.sum())


def _adapt(pool: PoolPlan, sums: Statistics, by: Coefficients) -> None:
    """Move the estimate on, and count the step."""
    rule, scalars = pool.groups[0].rule, pool.scalars.tensors
    d = scalars["d"]
    inner = sums.inner * _statistic_weight(d, rule)
    # clause: PPSF-D-005 ac48fdae
    numerator = scalars["d_numerator"] * rule.beta3 + torch.where(d > rule.d0, inner, inner.clamp_min(0.0))
    # clause: PPSF-D-006 9d50bc96
    d_hat = torch.where(sums.norm > 0, torch.atan2(numerator * rule.d_coef, sums.norm), 0.0)
    if rule.speed:
        d_hat = speed.capped(d, d_hat)
    # clause: PPSF-D-007 069e7fcc
    # clause: PPSF-D-009 8cc44bb8
    store(scalars["d_prev"], d, by.ok)
    store(d, torch.maximum(d, d_hat), by.adapts)
    store(scalars["d_numerator"], numerator, by.adapts)
    store(scalars["d_denom"], sums.norm, by.adapts)
    store(scalars["k"], scalars["k"] + 1, by.ok)
