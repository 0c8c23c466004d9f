"""The usual step on a CPU - factored, averaged, nothing masked - in place and in few operations, panel by panel.

What is computed, and in which order it is rounded, is what :mod:`ppsf_fast.backends.update` and
:mod:`ppsf_fast.backends.weights` say; here it is written for the caches of a processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import IntEnum

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients, Outcome
from ppsf_fast.backends.moments import Divisor, factored_moment
from ppsf_fast.backends.room import Room
from ppsf_fast.backends.stacks import Stack, piece
from ppsf_fast.backends.update import shortening
from ppsf_fast.numerics import readable, store_stochastic, total, wide_dtype
from ppsf_fast.philox import BLOCK
from ppsf_fast.rule import Rule

_DTYPES = (torch.float32, torch.bfloat16)
#: Draws the words that weights are rounded by: :func:`ppsf_fast.philox.rounding_words`.
Draw = Callable[[int, int, Tensor, Sequence[int], int, Tensor], Tensor]


def serves(stack: Stack, rule: Rule, by: Coefficients, moves: Tensor | None) -> bool:
    """Whether this step is one for these parameters."""
    rare = rule.cautious or rule.grams or rule.muon or rule.orthograd or rule.adopt or rule.focus or rule.penalizes
    plain = rule.averages and rule.eps is not None and not (rule.decays and not rule.weight_decay_by_lr)
    if rare or not plain or by.ok is not None or moves is not None or by.unscale is not None:
        return False
    here = readable(stack.y.device) and "exp_avg_sq_row" in stack.state
    return here and stack.y.dtype in _DTYPES and stack.state["z"].dtype == stack.y.dtype


class _Place(IntEnum):
    """What the room of a panel is for: four arrays of its size."""

    Y = 0
    Z = 1
    UPDATE = 2
    WORDS = 3


class _Step:
    """One step of some parameters: what all panels share, and room for one panel.

    The places of y and z also hold what is needed before there are new weights: the gradient, squares, differences. All
    but the last are where the random words are made, so these come first.
    """

    def __init__(self, stack: Stack, rule: Rule, by: Coefficients, outcome: Outcome, room: Room, draw: Draw) -> None:
        self._stack, self._rule, self._by, self._draw = stack, rule, by, draw
        self._parts, self._rows = stack.parts(splits=True), stack.shape[0]
        self._row = math.prod(stack.shape[1:])
        d = outcome.d if rule.revision.unit == "new_d" else by.d
        plain = rule.revision.unit == "g"
        self._unit = None if plain else d.float()
        eps = rule.eps or 0.0
        self._eps = eps if plain else (d * eps).float()
        size = max(self._size(part) for part in self._parts)
        self._room = room.take("panel", (len(_Place) * size,), torch.float32, stack.y.device)
        moment = factored_moment(stack, self._grad, self._parts, rule, by, self._wide)
        self._divisor = Divisor(moment, stack.shape, rule, by)

    def _numel(self, part: slice) -> int:
        """Elements of each parameter in a panel."""
        return int(part.stop - part.start) * self._row

    def _size(self, part: slice) -> int:
        """Elements of a panel in whole blocks of random words."""
        return len(self._stack.items) * -(-self._numel(part) // BLOCK) * BLOCK

    def _enter(self, part: slice) -> None:
        """Divide the room for a panel."""
        size = self._size(part)
        self._places = self._room[: len(_Place) * size].view(len(_Place), size)

    def _at(self, place: _Place, like: Tensor) -> Tensor:
        return self._places[place, : like.numel()].view(like.shape)

    def _widened(self, values: Tensor, place: _Place) -> Tensor:
        """An array in float32: itself, or else what is in a place."""
        return values if values.dtype == torch.float32 else self._at(place, values).copy_(values)

    def _wide(self, values: Tensor) -> Tensor:
        """A copy in the wide dtype, in the places of y and z."""
        both = self._places[: _Place.UPDATE].view(-1).view(wide_dtype(values.device))
        return both[: values.numel()].view(values.shape).copy_(values)

    def run(self) -> None:
        """Move the second moment and the weights."""
        shorter = None
        if self._rule.clip and len(self._parts) > 1:
            shorter = self._shortening([self._square_sum(self._update(part)) for part in self._parts])
        for part in self._parts:
            self._enter(part)
            words = self._words(part)
            update = self._update(part)
            if self._rule.clip:
                update.div_(self._shortening([self._square_sum(update)]) if shorter is None else shorter)
            self._move(part, update, words)

    def _grad(self, part: slice) -> Tensor:
        self._enter(part)
        return piece(self._stack.grad, part, self._rows)

    def _update(self, part: slice) -> Tensor:
        """The update of a panel before clipping, in its place."""
        grad = self._widened(self._grad(part), _Place.Y)
        denom = self._divisor.into(part, self._at(_Place.UPDATE, grad)).add_(self._eps)
        over = grad if self._unit is None else torch.mul(grad, self._unit, out=self._at(_Place.Y, grad))
        return torch.div(over, denom, out=denom)

    def _square_sum(self, update: Tensor) -> Tensor:
        wide = self._wide(update)
        return total(wide.mul_(wide))

    def _shortening(self, squares: Sequence[Tensor]) -> Tensor:
        return shortening(torch.stack(list(squares)).sum(0), self._rows * self._row, self._rule, self._by)

    def _move(self, part: slice, update: Tensor, words: Tensor | None) -> None:
        y, z = (piece(values, part, self._rows) for values in (self._stack.y, self._stack.state["z"]))
        by, way = self._by, self._at(_Place.Z, update)
        new_y = self._widened(y, _Place.Y)
        if self._rule.decays:
            # clause: PPSF-W-001 29728ec4
            update.add_(torch.mul(new_y, self._rule.weight_decay, out=way))
        # clause: PPSF-Z-002 f37679bd
        torch.sub(self._widened(z, _Place.Z), new_y, out=way)
        new_y.add_(way.mul_(by.mix)).sub_(torch.mul(update, by.y_step, out=way))
        # clause: PPSF-Z-003 ab92e5c3
        new_z = self._widened(z, _Place.Z).sub_(update.mul_(by.z_step))
        if words is not None:
            self._round(y, z, words)
        elif y.dtype != torch.float32:
            y.copy_(new_y)
            z.copy_(new_z)

    def _words(self, part: slice) -> Tensor | None:
        """A random word for each element of a panel, if weights are rounded by them."""
        if self._stack.y.dtype == torch.float32 or not self._rule.stochastic_rounding:
            return None
        places, first = [item.index for item in self._stack.items], part.start * self._row
        room = self._places.view(-1).view(torch.int64)
        return self._draw(self._numel(part), self._rule.rounding_seed, self._by.k, places, first, room)

    def _round(self, y: Tensor, z: Tensor, words: Tensor) -> None:
        """Store new weights; y takes the lower half of a word, then z the upper one."""
        words, numel = words.reshape(-1), y.numel()
        noise = self._places[_Place.UPDATE :, :numel].view(torch.int32)
        torch.bitwise_and(words, 0xFFFF, out=noise[0])
        torch.bitwise_right_shift(words, 16, out=noise[1]).bitwise_and_(0xFFFF)
        store_stochastic((y, z), self._places[: _Place.UPDATE, :numel], noise)


def move(stack: Stack, rule: Rule, by: Coefficients, outcome: Outcome, room: Room, draw: Draw) -> None:
    """Move the moments and the weights of parameters for which :func:`serves` holds."""
    _Step(stack, rule, by, outcome, room, draw).run()
