"""The factored second moment of a sharded parameter: sums over its rows and columns, and the divisor they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ppsf_fast.backends.coefficients import Coefficients
from ppsf_fast.distributed.parts import Part
from ppsf_fast.distributed.reductions import Partial
from ppsf_fast.numerics import mean_over, root, store, wide_dtype
from ppsf_fast.state import moment_names


@dataclass(slots=True)
class Factors:
    """Rows and columns of one parameter in one step.

    Attributes:
        part: the parameter.
        axes: the axis over which the rows are means, and that of the columns.
        by: what renews them.
        before: whether the divisor is made of what is stored before the step.
    """

    part: Part
    axes: tuple[int, int]
    by: Coefficients
    before: bool
    _roots: list[Tensor] = field(default_factory=list)

    def asked(self, grad: Tensor) -> list[Partial]:
        """The sums that make the new means, from the gradient of the piece, float32."""
        layout, (row, column) = self.part.layout, self.axes
        block = layout.block(grad).to(wide_dtype(grad.device))
        square = block * block
        sums = [square.sum(axis, keepdim=True) for axis in self.axes]
        asked = [
            Partial(layout.spread(each, axis), layout.over((axis,))) for each, axis in zip(sums, self.axes, strict=True)
        ]
        if layout.cuts_factors(column):
            # The mean of the rows is needed too, and none has them all: it is the sum of what the old ones and the new
            # squares say.
            old = self._stored()[0].to(square.dtype).sum(column, keepdim=True)
            asked += [
                Partial(old, layout.over((column,))),
                Partial(sums[0].sum(column, keepdim=True), layout.over((row, column))),
            ]
        return asked

    def renew(self, found: Sequence[Tensor], ok: Tensor | None) -> None:
        """Store the new means, from the completed sums, where `ok` allows it."""
        row_axis, column_axis = self.axes
        old, sizes = self._stored(), [self.part.layout.shape[axis] for axis in self.axes]
        # clause: PPSF-V-003 e56301e2
        # clause: PPSF-V-011 bfc8a7dc
        means = [(each / size).float() for each, size in zip(found[:2], sizes, strict=True)]
        new = [each * self.by.keep + mean * self.by.gain for each, mean in zip(old, means, strict=True)]
        mean = None
        if len(found) > 2:
            wide = found[2].dtype
            total = found[2] if self.before else self.by.keep.to(wide) * found[2]
            total = total if self.before else total + self.by.gain.to(wide) * (found[3] / sizes[0])
            mean = (total / sizes[1]).float()
        row, column = old if self.before else new
        # clause: PPSF-V-005 170be250
        mean = mean_over(row, column_axis) if mean is None else mean
        cut = self.part.layout.cut
        self._roots = [
            cut(root(torch.where(mean > 0, row / mean, 0.0)), row_axis),
            cut(root(column), column_axis),
        ]
        for name, value in zip(moment_names(self.part.state), new, strict=True):
            store(self.part.stored(name), value, ok)

    def divisor(self) -> Tensor:
        """The root of the second moment of each element of the piece."""
        return self.part.layout.unblock(self._roots[0] * self._roots[1])

    def _stored(self) -> list[Tensor]:
        return [self.part.stored(name).float() for name in moment_names(self.part.state)]
