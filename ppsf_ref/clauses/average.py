"""Areas Z and W: schedule-free averaging and weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number


class Averaging(NamedTuple):
    """Averaging weight c and the group's new sum of weights."""

    c: Number
    weight_sum: Number


class Decay(NamedTuple):
    """What z and y lose to weight decay that is not multiplied by dlr."""

    z: Number
    y: Number


class Decaying(NamedTuple):
    """What a step averages and moves by, and what it takes from the weights in the end."""

    y: Number
    z: Number
    u: Number
    lost: Decay | None = None


@clause("PPSF-Z-001", "a9f28a09")
def averaging(weight_sum: Number, dlr: Number) -> Averaging:
    """Weight of this step in the average: dlr**2 among the sum of all of them."""
    weight = dlr * dlr
    total = weight_sum + weight
    return Averaging(c=numbers.share(weight, total, most=2), weight_sum=total)


@clause("PPSF-Z-006", "c280d816")
def next_weight_sum(before: Number, after: Number, moved: Sequence[bool]) -> Number:
    """The sum of weights moves when any parameter of the group did, once."""
    return after if any(moved) else before


def _reach(c: Number, beta1: Number) -> Number:
    return 1 - beta1 * (1 - c)


@clause("PPSF-Z-002", "f37679bd")
def next_y(y: Number, z: Number, u: Number, c: Number, dlr: Number, beta1: Number) -> Number:
    """Weights at which the next gradient is taken."""
    return numbers.lerp(y, z, c) - (dlr * _reach(c, beta1)) * u


def decrease_of_y(y: Number, z: Number, u: Number, c: Number, dlr: Number, beta1: Number) -> Number:
    """What PPSF-Z-002 takes from y, for those who modify it."""
    return c * (y - z) + (dlr * _reach(c, beta1)) * u


@clause("PPSF-Z-003", "ab92e5c3")
def next_z(z: Number, u: Number, dlr: Number) -> Number:
    """The base sequence."""
    return z - dlr * u


@clause("PPSF-Z-004", "5093c36c")
def averaged(y: Number, z: Number, beta1: Number) -> Number:
    """x from y and z: the weights of eval mode."""
    return numbers.lerp(y, z, 1 - 1 / beta1)


@clause("PPSF-Z-005", "a0951f35")
def interpolated(x: Number, z: Number, beta1: Number) -> Number:
    """y from x and z: the weights of train mode."""
    return numbers.lerp(x, z, 1 - beta1)


@clause("PPSF-W-001", "29728ec4")
def decayed_update(before: Decaying, weight_decay: Number, dlr: Number, c: Number, beta1: Number) -> Decaying:
    """Weight decay that is multiplied by dlr, as part of the update: whatever the step size and the average."""
    return before._replace(u=before.u + weight_decay * before.y)


@clause("PPSF-W-002", "04320623")
def decay(before: Decaying, weight_decay: Number, dlr: Number, c: Number, beta1: Number) -> Decaying:
    """Weight decay that is not: beside the update, whatever the step size."""
    y = before.y
    return before._replace(lost=Decay(z=weight_decay * y, y=(weight_decay * _reach(c, beta1)) * y))


class Largest(NamedTuple):
    """Averaging weight c, the group's new sum of weights, and its largest step size so far."""

    c: Number
    weight_sum: Number
    lr_max: Number


@clause("PPSF-Z-010", "a50e7a76")
def averaging_by_largest(weight_sum: Number, lr_max: Number, dlr: Number, k: Number, r: float, power: float) -> Largest:
    """Weight of this step in the average: k**r times a power of the largest step size so far."""
    largest = numbers.maximum(lr_max, dlr)
    weight = numbers.power(k, r) * numbers.power(largest, power)
    total = weight_sum + weight
    return Largest(c=numbers.share(weight, total, most=2), weight_sum=total, lr_max=largest)


@clause("PPSF-Z-011", "dc023cc6")
def refined(c: Number, beta1: Number, schedulefree_c: float) -> Number:
    """The averaging weight of refined Schedule-Free, at most 1."""
    return numbers.minimum(c * ((1 - beta1) * schedulefree_c), 1 + 0 * c)


@clause("PPSF-Z-012", "ec80dd2d")
def without_average(y: Number, u: Number, dlr: Number) -> Number:
    """The weights where nothing is averaged."""
    return y - dlr * u


@clause("PPSF-W-010", "f7e19401")
def decayed_weights(y: Number, weight_decay: Number, dlr: Number, by_lr: bool) -> Number:
    """What decoupled weight decay leaves of weights that are not averaged, before they move."""
    return numbers.shrunk(y, weight_decay * dlr if by_lr else weight_decay)


@clause("PPSF-W-011", "32971b9c")
def coupled_gradient(g: Number, y: Number, weight_decay: Number) -> Number:
    """The gradient of the loss with an l2 penalty."""
    return g + weight_decay * y
