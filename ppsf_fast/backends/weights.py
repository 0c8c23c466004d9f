"""The weights of one parameter: new y and z, or new weights where nothing is averaged."""

from __future__ import annotations

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients, Outcome, both
from ppsf_fast.backends.moments import filled
from ppsf_fast.backends.update import updated
from ppsf_fast.numerics import agreement, store
from ppsf_fast.philox import rounding_words
from ppsf_fast.plan import Item
from ppsf_fast.rule import Rule


def move(item: Item, rule: Rule, by: Coefficients, outcome: Outcome) -> None:
    """Move the moments and the weights of one parameter."""
    grad, y = item.grad.float(), item.param.float()
    if rule.penalizes:
        grad = grad + y * rule.weight_decay
    moves = both(outcome.moves, filled(item.state, rule))
    update = updated(item.state, grad, y, rule, by, outcome)
    noise_y, noise_z = _noise(item, rule, by.k)
    if not rule.averages:
        store(item.param, _without_average(y, update, rule, by), moves, noise_y)
        return
    new_y, new_z = _average(y, item.state["z"].float(), update, rule, by)
    store(item.param, new_y, moves, noise_y)
    store(item.state["z"], new_z, moves, noise_z)


def _without_average(y: Tensor, update: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    decayed = y - y * by.y_decay if rule.decays else y
    # clause: PPSF-Z-012 ec80dd2d
    return decayed - update * by.z_step


def _average(y: Tensor, z: Tensor, update: Tensor, rule: Rule, by: Coefficients) -> tuple[Tensor, Tensor]:
    """The new y and z."""
    if rule.decays and rule.weight_decay_by_lr:
        # clause: PPSF-W-001 29728ec4
        update = update + y * rule.weight_decay
    new_y = _new_y(y, z, update, rule, by)
    # clause: PPSF-Z-003 ab92e5c3
    new_z = z - update * by.z_step
    if rule.decays and not rule.weight_decay_by_lr:
        # clause: PPSF-W-002 04320623
        new_y = new_y - y * by.y_decay
        new_z = new_z - y * rule.weight_decay
    return new_y, new_z


def _new_y(y: Tensor, z: Tensor, update: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    # clause: PPSF-Z-002 f37679bd
    if not (rule.cautious or rule.grams):
        return torch.lerp(y, z, by.mix) - update * by.y_step
    decrease = (y - z) * by.mix + update * by.y_step
    if rule.grams:
        # clause: PPSF-M-002 dd8e6b2b
        return y - decrease.abs() * update.sign()
    # clause: PPSF-M-001 9062a592
    return y - decrease * agreement(decrease, update)


def _noise(item: Item, rule: Rule, k: Tensor) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """The random bits that round y and z, or None if they round to nearest."""
    dtypes = {item.param.dtype, item.state.get("z", item.param).dtype}
    if not rule.stochastic_rounding or torch.bfloat16 not in dtypes:
        return None, None
    words = rounding_words(item.param.numel(), rule.rounding_seed, k, item.index).view(item.param.shape)
    return (words & 0xFFFF).int(), (words >> 16).int()
