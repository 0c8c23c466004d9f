"""The update of one parameter: where it points, and how far at most."""

from __future__ import annotations

import torch
from torch import Tensor

from ppsf_fast import focus, muon
from ppsf_fast.backends.coefficients import Coefficients, Outcome, both
from ppsf_fast.backends.moments import (
    divisor,
    filled,
    first_moment,
    normalized_moment,
    renew_average,
    renew_size,
)
from ppsf_fast.numerics import agreement, total
from ppsf_fast.orthograd import orthogonal
from ppsf_fast.rule import Rule
from ppsf_fast.state import State


def updated(state: State, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients, outcome: Outcome) -> Tensor:
    """Move the moments of a parameter; returns its update, before any decay.

    Args:
        state: of the parameter; its moments are changed in place.
        grad, y: float32, of the shape of the parameter.
    """
    if muon.moves(y.shape, rule.muon):
        update = _by_muon(state, grad, by)
    else:
        grad = orthogonal(grad, y) if rule.orthograd else grad
        update = _direction(state, grad, y, rule, by, outcome)
    return _clipped(update, rule, by) if rule.clip else update


def _by_muon(state: State, grad: Tensor, by: Coefficients) -> Tensor:
    update = muon.direction(grad)
    return muon.scaled(update, renew_size(state, update, by))


def _direction(state: State, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients, outcome: Outcome) -> Tensor:
    mask = both(by.ok, filled(state, rule))
    point = _point(state, grad, y, rule, by)
    if rule.adopt and not rule.averages:
        grad = _divided(_weighted(grad, by.d, rule), point, by.d, y, rule, by)
        return _steered(normalized_moment(state, grad, mask, rule, by), grad, rule)
    d = outcome.d if rule.revision.unit == "new_d" else by.d
    moment = _steered(first_moment(state, grad, rule, by), grad, rule) if rule.keeps_moment else None
    over = _weighted(grad, d, rule) if moment is None else moment
    return _divided(over, point, d, y, rule, by)


def _steered(moment: Tensor, grad: Tensor, rule: Rule) -> Tensor:
    """What moves weights that are not averaged: the first moment, or what cautious or Grams makes of it."""
    if rule.grams:
        # clause: PPSF-M-031 6a3b5d0e
        return moment.abs() * grad.sign()
    # clause: PPSF-M-030 da5d4c9e
    return moment * agreement(moment, grad) if rule.cautious else moment


def _weighted(grad: Tensor, d: Tensor, rule: Rule) -> Tensor:
    # clause: PPSF-U-011 46ab4792
    return grad if rule.revision.unit == "g" else grad * d.float()


def _point(state: State, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """Renew the second moment; returns the divisor, or what FOCUS compares the weights with."""
    if not rule.focus:
        return divisor(state, grad, rule, by)
    before: Tensor = state["exp_avg_sq"].to(torch.float32, copy=True)
    renew_average(state, y, rule, by)
    return before


def _divided(over: Tensor, point: Tensor, d: Tensor, y: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    if rule.focus:
        return focus.direction(over, point, y)
    return _quotient(over, point, rule, by) if rule.revision.unit == "g" else _weighted_quotient(over, point, d, rule)


def _quotient(grad: Tensor, denom: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    if rule.eps is None:
        # clause: PPSF-U-003 fd609a87
        return torch.atan2(grad, denom * by.bound) * by.bound
    # clause: PPSF-U-002 9f1c013e
    return grad / (denom + rule.eps)


def _weighted_quotient(over: Tensor, denom: Tensor, d: Tensor, rule: Rule) -> Tensor:
    """The same where numerator and denominator carry the factor d, of before or after the step."""
    if rule.eps is None:
        # clause: PPSF-U-013 abd36150
        return torch.atan2(over, denom) * rule.revision.atan2_scale
    # clause: PPSF-U-012 a1c3be3d
    return over / (denom + (d * rule.eps).float())


def _clipped(update: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    rms = (total(update * update) / max(update.numel(), 1)).sqrt()
    if rule.revision.clipping == "soft":
        # clause: PPSF-C-010 1213a55d
        return update / rms.clamp_min(1.0).sqrt().float()
    # clause: PPSF-C-001 2d530c9c
    return update / (rms / by.bound).clamp_min(1.0).float()
