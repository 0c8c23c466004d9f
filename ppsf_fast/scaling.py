"""What a `torch.amp.GradScaler` says of the gradients of a step: their scale, and whether one of them is infinite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.numerics import readable, wide_dtype


@dataclass(frozen=True, slots=True)
class Scaling:
    """It is set on the optimizer, as torch's own fused optimizers have it, and never read on the host of a device.

    Attributes:
        unscale: what multiplies the gradients, float32, 0-d; None: nothing does.
        found: not 0 if the step must change nothing, 0-d; None: it may.
    """

    unscale: Tensor | None = None
    found: Tensor | None = None

    @staticmethod
    def of(optimizer: object) -> Scaling:
        """That of an optimizer, from its attributes `grad_scale` and `found_inf`: numbers, tensors, None or absent."""
        scale, found = _number(getattr(optimizer, "grad_scale", None)), _number(getattr(optimizer, "found_inf", None))
        # GradScaler.unscale_() multiplies by the reciprocal too, rounded once: the same bits for float32 gradients.
        unscale = None if scale is None else scale.to(wide_dtype(scale.device)).reciprocal().float()
        return Scaling(unscale, found)

    @property
    def skips(self) -> bool:
        """Whether the host knows that the step must change nothing."""
        # clause: PPSF-L-013 ad4b6833
        return self.found is not None and readable(self.found.device) and bool(self.found != 0)

    def allows(self) -> Tensor | None:
        """Whether the step may write, 0-d bool on a device; None: it may, or :attr:`skips` says that it must not."""
        return None if self.found is None or readable(self.found.device) else self.found == 0


def _number(value: Any) -> Tensor | None:
    return None if value is None else torch.as_tensor(value).detach().reshape(())


def unscaled(grad: Tensor, unscale: Tensor | None) -> Tensor:
    """A gradient of any dtype as the arithmetic reads it: float32, and without its scale; the gradient stays."""
    # clause: PPSF-L-012 5cabe394
    wide = grad.float()
    return wide if unscale is None else wide * unscale.to(wide.device)
