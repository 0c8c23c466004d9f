"""The moments of one parameter: they move in every good step, whatever the estimate does."""

from __future__ import annotations

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients
from ppsf_fast.numerics import mean_over, store
from ppsf_fast.rule import Rule
from ppsf_fast.state import State, factored_axes


def divisor(state: State, grad: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """Update the second moment; returns its square root, as an array of the gradient's shape."""
    square = grad * grad
    if "exp_avg_sq" in state:
        # clause: PPSF-V-001 eda871f8
        # clause: PPSF-V-010 00000000
        moment: Tensor = state["exp_avg_sq"].float() * by.keep + square * by.gain
        store(state["exp_avg_sq"], moment, by.ok)
        # clause: PPSF-V-004 a5aa6cc9
        return moment.sqrt() if by.share is None else (moment / by.share).sqrt()
    row_axis, column_axis = factored_axes(grad.shape, rule.revision) or (0, 0)
    # clause: PPSF-V-003 e56301e2
    # clause: PPSF-V-011 00000000
    row_mean, column_mean = mean_over(square, row_axis), mean_over(square, column_axis)
    row = state["exp_avg_sq_row"].float() * by.keep + row_mean * by.gain
    column = state["exp_avg_sq_col"].float() * by.keep + column_mean * by.gain
    store(state["exp_avg_sq_row"], row, by.ok)
    store(state["exp_avg_sq_col"], column, by.ok)
    # clause: PPSF-V-005 d70eac00
    mean = mean_over(row, column_axis)
    denom: Tensor = torch.where(mean > 0, row / mean, 0.0).sqrt() * column.sqrt()
    return denom


def first_moment(state: State, grad: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """Update the first moment; returns it."""
    # clause: PPSF-U-010 00000000
    moment: Tensor = state["exp_avg"].float() * rule.beta1 + grad * by.moment_gain
    store(state["exp_avg"], moment, by.ok)
    return moment
