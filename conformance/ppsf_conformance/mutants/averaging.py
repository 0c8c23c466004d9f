"""Wrong laws about averaging and decay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref import numbers as num
from ppsf_ref.clauses.average import Averaging, Decay, Decaying, Largest
from ppsf_ref.law import Rule


def _linear_weight(weight_sum: Any, dlr: Any) -> Averaging:
    total = weight_sum + dlr
    return Averaging(c=num.share(dlr, total, 2), weight_sum=total)


def _old_sum(weight_sum: Any, dlr: Any) -> Averaging:
    right: Averaging = law("PPSF-Z-001", weight_sum, dlr)
    return right._replace(c=num.share(dlr * dlr, weight_sum + 2 * dlr * dlr, 2))


def _largest(**wrong: Any) -> Rule:
    def rule(weight_sum: Any, lr_max: Any, dlr: Any, k: Any, r: float, power: float) -> Largest:
        given = {"weight_sum": weight_sum, "lr_max": lr_max, "dlr": dlr, "k": k, "r": r, "power": power}
        result: Largest = law("PPSF-Z-010", **{**given, **{name: change(given) for name, change in wrong.items()}})
        return result

    return rule


def _losing(change: Callable[[Decaying, Decay, Any], Decay]) -> Rule:
    """The decay beside the update, changed."""

    def rule(before: Decaying, weight_decay: Any, dlr: Any, *rest: Any) -> Decaying:
        decaying: Decaying = law("PPSF-W-002", before, weight_decay, dlr, *rest)
        assert decaying.lost is not None
        return decaying._replace(lost=change(before, decaying.lost, dlr))

    return rule


def _cubic(weight_sum: Any, dlr: Any) -> Averaging:
    weight = dlr * dlr * dlr
    total = weight_sum + weight
    return Averaging(c=num.share(weight, total, 2), weight_sum=total)


def _sum_kept(weight_sum: Any, dlr: Any) -> Averaging:
    right: Averaging = law("PPSF-Z-001", weight_sum, dlr)
    return right._replace(weight_sum=weight_sum)


def _once_each(before: Any, after: Any, moved: Sequence[bool]) -> Any:
    total = before
    for one in moved:
        total = total + (after - before) if one else total
    return total


AVERAGING: tuple[Mutant, ...] = (
    Mutant(
        "weights after the step",
        clause="PPSF-W-001",
        kind="order",
        rule=lambda b, wd, *_: b._replace(u=b.u + wd * (b.y - wd * b.y)),
    ),
    Mutant("sign flipped", clause="PPSF-W-001", kind="sign", rule=lambda b, wd, *_: b._replace(u=b.u - wd * b.y)),
    Mutant(
        "sign flipped",
        clause="PPSF-W-002",
        kind="sign",
        rule=_losing(lambda before, lost, dlr: Decay(z=-lost.z, y=-lost.y)),
    ),
    Mutant(
        "y decays like z",
        clause="PPSF-W-002",
        kind="operand",
        rule=_losing(lambda before, lost, dlr: Decay(z=lost.z, y=lost.z)),
    ),
    Mutant(
        "only y decays",
        clause="PPSF-W-002",
        kind="dropped",
        rule=_losing(lambda before, lost, dlr: Decay(z=0 * lost.z, y=lost.y)),
    ),
    Mutant("weight dlr", clause="PPSF-Z-001", kind="operand", rule=_linear_weight),
    Mutant("one weight too many", clause="PPSF-Z-001", kind="stale", rule=_old_sum),
    Mutant(
        "no interpolation of the step",
        clause="PPSF-Z-002",
        kind="dropped",
        rule=lambda y, z, u, c, dlr, beta1: num.lerp(y, z, c) - dlr * u,
    ),
    Mutant(
        "new z",
        clause="PPSF-Z-002",
        kind="order",
        rule=lambda y, z, u, c, dlr, beta1: law("PPSF-Z-002", y, z - dlr * u, u, c, dlr, beta1),
    ),
    Mutant(
        "beta1 off by 1e-4",
        clause="PPSF-Z-002",
        kind="constant",
        rule=lambda y, z, u, c, dlr, beta1: law("PPSF-Z-002", y, z, u, c, dlr, beta1 + 1e-4),
    ),
    Mutant("sign flipped", clause="PPSF-Z-003", kind="sign", rule=lambda z, u, dlr: z + dlr * u),
    Mutant("half a step", clause="PPSF-Z-003", kind="constant", rule=lambda z, u, dlr: z - 0.5 * dlr * u),
    Mutant("z itself", clause="PPSF-Z-004", kind="operand", rule=lambda y, z, beta1: z),
    Mutant("the other direction", clause="PPSF-Z-004", kind="sign", rule=lambda y, z, beta1: y + (1 - beta1) * (z - y)),
    Mutant("the inverse weight", clause="PPSF-Z-005", kind="operand", rule=lambda x, z, beta1: x + beta1 * (z - x)),
    Mutant(
        "the last parameter decides",
        clause="PPSF-Z-006",
        kind="condition",
        rule=lambda before, after, moved: after if moved and moved[-1] else before,
    ),
    Mutant("power 1", clause="PPSF-Z-010", kind="constant", rule=_largest(power=lambda given: 1.0)),
    Mutant("r left out", clause="PPSF-Z-010", kind="dropped", rule=_largest(r=lambda given: 0.0)),
    Mutant(
        "present step size", clause="PPSF-Z-010", kind="stale", rule=_largest(lr_max=lambda given: 0 * given["lr_max"])
    ),
    Mutant("count from 0", clause="PPSF-Z-010", kind="stale", rule=_largest(k=lambda given: given["k"] - 1)),
    Mutant("no cut", clause="PPSF-Z-011", kind="dropped", rule=lambda c, b1, C: c * ((1 - b1) * C)),
    Mutant(
        "beta1 for its complement",
        clause="PPSF-Z-011",
        kind="operand",
        rule=lambda c, b1, C: law("PPSF-Z-011", c, 1 - b1, C),
    ),
    Mutant("original", clause="PPSF-Z-011", kind="dropped", rule=lambda c, b1, C: c),
    Mutant("uphill", clause="PPSF-Z-012", kind="sign", rule=lambda y, u, dlr: y + dlr * u),
    Mutant("twice the step", clause="PPSF-Z-012", kind="constant", rule=lambda y, u, dlr: y - 2 * dlr * u),
    Mutant(
        "decay not by dlr",
        clause="PPSF-W-010",
        kind="condition",
        rule=lambda y, wd, dlr, by: law("PPSF-W-010", y, wd, dlr, False),
    ),
    Mutant(
        "decay always by dlr",
        clause="PPSF-W-010",
        kind="condition",
        rule=lambda y, wd, dlr, by: law("PPSF-W-010", y, wd, dlr, True),
    ),
    Mutant("no coupled decay", clause="PPSF-W-011", kind="dropped", rule=lambda g, y, wd: g),
    Mutant("decay grows", clause="PPSF-W-011", kind="sign", rule=lambda g, y, wd: g - wd * y),
    Mutant("weight dlr cubed", clause="PPSF-Z-001", kind="constant", rule=_cubic),
    Mutant("sum not kept", clause="PPSF-Z-001", kind="stale", rule=_sum_kept),
    Mutant(
        "no average",
        clause="PPSF-Z-002",
        kind="dropped",
        rule=lambda y, z, u, c, dlr, b1: law("PPSF-Z-002", y, y, u, c, dlr, b1),
    ),
    Mutant("not multiplied by dlr", clause="PPSF-Z-003", kind="dropped", rule=lambda z, u, dlr: z - u),
    Mutant("by dlr squared", clause="PPSF-Z-003", kind="constant", rule=lambda z, u, dlr: z - dlr * dlr * u),
    Mutant("y itself", clause="PPSF-Z-004", kind="dropped", rule=lambda y, z, beta1: y),
    Mutant("x itself", clause="PPSF-Z-005", kind="dropped", rule=lambda x, z, beta1: x),
    Mutant("z itself", clause="PPSF-Z-005", kind="operand", rule=lambda x, z, beta1: z),
    Mutant(
        "the first parameter decides",
        clause="PPSF-Z-006",
        kind="slice",
        rule=lambda before, after, moved: after if any(moved[:1]) else before,
    ),
    Mutant("added for each parameter", clause="PPSF-Z-006", kind="reset", rule=_once_each),
    Mutant("added in any case", clause="PPSF-Z-006", kind="condition", rule=lambda before, after, moved: after),
    Mutant("not multiplied by dlr", clause="PPSF-Z-012", kind="dropped", rule=lambda y, u, dlr: y - u),
    Mutant("of z", clause="PPSF-W-001", kind="operand", rule=lambda b, wd, *_: b._replace(u=b.u + wd * b.z)),
    Mutant(
        "half of it", clause="PPSF-W-001", kind="constant", rule=lambda b, wd, *_: b._replace(u=b.u + 0.5 * wd * b.y)
    ),
    Mutant(
        "times dlr",
        clause="PPSF-W-002",
        kind="operand",
        rule=_losing(lambda before, lost, dlr: Decay(dlr * lost.z, dlr * lost.y)),
    ),
    Mutant(
        "half of it",
        clause="PPSF-W-002",
        kind="constant",
        rule=_losing(lambda before, lost, dlr: Decay(0.5 * lost.z, 0.5 * lost.y)),
    ),
    Mutant(
        "decay grows", clause="PPSF-W-010", kind="sign", rule=lambda y, wd, dlr, by: law("PPSF-W-010", y, -wd, dlr, by)
    ),
    Mutant("half of it", clause="PPSF-W-011", kind="constant", rule=lambda g, y, wd: g + 0.5 * wd * y),
)
