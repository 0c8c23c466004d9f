"""The update of one parameter: where it points, and how far at most."""

from __future__ import annotations

import torch
from torch import Tensor

from ppsf_fast import focus
from ppsf_fast.backends.coefficients import Coefficients, Outcome
from ppsf_fast.backends.moments import divisor, first_moment, renew_average
from ppsf_fast.numerics import total
from ppsf_fast.orthograd import orthogonal
from ppsf_fast.rule import Rule
from ppsf_fast.state import State


def updated(state: State, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients, outcome: Outcome) -> Tensor:
    """Move the moments of a parameter; returns its update, before any decay.

    Args:
        state: of the parameter; its moments are changed in place.
        grad, y: float32, of the shape of the parameter.
    """
    grad = orthogonal(grad, y) if rule.orthograd else grad
    update = _direction(state, grad, y, rule, by, outcome)
    return _clipped(update, rule, by) if rule.clip else update


def _direction(state: State, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients, outcome: Outcome) -> Tensor:
    if rule.focus:
        update = focus.direction(grad, state["exp_avg_sq"].float(), y)
        renew_average(state, y, rule, by)
        return update
    denom = divisor(state, grad, rule, by)
    if rule.revision.unit == "g":
        return _quotient(grad, denom, rule, by)
    d = outcome.d if rule.revision.unit == "new_d" else by.d
    # clause: PPSF-U-011 00000000
    over = first_moment(state, grad, rule, by) if rule.keeps_moment else grad * d.float()
    return _weighted_quotient(over, denom, d, rule)


def _quotient(grad: Tensor, denom: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    if rule.eps is None:
        # clause: PPSF-U-003 fd609a87
        return torch.atan2(grad, denom * by.bound) * by.bound
    # clause: PPSF-U-002 2df1de99
    return grad / (denom + rule.eps)


def _weighted_quotient(over: Tensor, denom: Tensor, d: Tensor, rule: Rule) -> Tensor:
    """The same where numerator and denominator carry the factor d, of before or after the step."""
    if rule.eps is None:
        # clause: PPSF-U-013 00000000
        return torch.atan2(over, denom) * rule.revision.atan2_scale
    # clause: PPSF-U-012 00000000
    return over / (denom + (d * rule.eps).float())


def _clipped(update: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    rms = (total(update * update) / max(update.numel(), 1)).sqrt()
    if rule.revision.clipping == "soft":
        # clause: PPSF-C-010 00000000
        return update / rms.clamp_min(1.0).sqrt().float()
    # clause: PPSF-C-001 2d530c9c
    return update / (rms / by.bound).clamp_min(1.0).float()
