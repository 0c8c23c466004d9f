"""The moments of one parameter: they move in every good step, whatever the estimate does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ppsf_fast import focus, muon
from ppsf_fast.backends.coefficients import Coefficients
from ppsf_fast.numerics import mean_over, store
from ppsf_fast.rule import Rule
from ppsf_fast.state import FILLED, State, factored_axes, moment_names


def filled(state: State, rule: Rule) -> Tensor | None:
    """Under ADOPT: whether there is a second moment to divide by, 0-d bool; None: there is."""
    return state[FILLED].clone() if rule.adopt else None


def divisor(state: State, grad: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """Renew the second moment; returns the root to divide by, as an array of the gradient's shape."""
    if not rule.adopt:
        return _root(_renewed(state, grad, rule, by), grad.shape, rule, by)
    # clause: PPSF-M-006 bc3f0bb3
    before = _root([state[name].float() for name in moment_names(state)], grad.shape, rule, by)
    _renewed(state, grad, rule, _filling(state, by))
    return before


def _filling(state: State, by: Coefficients) -> Coefficients:
    """What renews the second moment under ADOPT: in its first step the gradient alone makes it."""
    # clause: PPSF-M-005 dfcd9473
    has = state[FILLED].clone()
    store(state[FILLED], torch.ones_like(has), by.ok)
    return replace(
        by,
        keep=torch.where(has, by.keep, 0.0),
        gain=torch.where(has, by.gain, by.unit),
        renewal=torch.where(has, by.renewal, 1.0),
    )


def _renewed(state: State, grad: Tensor, rule: Rule, by: Coefficients) -> list[Tensor]:
    """Renew the second moment; returns it in float32: of each element, or of rows and columns."""
    square = grad * grad
    if "exp_avg_sq" in state:
        # clause: PPSF-V-001 eda871f8
        # clause: PPSF-V-010 ba9d63ae
        new = [state["exp_avg_sq"].float() * by.keep + square * by.gain]
    else:
        row_axis, column_axis = factored_axes(grad.shape, rule.revision) or (0, 0)
        # clause: PPSF-V-003 e56301e2
        # clause: PPSF-V-011 bfc8a7dc
        row_mean, column_mean = mean_over(square, row_axis), mean_over(square, column_axis)
        row = state["exp_avg_sq_row"].float() * by.keep + row_mean * by.gain
        column = state["exp_avg_sq_col"].float() * by.keep + column_mean * by.gain
        new = [row, column]
    for name, moment in zip(moment_names(state), new, strict=True):
        store(state[name], moment, by.ok)
    return new


def _root(moment: Sequence[Tensor], shape: Sequence[int], rule: Rule, by: Coefficients) -> Tensor:
    """The square root of the second moment of a parameter of this shape."""
    if len(moment) == 1:
        # clause: PPSF-V-004 ef012b6a
        return moment[0].sqrt() if by.share is None else (moment[0] / by.share).sqrt()
    row, column = moment
    _, column_axis = factored_axes(shape, rule.revision) or (0, 0)
    # clause: PPSF-V-005 170be250
    mean = mean_over(row, column_axis)
    denom: Tensor = torch.where(mean > 0, row / mean, 0.0).sqrt() * column.sqrt()
    return denom


def renew_average(state: State, y: Tensor, rule: Rule, by: Coefficients) -> None:
    """Renew the average of the weights that FOCUS keeps in the place of the second moment."""
    if rule.adopt:
        by = _filling(state, by)
    store(state["exp_avg_sq"], focus.renewed(state["exp_avg_sq"].float(), y, by.renewal), by.ok)


def renew_size(state: State, update: Tensor, by: Coefficients) -> Tensor:
    """Renew what Muon keeps in the place of the second moment; returns it."""
    size = muon.renewed(state["rms_sq"], update, by.keep, by.gain)
    store(state["rms_sq"], size, by.ok)
    return size


def first_moment(state: State, grad: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """Update the first moment; returns it."""
    # clause: PPSF-U-010 3667548e
    moment: Tensor = state["exp_avg"].float() * rule.beta1 + grad * by.moment_gain
    store(state["exp_avg"], moment, by.ok)
    return moment


def normalized_moment(state: State, update: Tensor, mask: Tensor | None, rule: Rule, by: Coefficients) -> Tensor:
    """Update the first moment under ADOPT, that of normalized gradients; returns it.

    Args:
        state: of the parameter.
        update: the normalized gradient, float32.
        mask: whether the moment is written, 0-d bool; None: it is.
    """
    # clause: PPSF-M-032 4f307814
    limit = by.k.to(by.d.dtype).pow(0.25).float()
    cut = torch.maximum(torch.minimum(update, limit), -limit)
    if not rule.keeps_moment:
        return cut
    moment: Tensor = state["exp_avg"].float() * rule.beta1 + cut * (1 - rule.beta1)
    store(state["exp_avg"], moment, mask)
    return moment
