"""The moments of parameters: they move in every good step, whatever the estimate does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ppsf_fast import focus, muon
from ppsf_fast.backends.coefficients import Coefficients
from ppsf_fast.backends.stacks import Stack, piece
from ppsf_fast.numerics import mean_over, root, seen_positive, store, wide_dtype
from ppsf_fast.rule import Rule
from ppsf_fast.state import FILLED, State, factored_axes, moment_names


def filled(state: State, rule: Rule) -> Tensor | None:
    """Under ADOPT: whether there is a second moment to divide by, a bool for each parameter; None: there is."""
    return state[FILLED].clone() if rule.adopt else None


class Divisor:
    """The root of the second moment of some parameters, panel by panel, in the shape of the gradient.

    Args:
        moment: in float32: of each element, or of rows and columns.
        shape: of each parameter.
    """

    def __init__(self, moment: Sequence[Tensor], shape: Sequence[int], rule: Rule, by: Coefficients) -> None:
        self._rows, self._by, self._factors = (shape[0] if len(shape) else 1), by, list(moment)
        if len(moment) == 2:
            row, column = moment
            _, column_axis = factored_axes(shape, rule.revision) or (0, 0)
            # clause: PPSF-V-005 170be250
            mean = mean_over(row, column_axis + 1)
            self._factors = [root(_relative(row, mean)), root(column)]

    def of(self, part: slice) -> Tensor:
        """The root in a panel."""
        pieces = [piece(factor, part, self._rows) for factor in self._factors]
        if len(pieces) == 2:
            return pieces[0] * pieces[1]
        return own_root(pieces[0], self._by)

    def into(self, part: slice, room: Tensor) -> Tensor:
        """The same of factored parameters, in an array that is there."""
        row, column = (piece(factor, part, self._rows) for factor in self._factors)
        return torch.mul(row, column, out=room)


def _relative(row: Tensor, mean: Tensor) -> Tensor:
    """Rows over their mean, 0 where that is 0; most often the host sees that it is nowhere."""
    if seen_positive(mean):
        return row / mean
    return torch.where(mean > 0, row / mean, 0.0)


def own_root(moment: Tensor, by: Coefficients) -> Tensor:
    """The root of the second moment of each element."""
    # clause: PPSF-V-004 ef012b6a
    return root(moment if by.share is None else moment / by.share)


def divisor(stack: Stack, grad: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """Renew the second moment; returns the root to divide by, as an array of the gradient's shape."""
    state, whole = stack.state, slice(0, stack.shape[0] if stack.shape else 1)
    if not rule.adopt:
        return Divisor(_renewed(stack, grad, rule, by), stack.shape, rule, by).of(whole)
    # clause: PPSF-M-006 bc3f0bb3
    before = Divisor([state[name].float() for name in moment_names(state)], stack.shape, rule, by).of(whole)
    _renewed(stack, grad, rule, _filling(state, by))
    return before


def _filling(state: State, by: Coefficients) -> Coefficients:
    has = state[FILLED].clone()
    store(state[FILLED], torch.ones_like(has), by.ok)
    return filling(has, by)


def filling(has: Tensor, by: Coefficients) -> Coefficients:
    """What renews the second moment under ADOPT: in its first step, where it has none, the gradient makes it."""
    # clause: PPSF-M-005 dfcd9473
    return replace(
        by,
        keep=torch.where(has, by.keep, 0.0),
        gain=torch.where(has, by.gain, by.unit),
        renewal=torch.where(has, by.renewal, 1.0),
    )


def own_moment(state: State, grad: Tensor, part: slice, by: Coefficients, rows: int) -> Tensor:
    """The new second moment of each element of a panel, float32; nothing is stored."""
    # clause: PPSF-V-001 eda871f8
    # clause: PPSF-V-010 ba9d63ae
    return piece(state["exp_avg_sq"], part, rows).float() * by.keep + grad * grad * by.gain


def _renewed(stack: Stack, grad: Tensor, rule: Rule, by: Coefficients) -> list[Tensor]:
    """Renew the second moment; returns it in float32: of each element, or of rows and columns."""
    if "exp_avg_sq" not in stack.state:
        return factored_moment(stack, lambda _: grad, [slice(0, stack.shape[0])], rule, by)
    rows = stack.shape[0] if stack.shape else 1
    new = own_moment(stack.state, grad, slice(0, rows), by, rows)
    store(stack.state["exp_avg_sq"], new, by.ok)
    return [new]


