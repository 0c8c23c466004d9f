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
    along = projection(total(weights * weights), total(weights * grad))
    part = grad - weights * along
    return part * stretch(total(grad * grad), total(part * part))


def projection(squared: Tensor, product: Tensor) -> Tensor:
    """How much of the weights is in the gradient, float32, from inner products: weights by themselves, and by it."""
    # clause: PPSF-M-007 054cbda2
    return torch.where(squared > 0, product / squared, 0.0).float()


def stretch(squared: Tensor, rest: Tensor) -> Tensor:
    """What multiplies the rest without that, float32, from the squared lengths of the gradient and of the rest."""
    size = squared.sqrt()
    share = torch.where(size > 0, rest.sqrt() / size, 0.0)
    ramp = (share / _LEAST_SHARE - 1).clamp(0.0, 1.0)
    return (ramp / share.clamp_min(_LEAST_SHARE)).float()
