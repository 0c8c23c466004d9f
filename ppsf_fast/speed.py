"""SPEED: an estimate made of signs, or of displacements, which grows by a capped rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_GROWTH = 0.975
_LEAST_DISPLACEMENT = 1e-8
_LARGEST_STEP = 2**0.25

#: Where the state of a parameter keeps its course: averaged inner product, largest displacement in two norms. They
#: start from 0; a displacement of 0 says that no step has been counted yet.
COURSE = ("exp_avg_x0_dot", "max_x0_minus_l1_norm", "max_x0_minus_l2_norm")


def weight(statistic_weight: Tensor, d0: float) -> Tensor:
    """The weight of this step in the statistics, 0-d."""
    # clause: PPSF-M-010 aede28e9
    return statistic_weight * d0


def signed(values: Tensor) -> Tensor:
    """What counts of a sampled gradient, or of a parameter's inner product: any shape."""
    # clause: PPSF-M-011 33557d3f
    return values.sign()


def capped(d: Tensor, d_hat: Tensor) -> Tensor:
    """How far the candidate may raise d in this step, 0-d; below d it does not."""
    # clause: PPSF-M-012 a96de1b9
    return torch.minimum(d_hat, d.pow(_GROWTH))


def course(
    before: Sequence[Tensor], inner: Tensor, way: tuple[Tensor, Tensor], k: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The course of a parameter after a step.

    Args:
        before: its numbers, in the order of `COURSE`: shape (number of parameters, 1), or any other for all.
        inner: its inner product, likewise, in the wide dtype.
        way: sums over its sampled displacement, likewise: of absolute values, and of squares.
        k: number of the step, 0-d int64.

    Returns:
        the new numbers, in the wide dtype.
    """
    pull, l1, l2 = (value.to(inner.dtype) for value in before)
    # clause: PPSF-M-040 55e6ec90
    gain = torch.where(l1 > 0, k.to(inner.dtype).pow(-0.75), 1.0)
    l1 = torch.maximum(l1, way[0]).clamp_min(_LEAST_DISPLACEMENT)
    l2 = torch.maximum(l2, way[1].sqrt()).clamp_min(_LEAST_DISPLACEMENT)
    return pull * (1 - gain) + inner * gain, l1, l2


def course_item(way: Sequence[Tensor], weight: Tensor) -> Tensor:
    """The share of a parameter in the numerator, 0-d."""
    pull, l1, l2 = way
    # clause: PPSF-M-041 6fabbcc0
    return weight / (1 + l2) ** 2 * (pull / l1)


def grown(d: Tensor, numerator: Tensor, before: Tensor, largest: Tensor, d_coef: float) -> Tensor:
    """d after a step, from the numerator, the one before it and the largest one so far: all 0-d."""
    # clause: PPSF-M-042 fa0ea389
    at_peak = (numerator >= largest) & (numerator > 0) & (before > 0)
    ratio = (numerator / before).sqrt().clamp_max(_LARGEST_STEP)
    return torch.where(at_peak, torch.maximum(d, d * ratio * d_coef**0.125), d)
