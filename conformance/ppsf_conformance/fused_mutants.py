"""Wrong laws for the fused backward pass."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ppsf_conformance.mutant import Mutant, law
from ppsf_ref.clauses.lifecycle import Place

Steps = tuple[tuple[Place, ...], ...]


def _only_step_ends(calls: Iterable[Place | None]) -> Steps:
    """A parameter that comes again stays in the running step."""
    steps: list[list[Place]] = [[]]
    for call in calls:
        if call is None:
            steps.append([])
        else:
            steps[-1].append(call)
    return tuple(map(tuple, steps))


def _counted(calls: Iterable[Place | None]) -> Steps:
    """A step has as many calls as there are parameters, six in the problems of the check."""
    come = [call for call in calls if call is not None]
    return tuple(tuple(come[first : first + 6]) for first in range(0, len(come), 6))


def _whatever_the_mode(call: str, changes_mode: bool = False) -> bool:
    return bool(law("PPSF-L-011", call))


FUSED_MUTANTS = (
    Mutant("moves when the step ends", clause="PPSF-L-008", kind="order", rule=lambda now, ordinary, place: now),
    Mutant("all move at once", clause="PPSF-L-008", kind="order", rule=lambda now, ordinary, place: ordinary),
    Mutant("only step() ends it", clause="PPSF-L-009", kind="reset", rule=_only_step_ends),
    Mutant("parameters are counted", clause="PPSF-L-009", kind="condition", rule=_counted),
    Mutant("never sits out", clause="PPSF-L-010", kind="condition", rule=lambda gradient: False),
    Mutant(
        "only NaN counts", clause="PPSF-L-010", kind="condition", rule=lambda gradient: bool(np.isnan(gradient).any())
    ),
    Mutant(
        "only what is not finite counts",
        clause="PPSF-L-010",
        kind="constant",
        rule=lambda gradient: not np.isfinite(gradient).all(),
    ),
    Mutant("nothing ends it", clause="PPSF-L-011", kind="condition", rule=lambda call, changes_mode=False: False),
    Mutant("eval() leaves it running", clause="PPSF-L-011", kind="condition", rule=_whatever_the_mode),
    Mutant("every call ends it", clause="PPSF-L-011", kind="condition", rule=lambda call, changes_mode=False: True),
    Mutant(
        "accepted", clause="PPSF-X-020", kind="refusal", rule=lambda fused_back_pass, train_mode, is_parameter: None
    ),
)