def _copied_wide(grad: Tensor) -> Tensor:
    return grad.to(wide_dtype(grad.device), copy=True)


def factored_moment(
    stack: Stack,
    grad_of: Callable[[slice], Tensor],
    parts: Sequence[slice],
    rule: Rule,
    by: Coefficients,
    wide_of: Callable[[Tensor], Tensor] = _copied_wide,
) -> list[Tensor]:
    """Renew the second moment of factored parameters; returns rows and columns in float32.

    Args:
        stack: the parameters.
        grad_of: their gradient in a panel, float32 or narrower.
        parts: the panels.
        rule, by: of their group.
        wide_of: a copy of a panel in the wide dtype, which is used up before the next one is asked for.
    """
    axes = [axis + 1 for axis in factored_axes(stack.shape, rule.revision) or (0, 0)]
    pieces: tuple[list[Tensor], list[Tensor]] = ([], [])
    for part in parts:
        wide = wide_of(grad_of(part))
        wide.mul_(wide)
        for axis, found in zip(axes, pieces, strict=True):
            sums = wide.sum(axis, keepdim=True)
            if axis == 1 and found:
                found[0].add_(sums)
            else:
                found.append(sums)
    # clause: PPSF-V-003 e56301e2
    # clause: PPSF-V-011 bfc8a7dc
    row_mean, column_mean = (_mean(found, axis, stack) for axis, found in zip(axes, pieces, strict=True))
    places = [stack.state[name] for name in moment_names(stack.state)]
    return [_blended(place, mean, by) for place, mean in zip(places, (row_mean, column_mean), strict=True)]


def _blended(place: Tensor, mean: Tensor, by: Coefficients) -> Tensor:
    """Renew a moment by a mean, which is used up; returns it in float32: to be read, it may be what is stored."""
    added = mean.mul_(by.gain)
    if by.ok is None and place.dtype == torch.float32:
        return place.mul_(by.keep).add_(added)
    moment = place.float() * by.keep + added
    store(place, moment, by.ok)
    return moment


def _mean(sums: Sequence[Tensor], axis: int, stack: Stack) -> Tensor:
    """The mean over an axis, rounded once to float32, from sums over panels of the first axis of the parameters."""
    whole = sums[0] if len(sums) == 1 else torch.cat(list(sums), 1)
    return (whole / stack.shape[axis - 1]).float()


def renew_average(state: State, y: Tensor, rule: Rule, by: Coefficients) -> None:
    """Renew the average of the weights that FOCUS keeps in the place of the second moment."""
    if rule.adopt:
        by = _filling(state, by)
    store(state["exp_avg_sq"], focus.renewed(state["exp_avg_sq"].float(), y, by.renewal), by.ok)


def renew_size(state: State, update: Tensor, by: Coefficients) -> Tensor:
    """Renew what Muon keeps in the place of the second moment; returns it."""
    size = muon.renewed(state["rms_sq"].view(()), update, by.keep, by.gain)
    store(state["rms_sq"], size.view_as(state["rms_sq"]), by.ok)
    return size


def first_moment(before: Tensor, grad: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """The first moment after a step, float32, from the one before; nothing is stored."""
    # clause: PPSF-U-010 3667548e
    moment: Tensor = before.float() * rule.beta1 + grad * by.moment_gain
    return moment


def normalized_moment(state: State, update: Tensor, mask: Tensor | None, rule: Rule, by: Coefficients) -> Tensor:
    """Update the first moment under ADOPT, that of normalized gradients; returns it.

    Args:
        state: of the parameter.
        update: the normalized gradient, float32.
        mask: whether the moment is written, 0-d bool; None: it is.
    """
    before = state["exp_avg"] if rule.keeps_moment else None
    moment = moment_of_normalized(before, update, rule, by)
    if before is not None:
        store(before, moment, mask)
    return moment


def moment_of_normalized(before: Tensor | None, update: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """The same from the moment before the step, if one is kept; nothing is stored."""
    # clause: PPSF-M-032 4f307814
    limit = by.k.to(by.d.dtype).pow(0.25).float()
    cut = torch.maximum(torch.minimum(update, limit), -limit)
    return cut if before is None else before.float() * rule.beta1 + cut * (1 - rule.beta1)
