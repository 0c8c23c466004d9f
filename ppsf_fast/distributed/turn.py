"""The step of one sharded parameter, as a generator: it yields sums that other processes have to complete, and goes on.

Between two exchanges nothing of the size of the piece is kept: what is needed again is computed again, from state and
weights that are written last. So all parameters go through a pass together, and their sums meet in one buffer.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from ppsf_fast import focus, muon, speed
from ppsf_fast.backends.coefficients import Coefficients, Outcome, both
from ppsf_fast.backends.moments import filled, filling, first_moment, moment_of_normalized, own_root
from ppsf_fast.backends.room import Room
from ppsf_fast.backends.statistics import Samples, Statistics, point_of, remembers, signed_root
from ppsf_fast.backends.update import clipped, divided, penalized, steered, unit_of, weighted
from ppsf_fast.backends.weights import averaged, decrease, not_averaged, with_decay
from ppsf_fast.distributed.bits import words
from ppsf_fast.distributed.factors import Factors
from ppsf_fast.distributed.parts import Part
from ppsf_fast.distributed.reductions import Partial
from ppsf_fast.numerics import agreeing, squared, store, whole
from ppsf_fast.orthograd import projection, stretch
from ppsf_fast.rule import Rule
from ppsf_fast.scaling import unscaled
from ppsf_fast.speed import COURSE
from ppsf_fast.state import FILLED

#: Yields sums and is sent them complete; in between, once, its share of the estimate, and is sent the outcome.
Turn = Generator[list[Partial] | Statistics, Any, None]
Exchange = Generator[list[Partial], list[Tensor], Any]


def turn(part: Part, rule: Rule, by: Coefficients) -> Turn:
    """Step a parameter.

    Args:
        part: with its state.
        rule, by: of its group; the numbers are on its device, and `ok` says whether it may change.
    """
    remembering = Remembering(part, rule, by) if remembers(part.state, rule) else None
    moving = Moving(part, rule, by)
    asked, first = (remembering.asked() if remembering else []), moving.first_sums()
    found = yield [*asked, *first]
    outcome = yield remembering.share(found[: len(asked)]) if remembering else _nothing(by)
    if remembering:
        remembering.keep()
    yield from moving.run(found[len(asked) :], outcome)


def _nothing(by: Coefficients) -> Statistics:
    """The share of a parameter that the estimate does not look at, or not any more."""
    zero = torch.zeros(1, dtype=by.d.dtype, device=by.d.device)
    return Statistics(zero, zero)


class Remembering:
    """What a parameter remembers for the estimate, in one step."""

    def __init__(self, part: Part, rule: Rule, by: Coefficients) -> None:
        self._part, self._rule, self._by = part, rule, by
        self._counts = filled(part.state, rule)
        self._new: Sequence[Tensor] = ()

    def asked(self) -> list[Partial]:
        """The sums over its samples."""
        part, rule, runs = self._part, self._rule, self._part.layout.runs
        start = part.state["p0"].view(1, -1)
        grad, point = (
            runs.sample(each, rule.stride).view(1, -1) for each in (part.grad, point_of(part.y, part.state, rule))
        )
        samples = Samples(Room(), (1, start.numel()), start.device)
        samples.read(grad, start, point, rule, self._by)
        grad, displacement = samples.grad[0], samples.way[0]
        # clause: PPSF-D-002 d788f0e1
        sums = [whole(grad * displacement)]
        if rule.by_displacement:
            sums += [whole(displacement.abs()), whole(displacement * displacement)]
        else:
            self._new = [self._gradient_sum(grad)]
            # clause: PPSF-D-004 58e6761c
            sums.append(whole(self._new[0].abs()))
        return [Partial(each, part.layout.whole) for each in sums]

    def _gradient_sum(self, grad: Tensor) -> Tensor:
        rule = self._rule
        if rule.by_signs:
            grad = speed.signed(grad)
        elif rule.amplifies:
            # clause: PPSF-D-023 dbf30264
            grad = signed_root(grad)
        # clause: PPSF-D-003 e3d54af9
        before: Tensor = self._part.state["s"].float()
        return before * rule.beta3 + grad * self._by.sum_weight

    def share(self, found: Sequence[Tensor]) -> Statistics:
        """What it contributes, shape (1,), from the completed sums."""
        rule, by, inner = self._rule, self._by, found[0]
        if rule.by_signs:
            inner = speed.signed(inner)
        elif rule.amplifies:
            inner = signed_root(inner)
        if rule.by_displacement:
            self._new = speed.course([self._part.state[name] for name in COURSE], inner, (found[1], found[2]), by.k)
            share = Statistics(speed.course_item(self._new, by.item_weight), self._new[-1])
        else:
            share = Statistics(inner * by.item_weight, found[1])
        share = share if self._counts is None else share.where(self._counts)
        return Statistics(share.inner.view(1), share.norm.view(1))

    def keep(self) -> None:
        """Store what it remembers."""
        mask = both(self._by.adapts, self._counts)
        for name, value in zip(COURSE if self._rule.by_displacement else ("s",), self._new, strict=True):
            store(self._part.state[name], value, mask)


class Moving:
    """Moments and weights of a parameter, in one step."""

    def __init__(self, part: Part, rule: Rule, by: Coefficients) -> None:
        self._part, self._rule, self._by = part, rule, by
        self._muon = part.by_muon(rule)
        self._counts = filled(part.state, rule)
        self._renewing = by if self._counts is None else filling(self._counts, by)
        axes = None if rule.focus else part.axes(rule)
        self._factors = None if axes is None else Factors(part, axes, self._renewing, rule.adopt)
        self._outcome = Outcome(by.d, None)
        #: What is known once it has been asked for.
        self._straight: tuple[Tensor, Tensor] | None = None
        self._steered: Tensor | None = None
        self._turned: Tensor | None = None

    def first_sums(self) -> list[Partial]:
        """The sums that need no others, nor the estimate."""
        if self._muon:
            return []
        if self._rule.orthograd:
            grad, y = self._gradient(), self._part.y.float()
            return self._totals(y * y, y * grad, grad * grad)
        return self._factors.asked(self._gradient()) if self._factors else []

    def run(self, found: Sequence[Tensor], outcome: Outcome) -> Exchange:
        """Move it.

        Args:
            found: what came of the first sums.
            outcome: what the estimate became.
        """
        self._outcome = outcome
        if self._muon:
            update = yield from self._by_muon()
        else:
            yield from self._learn(found)
            update = yield from self._clipped()
        share = None
        if self._rule.averages and self._rule.cautious:
            y, z = self._part.y.float(), self._part.stored("z").float()
            driving = with_decay(update, y, self._rule)
            (agreed,) = yield self._totals(agreeing(decrease(y, z, driving, self._by), driving))
            share = agreed / self._numel
        self._store(update, share)

    @property
    def _numel(self) -> int:
        return max(math.prod(self._part.layout.shape), 1)

    def _totals(self, *values: Tensor) -> list[Partial]:
        return [Partial(whole(each), self._part.layout.whole) for each in values]

    # -------------------------------------------------------------------------------------------------- moments

    def _learn(self, found: Sequence[Tensor]) -> Exchange:
        """Find out what the update needs to know of the whole parameter; store the means over rows and columns."""
        if self._rule.orthograd:
            along, grad, y = projection(found[0], found[1]), self._gradient(), self._part.y.float()
            rest = grad - y * along
            (left,) = yield self._totals(rest * rest)
            self._straight = along, stretch(found[2], left)
            if self._factors:
                found = yield self._factors.asked(self._gradient())
        if self._factors:
            self._factors.renew(found, self._by.ok)
        if self._steers and self._rule.cautious:
            (agreed,) = yield self._totals(agreeing(*self._steerable()))
            self._steered = agreed / self._numel

    def _gradient(self) -> Tensor:
        """The gradient that the moments see, float32."""
        grad = penalized(unscaled(self._part.grad, self._by.unscale), self._part.y, self._rule)
        if self._straight is None:
            return grad
        along, factor = self._straight
        return (grad - self._part.y.float() * along) * factor

    def _own_moment(self) -> Tensor:
        """The new second moment of each element, or the new average of the weights, float32."""
        before = self._part.stored("exp_avg_sq").float()
        if self._rule.focus:
            return focus.renewed(before, self._part.y.float(), self._renewing.renewal)
        grad = self._gradient()
        # clause: PPSF-V-001 eda871f8
        # clause: PPSF-V-010 ba9d63ae
        return before * self._renewing.keep + grad * grad * self._renewing.gain

    def _point(self) -> Tensor:
        """What divides the update, or what FOCUS compares the weights with."""
        if self._factors:
            return self._factors.divisor()
        if self._rule.focus:
            return self._part.stored("exp_avg_sq").float()
        # clause: PPSF-M-006 bc3f0bb3
        moment = self._part.stored("exp_avg_sq").float() if self._rule.adopt else self._own_moment()
        return own_root(moment, self._by)

    # --------------------------------------------------------------------------------------------------- update

    @property
    def _steers(self) -> bool:
        """Whether a first moment moves the weights."""
        return not self._rule.averages and (self._rule.adopt or self._rule.keeps_moment)

    def _steerable(self) -> tuple[Tensor, Tensor]:
        """The new first moment, and the gradient it may have to agree with."""
        rule, by, grad = self._rule, self._by, self._gradient()
        before = self._part.stored("exp_avg") if rule.keeps_moment else None
        if rule.adopt:
            normalized = divided(weighted(grad, by.d, rule), self._point(), by.d, self._part.y.float(), rule, by)
            return moment_of_normalized(before, normalized, rule, by), normalized
        assert before is not None
        return first_moment(before, grad, rule, by), grad

    def _direction(self) -> Tensor:
        """The update before any clipping."""
        rule, by, d, y = self._rule, self._by, unit_of(self._rule, self._by, self._outcome), self._part.y.float()
        if not self._steers:
            return divided(weighted(self._gradient(), d, rule), self._point(), d, y, rule, by)
        over = steered(*self._steerable(), rule, self._steered)
        return over if rule.adopt else divided(over, self._point(), d, y, rule, by)

    def _clipped(self) -> Exchange:
        if not self._rule.clip:
            return self._direction()
        update = self._direction()
        asked = self._totals(squared(update))
        del update  # while the others are asked, and other parameters take their turn
        (squares,) = yield asked
        return clipped(self._direction(), squares, self._rule, self._by, self._numel)

    def _by_muon(self) -> Exchange:
        """Every process that has a piece of a matrix gathers the gradient, and orthogonalises all of it."""
        layout, state = self._part.layout, self._part.state
        matrix = layout.runs.scattered(self._gradient(), layout.shape)
        (matrix,) = yield [Partial(matrix, layout.whole)]
        update = muon.direction(matrix)
        self._turned = muon.renewed(state["rms_sq"], update, self._by.keep, self._by.gain)
        update = muon.scaled(update, self._turned)
        squares = whole(squared(update))
        piece = layout.runs.taken(update).view(self._part.y.shape)
        return clipped(piece, squares, self._rule, self._by, self._numel) if self._rule.clip else piece

    # -------------------------------------------------------------------------------------------------- storing

    def _store(self, update: Tensor, share: Tensor | None) -> None:
        """Write weights and moments, each with one rounding: none is read any more."""
        part, rule, by = self._part, self._rule, self._by
        writes = [(part.stored(name), value, mask, None) for name, value, mask in self._moments()]
        moves, noise = both(self._outcome.moves, self._counts), self._noise()
        y = part.y.float()
        if rule.averages:
            z = part.stored("z")
            new_y, new_z = averaged(y, z.float(), update, rule, by, share)
            targets = [(part.y, new_y, moves, noise[0]), (z, new_z, moves, noise[1])]
        else:
            targets = [(part.y, not_averaged(y, update, rule, by), moves, noise[0])]
        for target, value, mask, bits in [*targets, *writes]:
            store(target, value, mask, bits)

    def _moments(self) -> list[tuple[str, Tensor, Tensor | None]]:
        """What is stored of the moments besides rows and columns: name, new value, and where it is written."""
        rule, by, found = self._rule, self._by, []
        if self._turned is not None:
            found.append(("rms_sq", self._turned, by.ok))
        elif self._factors is None:
            found.append(("exp_avg_sq", self._own_moment(), by.ok))
        if rule.keeps_moment and not self._muon:
            found.append(("exp_avg", self._steerable()[0], both(by.ok, self._counts) if rule.adopt else by.ok))
        if self._counts is not None and not self._muon:
            found.append((FILLED, torch.ones_like(self._counts), by.ok))
        return found

    def _noise(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        part, rule = self._part, self._rule
        dtypes = {part.y.dtype, part.stored("z").dtype} if rule.averages else {part.y.dtype}
        if not rule.stochastic_rounding or torch.bfloat16 not in dtypes:
            return None, None
        bits = words(part.layout.runs, rule.rounding_seed, self._by.k, part.index).view(part.y.shape)
        return bits & 0xFFFF, (bits >> 16) & 0xFFFF
