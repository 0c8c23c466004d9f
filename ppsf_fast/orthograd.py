"""OrthoGrad: the gradient of a parameter without its part along the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from ppsf_fast.numerics import total

#: A component shorter than this share of the gradient is rounding, not direction.
_LEAST_SHARE = 2.0**-8


def orthogonal(grad: Tensor, weights: Tensor) -> Tensor:
    """What of a gradient is orthogonal to the weights, as long as the gradient is.

    Args:
        grad, weights: float32, of one shape; the first axis counts parameters.

    Returns:
        float32, same shape: `grad` if the weights are all 0, zeros if it is parallel to them.
    """
    # clause: PPSF-M-007 054cbda2
    squared = total(weights * weights)
    along = torch.where(squared > 0, total(weights * grad) / squared, 0.0)
    part = grad - weights * along.float()
    size = _length(grad)
    share = torch.where(size > 0, _length(part) / size, 0.0)
    ramp = (share / _LEAST_SHARE - 1).clamp(0.0, 1.0)
    return part * (ramp / share.clamp_min(_LEAST_SHARE)).float()


def _length(values: Tensor) -> Tensor:
    return total(values * values).sqrt()
