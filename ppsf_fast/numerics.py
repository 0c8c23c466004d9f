"""Arithmetic shared by the backends: how values are sampled, summed, rounded and stored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_LEAST_KEPT = 1e-3
_UPPER_HALF = -0x10000  # the int32 mask 0xFFFF0000: sign, exponent and the seven bits of a bfloat16 mantissa


def readable(device: torch.device) -> bool:
    """Whether the host reads values of this device without waiting."""
    return device.type == "cpu"


def wide_dtype(device: torch.device) -> torch.dtype:
    """The dtype of sums and scalars: float64, or float32 where the device has no float64 (mps)."""
    return torch.float32 if device.type == "mps" else torch.float64


def total(values: Tensor) -> Tensor:
    """Sum over all axes but the first, which stay with size 1: accumulated in the wide dtype."""
    wide = wide_dtype(values.device)
    axes = tuple(range(1, values.dim()))
    return torch.sum(values, dim=axes, keepdim=True, dtype=wide) if axes else values.to(wide)


def squared(values: Tensor) -> Tensor:
    """Squares in the wide dtype, which holds those of float32 exactly, and none of them overflows."""
    wide = values.to(wide_dtype(values.device), copy=True)
    return wide.mul_(wide)


def square_sum(values: Tensor) -> Tensor:
    """As :func:`total`, of the squares."""
    return total(squared(values))


def summed(found: Sequence[Tensor]) -> Tensor:
    """The sum of what was found in each of some pieces, in their order."""
    return found[0] if len(found) == 1 else torch.stack(list(found)).sum(0)


def seen_positive(values: Tensor) -> bool:
    """Whether the host can read some values, and all are above 0."""
    if not readable(values.device):
        return False
    return bool(values.item() > 0 if values.numel() == 1 else values.min().item() > 0)


def largest(values: Tensor) -> float:
    """The largest of some values that the host can read; NaN if one is."""
    return float(values.item() if values.numel() == 1 else values.max().item())


def whole(values: Tensor) -> Tensor:
    """Sum of all elements, 0-d, accumulated in the wide dtype."""
    return torch.sum(values, dtype=wide_dtype(values.device))


def number_of(values: Tensor) -> int:
    """Number of elements behind the first axis, at least 1."""
    return max(math.prod(values.shape[1:]), 1)


def root(values: Tensor) -> Tensor:
    """The square root of float32, rounded correctly: also where vectors of it would be a unit off."""
    # float64 has more than twice the digits and two, so that rounding its root, even if off by a unit, is exact.
    return values.to(wide_dtype(values.device)).sqrt().float()


def over(values: Tensor, number: float) -> Tensor:
    """Values over a number of the host, rounded once: on a GPU torch would multiply by the inverse, rounded as well.

    Args:
        values: of any shape.
        number: not 0.
    """
    if values.device.type == "cpu":
        return values / number
    return values / torch.full((), number, dtype=values.dtype, device=values.device)


def mean_over(values: Tensor, dim: int) -> Tensor:
    """Mean over `dim`, which stays with size 1: accumulated in the wide dtype, rounded once to float32."""
    wide = torch.sum(values, dim=dim, keepdim=True, dtype=wide_dtype(values.device))
    return (wide / values.shape[dim]).float()


def sample(values: Tensor, stride: int, batched: bool = False) -> Tensor:
    """S(t): one element in `stride` in row-major logical order, from element 0 on; shape (ceil(numel / stride),).

    `batched`: the same for each index of the first axis.
    """
    # clause: PPSF-N-001 4572b27e
    if batched:
        return values.reshape(values.shape[0], math.prod(values.shape[1:]))[:, ::stride]
    return values.reshape(-1)[::stride]


def read_into(place: Tensor, values: Tensor) -> Tensor:
    """Copy values of any dtype into an array of the same shape; returns it."""
    # Torch forgets the sign of a lazy negation where it widens float16 that lies in one piece.
    return place.copy_(values.resolve_neg())


def agreement(values: Tensor, direction: Tensor, share: Tensor | None = None) -> Tensor:
    """1 where both have the same sign, else 0, divided by the share of ones, which counts as at least 1e-3.

    `share`: of a whole of which these are a part, in the wide dtype.
    """
    kept = agreeing(values, direction)
    share = total(kept) / number_of(kept) if share is None else share
    return kept / share.clamp_min(_LEAST_KEPT).float()


def agreeing(values: Tensor, direction: Tensor) -> Tensor:
    """1 where both have the same sign, else 0."""
    return (values.sign() * direction.sign()).clamp_min(0.0)


def stochastic_bfloat16(values: Tensor, noise: Tensor) -> Tensor:
    """Round float32 to bfloat16, away from zero with just the probability that makes the mean exact.

    Args:
        values: float32, any shape.
        noise: int32 in [0, 2^16), of the same shape, uniform.

    Returns:
        bfloat16, same shape. Infinities, zeros and values that bfloat16 holds exactly do not change (their
        lower half is zero, so the noise cannot carry); NaN stays NaN (it would carry, so it goes around).
    """
    # clause: PPSF-R-003 86e7aa41
    bits = (values.view(torch.int32) + noise) & _UPPER_HALF
    # clause: PPSF-R-005 77c6d298
    if readable(values.device) and math.isfinite(
        values.sum()
    ):  # there is no NaN: the usual case, at the price of a sum
        return bits.view(torch.float32).to(torch.bfloat16)
    return torch.where(torch.isnan(values), values, bits.view(torch.float32)).to(torch.bfloat16)


def store_stochastic(targets: Sequence[Tensor], values: Tensor, noise: Tensor) -> None:
    """Round rows of float32 into bfloat16 arrays that the host reads; `values` and `noise` are used up.

    Args:
        targets: bfloat16, any shapes of as many elements as a row has.
        values: float32, shape (len(targets), number of elements).
        noise: as :func:`stochastic_bfloat16` takes it, of the same shape.
    """
    # clause: PPSF-R-005 77c6d298
    if not math.isfinite(values.sum()):
        rounded = stochastic_bfloat16(values, noise).unbind()
    else:
        # clause: PPSF-R-003 86e7aa41
        rounded = values.view(torch.int32).add_(noise).bitwise_right_shift_(16).unbind()
        targets = [target.view(torch.int16) for target in targets]
    for target, row in zip(targets, rounded, strict=True):
        target.copy_(row.view(target.shape))


def store(target: Tensor, value: Tensor, mask: Tensor | None = None, noise: Tensor | None = None) -> None:
    """Write `value` into `target` with one rounding, everywhere or - where `mask` is false - nowhere.

    Args:
        target: what is written, any dtype, device, shape and strides.
        value: what to write, in the precision it was computed in.
        mask: 0-d bool on the target's device; None writes always. A false mask leaves every bit as it is.
        noise: int32 in [0, 2^16) for stochastic rounding, used if the target is bfloat16; None rounds to
            nearest.
    """
    # clause: PPSF-R-002 2d69bc8e
    if noise is not None and target.dtype == torch.bfloat16:
        rounded = stochastic_bfloat16(value, noise)
    else:
        rounded = value.to(target.dtype)
    target.copy_(rounded if mask is None else torch.where(mask, rounded, target))
