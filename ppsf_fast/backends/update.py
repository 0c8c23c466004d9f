"""The update of parameters: where it points, and how far at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ppsf_fast import focus, muon
from ppsf_fast.backends.coefficients import Coefficients, Outcome, both
from ppsf_fast.backends.moments import (
    Divisor,
    divisor,
    factored_moment,
    filled,
    first_moment,
    normalized_moment,
    own_moment,
    own_root,
    renew_average,
    renew_size,
)
from ppsf_fast.backends.stacks import Stack, piece
from ppsf_fast.numerics import agreement, number_of, square_sum, store, summed
from ppsf_fast.orthograd import orthogonal
from ppsf_fast.rule import Rule
from ppsf_fast.scaling import unscaled
from ppsf_fast.state import State


def updated(stack: Stack, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients, outcome: Outcome) -> Tensor:
    """Move the moments of parameters; returns their update, before any decay.

    Args:
        stack: the parameters; their moments are changed in place.
        grad, y: float32, of the shape of the stack.
    """
    if muon.moves(stack.shape, rule.muon):
        update = _by_muon(stack.state, grad, by)
    else:
        grad = orthogonal(grad, y) if rule.orthograd else grad
        update = _direction(stack, grad, y, rule, by, outcome)
    return clipped(update, square_sum(update), rule, by) if rule.clip else update


def _by_muon(state: State, grad: Tensor, by: Coefficients) -> Tensor:
    update = muon.direction(grad[0])  # never stacked
    return muon.scaled(update, renew_size(state, update, by)).unsqueeze(0)


def _direction(stack: Stack, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients, outcome: Outcome) -> Tensor:
    state = stack.state
    mask = both(by.ok, filled(state, rule))
    point = _point(stack, grad, y, rule, by)
    if rule.adopt and not rule.averages:
        grad = divided(weighted(grad, by.d, rule), point, by.d, y, rule, by)
        return steered(normalized_moment(state, grad, mask, rule, by), grad, rule)
    d = unit_of(rule, by, outcome)
    if not rule.keeps_moment:
        return divided(weighted(grad, d, rule), point, d, y, rule, by)
    moment = first_moment(state["exp_avg"], grad, rule, by)
    store(state["exp_avg"], moment, by.ok)
    return divided(steered(moment, grad, rule), point, d, y, rule, by)


def unit_of(rule: Rule, by: Coefficients, outcome: Outcome) -> Tensor:
    """The estimate that is the unit of the update, 0-d in the wide dtype."""
    return outcome.d if rule.revision.unit == "new_d" else by.d


def splits(rule: Rule) -> bool:
    """Whether nothing but the clipping has to see a whole parameter, so that its update can be made in panels."""
    return not (rule.muon or rule.orthograd or rule.adopt or rule.focus or rule.cautious)


def updates(
    stack: Stack, parts: Sequence[slice], rule: Rule, by: Coefficients, outcome: Outcome
) -> Iterator[tuple[slice, Tensor]]:
    """The same panel by panel, where the rule allows it: each panel with its update. A panel's moments are stored
    before the next panel begins."""
    state, rows, d = stack.state, stack.shape[0] if stack.shape else 1, unit_of(rule, by, outcome)

    def grad_of(part: slice) -> Tensor:
        return penalized(unscaled(piece(stack.grad, part, rows), by.unscale), piece(stack.y, part, rows), rule)

    own = "exp_avg_sq" in state
    factors = None if own else Divisor(factored_moment(stack, grad_of, parts, rule, by), stack.shape, rule, by)

    def update(part: slice, keep: bool) -> Tensor:
        grad, over = grad_of(part), None
        if factors is None:
            moment = own_moment(state, grad, part, by, rows)
            denom = own_root(moment, by)
            if keep:
                store(piece(state["exp_avg_sq"], part, rows), moment, by.ok)
        else:
            denom = factors.of(part)
        if rule.keeps_moment:
            over = first_moment(piece(state["exp_avg"], part, rows), grad, rule, by)
            if keep:
                store(piece(state["exp_avg"], part, rows), over, by.ok)
            over = steered(over, grad, rule)
        return divided(weighted(grad, d, rule) if over is None else over, denom, d, grad, rule, by)

    squares: Tensor | None = None
    if rule.clip:
        squares = summed([square_sum(update(part, keep=False)) for part in parts])
    for part in parts:
        found = update(part, keep=True)
        yield part, found if squares is None else clipped(found, squares, rule, by, number_of(stack.y))


def penalized(grad: Tensor, y: Tensor, rule: Rule) -> Tensor:
    """The gradient of the loss with its l2 penalty, where there is one."""
    return grad + y.float() * rule.weight_decay if rule.penalizes else grad


def steered(moment: Tensor, grad: Tensor, rule: Rule, share: Tensor | None = None) -> Tensor:
    """What moves weights that are not averaged: the first moment, or what cautious or Grams makes of it.

    `share`: how much of it agrees, if that is known (:func:`ppsf_fast.numerics.agreement`).
    """
    if rule.grams:
        # clause: PPSF-M-031 6a3b5d0e
        return moment.abs() * grad.sign()
    # clause: PPSF-M-030 da5d4c9e
    return moment * agreement(moment, grad, share) if rule.cautious else moment


def weighted(grad: Tensor, d: Tensor, rule: Rule) -> Tensor:
    """A gradient in the unit of the first moment."""
    # clause: PPSF-U-011 46ab4792
    return grad if rule.revision.unit == "g" else grad * d.float()


def _point(stack: Stack, grad: Tensor, y: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """Renew the second moment; returns the divisor, or what FOCUS compares the weights with."""
    if not rule.focus:
        return divisor(stack, grad, rule, by)
    state = stack.state
    before: Tensor = state["exp_avg_sq"].to(torch.float32, copy=True)
    renew_average(state, y, rule, by)
    return before


def divided(over: Tensor, point: Tensor, d: Tensor, y: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """The update without clipping, from what is to be divided and what divides it (:func:`weighted`); all float32."""
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


def clipped(update: Tensor, squares: Tensor, rule: Rule, by: Coefficients, count: int | None = None) -> Tensor:
    """The update, shortened where its root mean square is too large.

    Args:
        update: of whole parameters or of a panel, float32.
        squares: the sum of squares over each whole parameter, in the wide dtype.
        rule, by: of their group.
        count: number of elements of a parameter; None: as many as the update has.
    """
    return update / shortening(squares, count or number_of(update), rule, by)


def shortening(squares: Tensor, count: int, rule: Rule, by: Coefficients) -> Tensor:
    """What the updates of parameters are divided by where their root mean square is too large, float32.

    Args:
        squares: the sum of squares over each parameter, in the wide dtype.
        count: number of elements of a parameter, at least 1.
        rule, by: of their group.
    """
    rms = (squares / count).sqrt()
    if rule.revision.clipping == "soft":
        # clause: PPSF-C-010 1213a55d
        return rms.clamp_min(1.0).sqrt().float()
    # clause: PPSF-C-001 2d530c9c
    return (rms / by.bound).clamp_min(1.0).float()
