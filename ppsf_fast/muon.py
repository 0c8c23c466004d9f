"""Muon: a matrix is stepped by its gradient with all singular values drawn towards 1."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ppsf_fast.numerics import whole
from ppsf_fast.precision import full_precision

_LINEAR, _CUBIC, _QUINTIC = 3.4445, -4.7750, 2.0315
_STEPS = 6
_LEAST_NORM, _LEAST_SIZE, _LEAST_DIVISOR = 1e-7, 1e-8, 1e-8


def moves(shape: torch.Size, applies: bool) -> bool:
    """Whether Muon moves a parameter of this shape, in a group that it applies to."""
    # clause: PPSF-M-014 96a94186
    return applies and len(shape) > 1


def direction(grad: Tensor) -> Tensor:
    """The orthogonalised gradient, shortened where the gradient is small.

    Args:
        grad: float32, two or more dimensions, any strides.

    Returns:
        float32, same shape.
    """
    flat = grad.reshape(grad.shape[0], math.prod(grad.shape[1:]))
    matrix = orthogonalized(flat)
    # clause: PPSF-M-016 5b5a5f71
    share = whole(flat * matrix).clamp(max=1.0).float()
    return (matrix * share).view(grad.shape)


def orthogonalized(matrix: Tensor) -> Tensor:
    """A float32 matrix after six Newton-Schulz steps; zeros stay zeros."""
    # clause: PPSF-M-015 da86f5d2
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalized(matrix.T).T.contiguous()
    x = matrix / (whole(matrix * matrix).sqrt() + _LEAST_NORM).float()
    with full_precision(x.device):
        for _ in range(_STEPS):
            square = x @ x.T
            x = torch.addmm(x, torch.addmm(square, square, square, beta=_CUBIC, alpha=_QUINTIC), x, beta=_LINEAR)
    return x


def renewed(rms_sq: Tensor, update: Tensor, keep: Tensor, gain: Tensor) -> Tensor:
    """The memory with the mean square of the present update in it, 0-d float32.

    Args:
        rms_sq: the memory, 0-d float32.
        update: what :func:`direction` gave.
        keep, gain: what multiplies the memory and the new mean square, 0-d float32.
    """
    # clause: PPSF-M-017 51003edd
    rms = (whole(update * update) / max(update.numel(), 1)).sqrt().clamp_min(_LEAST_SIZE).float()
    return rms_sq * keep + rms * rms * gain


def scaled(update: Tensor, rms_sq: Tensor) -> Tensor:
    """The update over the root of the renewed memory."""
    # clause: PPSF-M-018 5e9f3f6c
    return update / (rms_sq.sqrt() + _LEAST_DIVISOR)
