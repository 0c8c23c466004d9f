"""What multiplies a step size besides the estimate and lr: bias correction, warm-up, the built-in decay.

Each is there twice: on the device, for the step, and on the host, for the `effective_lr` that people read. `k` is the
number of the step; a `peak` below 0 (on the host: None) says that the decay has not begun.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ppsf_fast.numerics import over
from ppsf_fast.rectification import rectification, rectification_on_host
from ppsf_fast.rule import Rule

#: Length of the built-in decay where the length of training is not given.
_DECAY_LENGTH = 1000


def correction(rule: Rule, k: Tensor, wide: torch.dtype) -> Tensor | float:
    """The bias correction of the step size: 0-d in the dtype `wide`, on the device of `k` (int64, 0-d)."""
    if not rule.bias_correction:
        return 1.0
    if rule.correction != "adam":
        return rectification(rule.beta2, k, wide)
    # clause: PPSF-M-020 d4ecea4e
    return (1 - torch.pow(rule.beta2, k.to(wide))).sqrt() / (1 - torch.pow(rule.beta1, k.to(wide)))


def warmup(rule: Rule, k: Tensor, wide: torch.dtype) -> Tensor | float:
    """How far the step size has warmed up."""
    # clause: PPSF-M-021 3ca3ff7d
    if not rule.warmup_steps:
        return 1.0
    return over(k.to(wide), rule.warmup_steps).clamp_max(1.0)


def decay(rule: Rule, k: Tensor, peak: Tensor, wide: torch.dtype) -> Tensor:
    """The built-in decay: half a cosine from the peak to the end of training."""
    # clause: PPSF-M-023 db30bb73
    length = torch.full_like(k, _DECAY_LENGTH) if rule.total_steps is None else rule.total_steps - peak
    done = k - 1 - peak
    cosine = 0.5 * (1 + torch.cos(torch.pi * done.to(wide) / length.clamp_min(1)))
    return torch.where(peak < 0, 1.0, torch.where(done < length, cosine, 0.0))


def factor_on_host(rule: Rule, k: int, peak: int | None) -> float:
    """All of them together, for a step whose number the host knows."""
    factor = _correction_on_host(rule, k)
    if k < rule.warmup_steps:
        factor *= k / rule.warmup_steps
    return factor * _decay_on_host(rule, k, peak) if rule.cosine_decay and peak is not None else factor


def _correction_on_host(rule: Rule, k: int) -> float:
    if not rule.bias_correction:
        return 1.0
    if rule.correction != "adam":
        return rectification_on_host(rule.beta2, k)
    return math.sqrt(1 - rule.beta2**k) / (1 - rule.beta1**k)


def _decay_on_host(rule: Rule, k: int, peak: int) -> float:
    length = _DECAY_LENGTH if rule.total_steps is None else rule.total_steps - peak
    done = k - 1 - peak
    return 0.5 * (1 + math.cos(math.pi * done / length)) if done < length else 0.0
