"""The usual step on a CPU - factored, averaged, nothing masked - in place and in few operations, panel by panel.

What is computed, and in which order it is rounded, is what :mod:`ppsf_fast.backends.update` and
:mod:`ppsf_fast.backends.weights` say; here it is written for the caches of a processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients, Outcome
from ppsf_fast.backends.moments import Divisor, factored_moment
from ppsf_fast.backends.stacks import Stack, piece
from ppsf_fast.backends.update import shortening
from ppsf_fast.numerics import readable, store_stochastic, total, wide_dtype
from ppsf_fast.rule import Rule

_DTYPES = (torch.float32, torch.bfloat16)
#: Draws the words that weights are rounded by: :func:`ppsf_fast.philox.rounding_words`.
Draw = Callable[[int, int, Tensor, Sequence[int], int], Tensor]


def serves(stack: Stack, rule: Rule, by: Coefficients, moves: Tensor | None) -> bool:
    """Whether this step is one for these parameters."""
    rare = rule.cautious or rule.grams or rule.muon or rule.orthograd or rule.adopt or rule.focus or rule.penalizes
    plain = rule.averages and rule.eps is not None and not (rule.decays and not rule.weight_decay_by_lr)
    if rare or not plain or by.ok is not None or moves is not None or by.unscale is not None:
        return False
    here = readable(stack.y.device) and "exp_avg_sq_row" in stack.state
    return here and stack.y.dtype in _DTYPES and stack.state["z"].dtype == stack.y.dtype


class _Step:
    """One step of some parameters: what all panels share, and room for one panel."""

    def __init__(self, stack: Stack, rule: Rule, by: Coefficients, outcome: Outcome, draw: Draw) -> None:
        self._stack, self._rule, self._by, self._draw = stack, rule, by, draw
        self._parts, self._rows = stack.parts(splits=True), stack.shape[0]
        d = outcome.d if rule.revision.unit == "new_d" else by.d
        plain = rule.revision.unit == "g"
        self._unit = None if plain else d.float()
        eps = rule.eps or 0.0
        self._eps = eps if plain else (d * eps).float()
        size = max(piece(stack.y, part, self._rows).numel() for part in self._parts)
        rooms = 2 if stack.y.dtype == torch.float32 else 3
        self._rooms = [torch.empty(size, dtype=torch.float32, device=stack.y.device) for _ in range(rooms)]
        moment = factored_moment(stack, self._grad, self._parts, rule, by)
        self._divisor = Divisor(moment, stack.shape, rule, by)

    def _room(self, which: int, like: Tensor) -> Tensor:
        return self._rooms[which][: like.numel()].view(like.shape)

    def _widened(self, values: Tensor, which: int) -> Tensor:
        """An array in float32: itself, or else what is in a room."""
        return values if values.dtype == torch.float32 else self._room(which, values).copy_(values)

    def run(self) -> None:
        """Move the second moment and the weights."""
        shorter = None
        if self._rule.clip:
            squares = [self._square_sum(self._update(part)) for part in self._parts]
            shorter = shortening(torch.stack(squares).sum(0), math.prod(self._stack.shape), self._rule, self._by)
        for part in self._parts:
            update = self._update(part)
            self._move(part, update if shorter is None else update.div_(shorter))

    def _grad(self, part: slice) -> Tensor:
        return self._widened(piece(self._stack.grad, part, self._rows), 1)

    def _update(self, part: slice) -> Tensor:
        """The update of a panel before clipping, in the first room."""
        grad = self._grad(part)
        denom = self._divisor.into(part, self._room(0, grad)).add_(self._eps)
        over = grad if self._unit is None else torch.mul(grad, self._unit, out=self._room(1, grad))
        return torch.div(over, denom, out=denom)

    def _square_sum(self, update: Tensor) -> Tensor:
        wide = update.to(wide_dtype(update.device), copy=True)
        return total(wide.mul_(wide))

    def _move(self, part: slice, update: Tensor) -> None:
        y, z = (piece(values, part, self._rows) for values in (self._stack.y, self._stack.state["z"]))
        by, room = self._by, self._room(1, update)
        new_y = self._widened(y, 2)
        if self._rule.decays:
            # clause: PPSF-W-001 29728ec4
            update.add_(torch.mul(new_y, self._rule.weight_decay, out=room))
        # clause: PPSF-Z-002 f37679bd
        way = torch.sub(self._widened(z, 1), new_y, out=room)
        new_y.add_(way.mul_(by.mix)).sub_(torch.mul(update, by.y_step, out=room))
        words = self._words(part, y)
        self._round(y, new_y, words, upper=False)
        # clause: PPSF-Z-003 ab92e5c3
        new_z = self._widened(z, 2).sub_(update.mul_(by.z_step))
        self._round(z, new_z, words, upper=True)

    def _words(self, part: slice, like: Tensor) -> Tensor | None:
        """A random word for each element of a panel, if weights are rounded by them."""
        if like.dtype == torch.float32 or not self._rule.stochastic_rounding:
            return None
        row, places = math.prod(self._stack.shape[1:]), [item.index for item in self._stack.items]
        numel = math.prod(like.shape[1:])
        return self._draw(numel, self._rule.rounding_seed, self._by.k, places, part.start * row).reshape(like.shape)

    @staticmethod
    def _round(place: Tensor, value: Tensor, words: Tensor | None, upper: bool) -> None:
        """Store new weights; y takes the lower half of a word, then z the upper one."""
        if words is not None:
            noise = words.bitwise_right_shift_(16).bitwise_and_(0xFFFF) if upper else words.bitwise_and(0xFFFF)
            store_stochastic(place, value, noise)
        elif place.dtype != torch.float32:
            place.copy_(value)


def move(stack: Stack, rule: Rule, by: Coefficients, outcome: Outcome, draw: Draw) -> None:
    """Move the moments and the weights of parameters for which :func:`serves` holds."""
    _Step(stack, rule, by, outcome, draw).run()
