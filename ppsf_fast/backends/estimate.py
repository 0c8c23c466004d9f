"""The estimate of a pool: what a step makes of its statistics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ppsf_fast import speed
from ppsf_fast.backends.coefficients import Coefficients, Outcome, both
from ppsf_fast.backends.statistics import Statistics
from ppsf_fast.numerics import store
from ppsf_fast.plan import PoolPlan
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import Scalars

#: Largest estimate of revision 2.0.
CEILING = 2.0**40
#: Largest factor by which the limiter lets d grow in a step.
_LARGEST_STEP = 2**0.25


@dataclass(frozen=True, slots=True)
class Adapted:
    """The scalars of a pool after a step, and when each is written: 0-d tensors.

    Attributes:
        estimate: what is written where the pool adapts, by name.
        counts: what is written where weights move, by name.
        adapts: whether the estimate may change, bool; None: it may.
        outcome: what the moves need.
    """

    estimate: dict[str, Tensor]
    counts: dict[str, Tensor]
    adapts: Tensor | None
    outcome: Outcome

    def keep(self, scalars: Scalars) -> None:
        """Write them."""
        for values, mask in ((self.estimate, self.adapts), (self.counts, self.outcome.moves)):
            for name, value in values.items():
                if name in scalars.tensors:
                    store(scalars.tensors[name], value, mask)


def adapted(pool: PoolPlan, sums: Statistics, by: Coefficients) -> Adapted:
    """Find the estimate after this step, and count the step; writes nothing."""
    rule, old = pool.groups[0].rule, pool.scalars.tensors
    adapts, moves, estimate = by.adapts, by.ok, {}
    if rule.revision.estimate != "none":
        evidence = _evidence(sums, rule)
        adapts, moves = both(by.adapts, evidence), both(by.ok, _free_to_move(evidence, by.opened))
        estimate = _estimated(old, sums, rule)
        # clause: PPSF-D-033 c03a2330
        adapts = both(adapts, torch.isfinite(estimate["d_numerator"]) & torch.isfinite(sums.norm))
    after = estimate.get("d", by.d)
    after = after if adapts is None else torch.where(adapts, after, by.d)
    counts = {"k": by.k + 1, **_stalled(old, after, by, rule)}
    # clause: PPSF-D-009 bb40aa36
    counts["d_prev"] = by.d.clone()
    return Adapted(estimate, counts, adapts, Outcome(after, moves))


def _evidence(sums: Statistics, rule: Rule) -> Tensor | None:
    """Whether any gradient so far was not 0; None where a step is taken without asking."""
    # clause: PPSF-D-030 40a5b747
    return sums.norm > 0 if rule.revision.without_evidence == "rests" else None


def _free_to_move(evidence: Tensor | None, opened: Tensor | None) -> Tensor | None:
    """Outside the window nobody asks for evidence."""
    if evidence is None or opened is None:
        return evidence
    return evidence | torch.logical_not(opened)


def _estimated(old: dict[str, Tensor], sums: Statistics, rule: Rule) -> dict[str, Tensor]:
    numerator = _numerator(old["d_numerator"], sums.inner, old["d"], rule)
    found = {"d_numerator": numerator, "d_denom": sums.norm}
    if "n_max" in old:
        found["n_max"] = torch.maximum(old["n_max"], numerator)
    if rule.by_displacement:
        found["d"] = speed.grown(old["d"], numerator, old["d_numerator"], old["n_max"], rule.d_coef)
    else:
        found |= _grown(old, _candidate(old["d"], numerator, sums.norm, rule), rule)
    if rule.revision.ceiling == "d":
        # clause: PPSF-D-031 c5bbad4a
        found["d"] = found["d"].clamp_max(CEILING)
    return found


def _numerator(before: Tensor, inner: Tensor, d: Tensor, rule: Rule) -> Tensor:
    if rule.revision.numerator == "add":
        # clause: PPSF-D-024 5a5651fe
        return before * rule.beta3 + inner
    # clause: PPSF-D-005 1fdbffb7
    return before * rule.beta3 + torch.where(d > rule.d0, inner, inner.clamp_min(0.0))


def _candidate(d: Tensor, numerator: Tensor, denom: Tensor, rule: Rule) -> Tensor:
    if rule.revision.estimate == "atan2":
        # clause: PPSF-D-006 1203086f
        d_hat = torch.where(denom > 0, torch.atan2(numerator * rule.d_coef, denom), 0.0)
    else:
        # clause: PPSF-D-025 a841ffa1
        d_hat = torch.where(denom > 0, numerator * rule.d_coef / denom, 0.0)
    # clause: PPSF-D-026 6540778a
    d_hat = torch.minimum(d_hat, d * _LARGEST_STEP) if rule.d_limiter else d_hat
    return speed.capped(d, d_hat) if rule.by_signs else d_hat


def _grown(old: dict[str, Tensor], d_hat: Tensor, rule: Rule) -> dict[str, Tensor]:
    """The new d, and with it the largest candidate where that is stored."""
    d = old["d"]
    if rule.revision.growth == "capped":
        # clause: PPSF-D-029 fc8d499b
        start = torch.where(d == rule.d0, torch.maximum(d, d_hat), d)
        largest = torch.maximum(old["d_max"], d_hat)
        return {"d": torch.minimum(largest, start * rule.growth_rate), "d_max": largest}
    if rule.beta4 == 0 or rule.speed:
        # clause: PPSF-D-007 671f117d
        return {"d": torch.maximum(d, d_hat)}
    # clause: PPSF-D-027 59fe8cba
    floored = d_hat.clamp_min(rule.d0)
    # clause: PPSF-D-028 0305121b
    followed = d * abs(rule.beta4) + floored * (1 - abs(rule.beta4))
    return {"d": followed if rule.beta4 > 0 else torch.maximum(floored, followed)}


def _stalled(old: dict[str, Tensor], after: Tensor, by: Coefficients, rule: Rule) -> dict[str, Tensor]:
    """What the built-in decay counts: steps since d last grew, and the step after which it began."""
    if not rule.cosine_decay:
        return {}
    # clause: PPSF-M-022 ac5f6892
    stalled = torch.where(after > by.d, 0, old["stalled"] + 1)
    found = (old["peak"] < 0) & (stalled >= rule.peak_patience)
    return {"stalled": stalled, "peak": torch.where(found, by.k, old["peak"])}
