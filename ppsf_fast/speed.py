"""SPEED: an estimate made of signs, which grows by a capped rate."""

from __future__ import annotations

import torch
from torch import Tensor

_GROWTH = 0.975


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
