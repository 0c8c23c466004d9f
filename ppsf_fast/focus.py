"""FOCUS: signs of the gradient and of the way to an average of the weights."""

from __future__ import annotations

from torch import Tensor

_ATTRACTION = 0.1


def renewed(average: Tensor, weights: Tensor, gain: Tensor) -> Tensor:
    """The moving average of the weights with the present ones in it, all float32; `gain` is 1 - beta2, 0-d."""
    # clause: PPSF-M-008 39d9b37b
    return average + (weights - average) * gain


def direction(grad: Tensor, average: Tensor, weights: Tensor) -> Tensor:
    """The update, float32, from the average before the present weights are in it."""
    # clause: PPSF-M-009 49b96f47
    return grad.sign() - (average - weights).sign() * _ATTRACTION
