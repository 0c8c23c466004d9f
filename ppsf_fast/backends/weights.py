"""The weights of parameters: new y and z, or new weights where nothing is averaged."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ppsf_fast.backends import usual
from ppsf_fast.backends.coefficients import Coefficients, Outcome, both
from ppsf_fast.backends.moments import filled
from ppsf_fast.backends.room import Room
from ppsf_fast.backends.stacks import Stack, piece
from ppsf_fast.backends.update import penalized, splits, updated, updates
from ppsf_fast.numerics import agreement, store
from ppsf_fast.philox import rounding_words
from ppsf_fast.rule import Rule
from ppsf_fast.scaling import unscaled


def move(stack: Stack, rule: Rule, by: Coefficients, outcome: Outcome, room: Room) -> None:
    """Move the moments and the weights of parameters; `room`: for what is made on the way."""
    moves = both(outcome.moves, filled(stack.state, rule))
    if usual.serves(stack, rule, by, moves):
        usual.move(stack, rule, by, outcome, room, rounding_words)
        return
    rows = stack.shape[0] if stack.shape else 1
    parts = stack.parts(splits(rule))
    if len(parts) > 1:
        found = updates(stack, parts, rule, by, outcome)
    else:
        grad, y = unscaled(stack.grad, by.unscale), stack.y.float()
        found = iter([(parts[0], updated(stack, penalized(grad, y, rule), y, rule, by, outcome))])
    for part, update in found:
        y, noise = piece(stack.y, part, rows), _noise(stack, part, rule, by.k)
        if not rule.averages:
            store(y, not_averaged(y.float(), update, rule, by), moves, noise[0])
            continue
        z = piece(stack.state["z"], part, rows)
        new_y, new_z = averaged(y.float(), z.float(), update, rule, by)
        store(y, new_y, moves, noise[0])
        store(z, new_z, moves, noise[1])


def not_averaged(y: Tensor, update: Tensor, rule: Rule, by: Coefficients) -> Tensor:
    """The new weights where nothing is averaged; all float32."""
    decayed = y - y * by.y_decay if rule.decays else y
    # clause: PPSF-Z-012 ec80dd2d
    return decayed - update * by.z_step


def averaged(
    y: Tensor, z: Tensor, update: Tensor, rule: Rule, by: Coefficients, share: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The new y and z, all float32; `share`: how much of the decrease agrees with the update, if that is known."""
    update = with_decay(update, y, rule)
    new_y = _new_y(y, z, update, rule, by, share)
    # clause: PPSF-Z-003 ab92e5c3
    new_z = less(z, update, by.z_step)
    if rule.decays and not rule.weight_decay_by_lr:
        # clause: PPSF-W-002 04320623
        new_y = new_y - y * by.y_decay
        new_z = new_z - y * rule.weight_decay
    return new_y, new_z


def less(values: Tensor, update: Tensor, by: Tensor) -> Tensor:
    """Values less an update times a number."""
    return torch.addcmul(values, update, by, value=-1)


def with_decay(update: Tensor, y: Tensor, rule: Rule) -> Tensor:
    """The update of weights that are averaged, with the decay that is scaled as it is."""
    # clause: PPSF-W-001 29728ec4
    return update.add(y, alpha=rule.weight_decay) if rule.decays and rule.weight_decay_by_lr else update


def decrease(y: Tensor, z: Tensor, update: Tensor, by: Coefficients) -> Tensor:
    """What the averaging and the update take from y."""
    return (y - z) * by.mix + update * by.y_step


def _new_y(y: Tensor, z: Tensor, update: Tensor, rule: Rule, by: Coefficients, share: Tensor | None) -> Tensor:
    # clause: PPSF-Z-002 f37679bd
    if not (rule.cautious or rule.grams):
        return less(torch.lerp(y, z, by.mix), update, by.y_step)
    back = decrease(y, z, update, by)
    if rule.grams:
        # clause: PPSF-M-002 dd8e6b2b
        return y - back.abs() * update.sign()
    # clause: PPSF-M-001 9062a592
    return y - back * agreement(back, update, share)


def _noise(stack: Stack, part: slice, rule: Rule, k: Tensor) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """The random bits that round y and z of a panel, or None if they round to nearest."""
    dtypes = {stack.y.dtype, stack.state.get("z", stack.y).dtype}
    if not rule.stochastic_rounding or torch.bfloat16 not in dtypes:
        return None, None
    shape = piece(stack.y, part, stack.shape[0] if stack.shape else 1).shape
    numel, row = math.prod(shape[1:]), math.prod(stack.shape[1:])
    places = [item.index for item in stack.items]
    words = rounding_words(numel, rule.rounding_seed, k, places, part.start * row).reshape(shape)
    return words & 0xFFFF, (words >> 16) & 0xFFFF
