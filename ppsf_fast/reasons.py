"""Why the estimate did or did not move in the last step, from the numbers that a group stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ppsf_fast.backends.estimate import CEILING
from ppsf_fast.options import Group
from ppsf_fast.plan import pools_of
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import FIRST_STEP, candidate

#: A stored d and a candidate computed here are told apart from here on. The step's own atan2 may differ from that of
#: the host in the last bits, of float32 where a device has no more. Where the estimate before is stored nobody asks.
_LAST_BITS = 2.0**-20


@dataclass(frozen=True, slots=True)
class Standing:
    """The numbers of a pool after a step.

    Attributes:
        rule: of its first group.
        paused: whether all learning rates of the pool are 0.
        k: number of the coming step.
        skipped: how many steps a gradient that is not finite turned into nothing.
        d: the estimate.
        way: 1, 0 or -1: whether the last step raised, kept or lowered it.
        d_hat: the candidate; 0 where there is none.
        numerator: of the statistics.
        denom: of the statistics.
        peak: the largest numerator so far, if that is stored.
        largest: the largest candidate so far, if that is stored.
    """

    rule: Rule
    paused: bool
    k: int
    skipped: int
    d: float
    way: int
    d_hat: float
    numerator: float
    denom: float
    peak: float
    largest: float


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason, the clauses that it follows from, and when it applies to a pool that no reason before it does."""

    text: str
    clauses: tuple[str, ...]
    holds: Callable[[Standing], bool]


#: The first one that holds is the reason.
REASONS = (
    Reason("nothing is estimated", ("D-009",), lambda at: at.rule.revision.estimate == "none"),
    Reason("lr is 0", ("G-006",), lambda at: at.paused),
    Reason(
        "no finite gradient other than 0 yet", ("D-030", "L-004", "G-006"),
        lambda at: at.k == FIRST_STEP and at.rule.revision.without_evidence == "rests",
    ),
    Reason("no finite gradient yet", ("L-004", "G-006"), lambda at: at.k == FIRST_STEP and at.skipped > 0),
    Reason("no gradient yet", ("G-006",), lambda at: at.k == FIRST_STEP),
    Reason(
        "window closed (prodigy_steps)", ("D-008", "D-009"),
        lambda at: 0 < at.rule.prodigy_steps < at.k - 1,
    ),
    Reason("growing", ("D-007", "D-028", "D-029", "M-012", "M-042"), lambda at: at.way > 0),
    Reason("falling (beta4)", ("D-028",), lambda at: at.way < 0),
    Reason(
        "at the ceiling, 2**40", ("D-031",),
        lambda at: at.rule.revision.ceiling == "d" and at.d >= CEILING,
    ),
    Reason(
        "no gradient has counted yet", ("D-006", "D-025"),
        lambda at: not at.denom > 0 and not at.rule.by_displacement,
    ),
    Reason("numerator not above 0", ("D-006", "D-025", "M-042"), lambda at: not at.numerator > 0),
    Reason(
        "numerator below its peak", ("M-042",),
        lambda at: at.rule.by_displacement and at.numerator < at.peak,
    ),
    Reason("d_coef is below 1", ("M-042",), lambda at: at.rule.by_displacement and at.rule.d_coef < 1),
    Reason("numerator not yet above 0 twice", ("M-042",), lambda at: at.rule.by_displacement),
    Reason(
        "growth_rate is 1", ("D-029",),
        lambda at: at.rule.growth_rate == 1 and at.largest > at.d > at.rule.d0,
    ),
    Reason("candidate below d0", ("D-007", "D-029"), lambda at: at.d_hat <= at.d == at.rule.d0),
    Reason("candidate below d", ("D-007", "D-029"), lambda at: at.d_hat <= at.d),
    Reason("d is 1 or more (use_speed)", ("M-012",), lambda at: at.rule.by_signs and at.d >= 1),
    Reason("edited since the last step", (), lambda at: True),
)  # fmt: skip


def why_of(groups: Sequence[Group], rules: Sequence[Rule], skipped: int) -> list[str]:
    """The reason of each group; groups that share an estimate share it."""
    reasons = [""] * len(groups)
    for members in pools_of(rules):
        paused = all(rules[member].lr == 0 for member in members)
        at = _standing(groups[members[0]], rules[members[0]], paused, skipped)
        text = next(reason.text for reason in REASONS if reason.holds(at))
        for member in members:
            reasons[member] = text
    return reasons


def _standing(group: Group, rule: Rule, paused: bool, skipped: int) -> Standing:
    d: float = group.get("d", rule.d0)
    d_hat = candidate(group, rule).get("d_hat", 0.0)
    return Standing(
        rule=rule,
        paused=paused,
        k=group["k"],
        skipped=skipped,
        d=d,
        way=_sign(d - group["d_prev"]) if "d_prev" in group else _way(d, d_hat, group, rule),
        d_hat=d_hat,
        numerator=group.get("d_numerator", 0.0),
        denom=group.get("d_denom", 0.0),
        peak=group.get("n_max", 0.0),
        largest=group.get("d_max", d),
    )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _way(d: float, d_hat: float, group: Group, rule: Rule) -> int:
    """Where the last step moved an estimate of which no earlier value is stored, as far as the numbers tell."""
    floor = max(d_hat, rule.d0)
    if rule.revision.growth == "capped" and group["d_max"] > d:
        return int(rule.growth_rate > 1)  # on its way to the largest candidate
    if floor > rule.d0 and d_hat >= d * (1 - _LAST_BITS):
        return 1  # it went to the candidate, or follows it upwards
    return -1 if rule.beta4 != 0 and d > floor else 0
