"""Area V: the second moment."""

from __future__ import annotations

from typing import NamedTuple

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number


class Axes(NamedTuple):
    """The two factored axes: ``v_row`` is reduced over ``dr``, ``v_col`` over ``dc``."""

    dr: int
    dc: int


class Factors(NamedTuple):
    """Factored second moment."""

    row: Number
    col: Number


def _decay(beta2: Number, d: Number, d_prev: Number) -> Number:
    ratio = d_prev / d
    return beta2 * ratio * ratio


@clause("PPSF-V-001", "eda871f8")
def second_moment(v: Number, g: Number, beta2: Number, d: Number, d_prev: Number) -> Number:
    """Moving average of g**2, in units of the present d."""
    return _decay(beta2, d, d_prev) * v + (1 - beta2) * (g * g)


@clause("PPSF-V-002", "23a5b821")
def factored_axes(shape: tuple[int, ...], factored: bool, min_dim: int) -> Axes | None:
    """The largest axis and the second largest, later ones first among equals; None: not factored."""
    if not factored or len(shape) < 2 or 0 in shape or max(shape) < min_dim:
        return None
    order = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))
    return Axes(dr=order[-1], dc=order[-2])


@clause("PPSF-V-003", "e56301e2")
def factored_moments(old: Factors, g: Number, axes: Axes, beta2: Number, d: Number, d_prev: Number) -> Factors:
    """Moving averages of the means of g**2 over each of the two axes."""
    decay = _decay(beta2, d, d_prev)
    return Factors(
        row=decay * old.row + (1 - beta2) * numbers.mean_square(g, axes.dr),
        col=decay * old.col + (1 - beta2) * numbers.mean_square(g, axes.dc),
    )


@clause("PPSF-V-004", "ef012b6a")
def denominator(v: Number) -> Number:
    """Root of the second moment."""
    return numbers.sqrt(v)


@clause("PPSF-V-005", "170be250")
def factored_denominator(row: Number, col: Number, axes: Axes) -> Number:
    """Root of the rank-1 estimate row * col / mean(row); 0 where the mean is 0."""
    share = numbers.share(row, numbers.mean(row, axes.dc), most=2 * row.shape[axes.dc])
    return numbers.sqrt(share) * numbers.sqrt(col)


@clause("PPSF-V-010", "ba9d63ae")
def weighted_moment(v: Number, g: Number, beta2: Number, d: Number) -> Number:
    """Moving average of (d g)**2."""
    return beta2 * v + (d * d * (1 - beta2)) * (g * g)


@clause("PPSF-V-011", "bfc8a7dc")
def weighted_factors(old: Factors, g: Number, axes: Axes, beta2: Number, d: Number) -> Factors:
    """Moving averages of the means of (d g)**2 over each of the two axes."""
    gain = d * d * (1 - beta2)
    return Factors(
        row=beta2 * old.row + gain * numbers.mean_square(g, axes.dr),
        col=beta2 * old.col + gain * numbers.mean_square(g, axes.dc),
    )


@clause("PPSF-V-012", "2e523a23")
def last_axes(shape: tuple[int, ...], factored: bool) -> Axes | None:
    """The last axis and the one before it, in tensors of every size; None: not factored."""
    if not factored or len(shape) < 2 or 0 in shape:
        return None
    return Axes(dr=len(shape) - 1, dc=len(shape) - 2)


@clause("PPSF-V-013", "bf5718d5")
def corrected_moment(v: Number, beta2: Number, k: int) -> Number:
    """The second moment that the divisor of Schedule-Free AdamW is the root of."""
    return v / (1 - numbers.power(beta2, k))
