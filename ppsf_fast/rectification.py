"""RAdam's rectification: how much of the step size the second moment deserves after k steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: The longest moving average, 2 / (1 - beta2) - 1, exceeds 4 only above it.
LEAST_BETA2 = 0.6


def rectification(beta2: float, k: Tensor, wide: torch.dtype) -> Tensor:
    """What multiplies the step size in step `k` (0-d int64): 0-d in the dtype `wide`, on the device of `k`."""
    # clause: PPSF-M-003 e9b4ab5a
    power = torch.pow(beta2, k.to(wide))
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * k * power / (1 - power)
    ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return torch.where(length > 4, ratio, 0.0).sqrt()


def rectification_on_host(beta2: float, k: int) -> float:
    """The same for a step whose number the host knows."""
    power = beta2**k
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * k * power / (1 - power)
    if length <= 4:
        return 0.0
    return math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


def corrected_beta2(beta2: float, k: Tensor, wide: torch.dtype) -> Tensor:
    """The coefficient of the second moment in step `k`, with which its average is the bias-corrected one."""
    # clause: PPSF-M-004 f1c65d5a
    return 1 - (1 - beta2) / (1 - torch.pow(beta2, k.to(wide)))
