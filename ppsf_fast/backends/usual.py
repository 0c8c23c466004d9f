"""The usual step on a CPU - factored, averaged, nothing masked - in place and in few operations, panel by panel.

What is computed, and in which order it is rounded, is what :mod:`ppsf_fast.backends.update` and
:mod:`ppsf_fast.backends.weights` say; here it is written for the caches of a processor: numbers of the group are read
once, and what may be one operation is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients, Outcome
from ppsf_fast.backends.moments import Divisor, factored_moment
from ppsf_fast.backends.room import PANEL, Room
from ppsf_fast.backends.stacks import Stack, piece
from ppsf_fast.backends.update import shortening
from ppsf_fast.numerics import largest, read_into, readable, store_stochastic, summed, total, wide_dtype
from ppsf_fast.philox import BLOCK, Place
from ppsf_fast.rule import Rule

_DTYPES = (torch.float32, torch.bfloat16)
#: Draws the words that weights are rounded by: :func:`ppsf_fast.philox.rounding_words`.
Draw = Callable[[int, int, Tensor, Sequence[int], int, Place], Tensor]
#: Arrays of the size of a panel that it has room for; where words are drawn, their state takes one more.
_PLACES, _PLACES_OF_DRAWS = 3, 4


def serves(stack: Stack, rule: Rule, by: Coefficients, moves: Tensor | None) -> bool:
    """Whether this step is one for these parameters."""
    rare = rule.cautious or rule.grams or rule.muon or rule.orthograd or rule.adopt or rule.focus or rule.penalizes
    plain = rule.averages and rule.eps is not None and not (rule.decays and not rule.weight_decay_by_lr)
    if rare or not plain or by.ok is not None or moves is not None or by.unscale is not None:
        return False
    y, z = stack.y, stack.state["z"]
    here = readable(y.device) and "exp_avg_sq_row" in stack.state and not (y.is_neg() or z.is_neg())
    return here and y.dtype in _DTYPES and z.dtype == y.dtype


class _Panel:
    """Room for panels of one shape: for y, z, the update, and words.

    The places of y and z also hold what is needed before there are new weights: the gradient, squares. All but the
    last are where the random words are made, so these come first.

    Args:
        room: of the step.
        shape: of a panel of a stack.
        device: of the stack.
        draws: whether words are drawn.
    """

    def __init__(self, room: Room, shape: torch.Size, device: torch.device, draws: bool) -> None:
        numel, each = math.prod(shape), math.prod(shape[1:])
        size = shape[0] * -(-each // BLOCK) * BLOCK if draws else numel + numel % 2  # so that what is wide fits
        places = room.take(PANEL, (_PLACES_OF_DRAWS if draws else _PLACES, size), torch.float32, device)
        self.y, self.z, self.update = (place[:numel].view(shape) for place in places[:3].unbind())
        self.wide = places[:2].view(-1).view(wide_dtype(device))[:numel].view(shape)
        self.numel = each
        self.draws: Place | None = None
        if draws:
            self.draws = Place(shape[0], each, places.view(-1).view(torch.int64))
            self.weights, self.noise = places[:2, :numel], places[2:, :numel].view(torch.int32)

    def widened(self, values: Tensor) -> Tensor:
        """A copy in the wide dtype, in the places of y and z."""
        return self.wide.copy_(values)

    def round(self, targets: Sequence[Tensor], words: Tensor) -> None:
        """Store new weights: those of y take the lower half of a word, those of z the upper one."""
        words = words.reshape(-1)
        torch.bitwise_and(words, 0xFFFF, out=self.noise[0])
        torch.bitwise_right_shift(words, 16, out=self.noise[1]).bitwise_and_(0xFFFF)
        store_stochastic(targets, self.weights, self.noise)


class _Step:
    """One step of some parameters: what all panels share."""

    def __init__(self, stack: Stack, rule: Rule, by: Coefficients, outcome: Outcome, room: Room, draw: Draw) -> None:
        self._stack, self._rule, self._by, self._draw = stack, rule, by, draw
        self._parts, self._rows = stack.parts(splits=True), stack.shape[0]
        self._row = math.prod(stack.shape[1:])
        self._indices = [item.index for item in stack.items]
        d = outcome.d if rule.revision.unit == "new_d" else by.d
        plain, eps = rule.revision.unit == "g", rule.eps or 0.0
        self._unit = None if plain else d.item()
        self._eps = eps if plain else (d * eps).item()
        self._mix, self._y_step, self._z_step = (value.item() for value in (by.mix, by.y_step, by.z_step))
        self._panels = {
            part.stop - part.start: self._room_for(part, room) for part in (self._parts[0], self._parts[-1])
        }
        moment = factored_moment(stack, self._grad, self._parts, rule, by, self._widened)
        self._divisor = Divisor(moment, stack.shape, rule, by)

    def _room_for(self, part: slice, room: Room) -> _Panel:
        y = self._of(self._stack.y, part)
        shape, device, draws = y.shape, y.device, y.dtype != torch.float32 and self._rule.stochastic_rounding
        return room.divided((_Panel, shape, device, draws), lambda: _Panel(room, shape, device, draws))

    def _of(self, values: Tensor, part: slice) -> Tensor:
        return piece(values, part, self._rows)

    def _grad(self, part: slice) -> Tensor:
        return self._of(self._stack.grad, part)

    def _panel(self, part: slice) -> _Panel:
        return self._panels[part.stop - part.start]

    def _widened(self, grad: Tensor) -> Tensor:
        return self._panels[grad.shape[1]].widened(grad)

    def run(self) -> None:
        """Move the second moment and the weights."""
        shorter = None
        if self._rule.clip and len(self._parts) > 1:
            shorter = self._shortening([self._square_sum(self._update(part), part) for part in self._parts])
        for part in self._parts:
            words = self._words(part)
            update = self._update(part)
            if self._rule.clip and len(self._parts) == 1:
                shorter = self._shortening([self._square_sum(update, part)])
            if shorter is not None:
                update.div_(shorter)
            self._move(part, update, words)

    def _update(self, part: slice) -> Tensor:
        """The update of a panel before clipping, in its place."""
        panel, over = self._panel(part), self._grad(part)
        if over.dtype != torch.float32:
            over = read_into(panel.y, over)
        denom = self._divisor.into(part, panel.update).add_(self._eps)
        if self._unit is not None:
            over = torch.mul(over, self._unit, out=panel.y)
        return torch.div(over, denom, out=denom)

    def _square_sum(self, update: Tensor, part: slice) -> Tensor:
        wide = self._panel(part).widened(update)
        return total(wide.mul_(wide))

    def _shortening(self, squares: Sequence[Tensor]) -> Tensor | None:
        """What the update is divided by, from the sums of squares in its panels; None: by 1."""
        whole = summed(squares)
        count, bound = self._rows * self._row, 1.0 if self._rule.revision.clipping == "soft" else self._by.bound.item()
        # As below, and most often so. If float64 rounds otherwise there, the result is next to 1, and 1 in float32.
        if math.sqrt(largest(whole) / count) / bound <= 1:
            return None
        return shortening(whole, count, self._rule, self._by)

    def _move(self, part: slice, update: Tensor, words: Tensor | None) -> None:
        panel, y, z = self._panel(part), self._of(self._stack.y, part), self._of(self._stack.state["z"], part)
        new_y, new_z = (y, z) if y.dtype == torch.float32 else (panel.y.copy_(y), panel.z.copy_(z))
        if self._rule.decays:
            # clause: PPSF-W-001 29728ec4
            update.add_(new_y, alpha=self._rule.weight_decay)
        # clause: PPSF-Z-002 f37679bd
        new_y.lerp_(new_z, self._mix).sub_(update, alpha=self._y_step)
        # clause: PPSF-Z-003 ab92e5c3
        new_z.sub_(update, alpha=self._z_step)
        if words is not None:
            panel.round((y, z), words)
        elif y.dtype != torch.float32:
            y.copy_(new_y)
            z.copy_(new_z)

    def _words(self, part: slice) -> Tensor | None:
        """A random word for each element of a panel, if weights are rounded by them."""
        panel = self._panel(part)
        if panel.draws is None:
            return None
        seed, first = self._rule.rounding_seed, part.start * self._row
        return self._draw(panel.numel, seed, self._by.k, self._indices, first, panel.draws)


def move(stack: Stack, rule: Rule, by: Coefficients, outcome: Outcome, room: Room, draw: Draw) -> None:
    """Move the moments and the weights of parameters for which :func:`serves` holds."""
    _Step(stack, rule, by, outcome, room, draw).run()
