"""Wrong laws about state, counters, saving and fused steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.mutant import Mutant, created_with, law
from ppsf_ref import BFLOAT16, ParamState, State
from ppsf_ref import numbers as num
from ppsf_ref.clauses.lifecycle import Place
from ppsf_ref.law import Rule


def _lost_on_load(**parts: Any) -> Rule:
    def rule(state: Any) -> Any:
        return replace(state, groups=tuple(replace(group, **parts) for group in state.groups))

    return rule


def _forgets_arrays(state: Any) -> Any:
    groups = (
        replace(group, params=tuple(replace(p, s=None if p.s is None else 0 * p.s) for p in group.params))
        for group in state.groups
    )
    return replace(state, groups=tuple(groups))


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


def _parts_lost(change: Callable[[ParamState], ParamState]) -> Rule:
    """What becomes of the state of each parameter on the way through a file."""

    def rule(state: State) -> State:
        groups = (replace(group, params=tuple(map(change, group.params))) for group in state.groups)
        return replace(state, groups=tuple(groups))

    return rule


def _zeroed(*names: str) -> Callable[[ParamState], ParamState]:
    def change(p: ParamState) -> ParamState:
        return replace(p, **{name: 0 * getattr(p, name) for name in names if getattr(p, name) is not None})

    return change


def _narrowed(p: ParamState) -> ParamState:
    kept = {name: getattr(p, name) for name in ("s", "v", "v_row", "v_col") if getattr(p, name) is not None}
    return replace(p, **{name: num.round_nearest(value, BFLOAT16) for name, value in kept.items()})


LIFECYCLE: tuple[Mutant, ...] = (
    Mutant("z = 0", clause="PPSF-L-001", kind="reset", rule=created_with(z=lambda made: 0 * made.y)),
    Mutant("v = 1", clause="PPSF-L-001", kind="reset", rule=created_with(v=lambda made: 0 * made.y + 1)),
    Mutant("FOCUS starts at 0", clause="PPSF-L-001", kind="reset", rule=lambda *args: law("PPSF-L-001", *args[:7])),
    Mutant("x0 = 0", clause="PPSF-L-001", kind="reset", rule=created_with(x0=lambda made: 0 * made.x0)),
    Mutant("not counted", clause="PPSF-L-002", kind="stale", rule=lambda k: k),
    Mutant(
        "eval() switches back and forth",
        clause="PPSF-L-003",
        kind="condition",
        rule=lambda mode, call, averages=True: not mode,
    ),
    Mutant("runs on NaN", clause="PPSF-L-004", kind="condition", rule=lambda gradients: True),
    Mutant(
        "only NaN counts",
        clause="PPSF-L-004",
        kind="condition",
        rule=lambda gradients: not any(np.isnan(gradient).any() for gradient in gradients),
    ),
    Mutant("d forgotten", clause="PPSF-L-005", kind="lost", rule=_lost_on_load(d=np.float64(1e-6))),
    Mutant("d_prev forgotten", clause="PPSF-L-005", kind="lost", rule=_lost_on_load(d_prev=np.float64(1e-6))),
    Mutant("s forgotten", clause="PPSF-L-005", kind="lost", rule=_forgets_arrays),
    Mutant(
        "closure after the step",
        clause="PPSF-L-006",
        kind="order",
        rule=lambda: ("gradients enabled", "step", "closure", "return"),
    ),
    Mutant(
        "gradients disabled",
        clause="PPSF-L-006",
        kind="condition",
        rule=lambda: ("gradients disabled", "closure", "step", "return"),
    ),
    Mutant("always a pool of its own", clause="PPSF-L-007", kind="lost", rule=lambda fresh, first, split: fresh),
    Mutant(
        "always the first pool's",
        clause="PPSF-L-007",
        kind="lost",
        rule=lambda fresh, first, split: law("PPSF-L-007", fresh, first, False),
    ),
    Mutant("scaled as they are", clause="PPSF-L-012", kind="dropped", rule=lambda gradient, scale: gradient),
    Mutant(
        "scaled once more",
        clause="PPSF-L-012",
        kind="formula",
        rule=lambda gradient, scale: gradient if scale is None else gradient * scale,
    ),
    Mutant("nothing is left out", clause="PPSF-L-013", kind="condition", rule=lambda found_inf: False),
    Mutant("everything is left out", clause="PPSF-L-013", kind="condition", rule=lambda found_inf: True),
    Mutant("left out where it is 1", clause="PPSF-L-013", kind="constant", rule=lambda found_inf: found_inf == 1),
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
    Mutant("factors start at 1", clause="PPSF-L-001", kind="reset", rule=created_with(v_row=lambda p: 0 * p.v_row + 1)),
    Mutant("s starts at 1", clause="PPSF-L-001", kind="reset", rule=created_with(s=lambda p: 0 * p.s + 1)),
    Mutant("m starts at y", clause="PPSF-L-001", kind="reset", rule=created_with(m=lambda p: p.y)),
    Mutant(
        "memory of Muon starts at 1",
        clause="PPSF-L-001",
        kind="reset",
        rule=created_with(rms_sq=lambda p: 0 * p.rms_sq + 1),
    ),
    Mutant("counted twice", clause="PPSF-L-002", kind="constant", rule=lambda k: k + 2),
    Mutant("the first step is counted for ever", clause="PPSF-L-002", kind="reset", rule=lambda k: 2),
    Mutant(
        "train() does not lead back",
        clause="PPSF-L-003",
        kind="condition",
        rule=lambda mode, call, averages=True: mode and call == "train",
    ),
    Mutant("eval() does nothing", clause="PPSF-L-003", kind="condition", rule=lambda mode, call, averages=True: True),
    Mutant(
        "only infinities count",
        clause="PPSF-L-004",
        kind="condition",
        rule=lambda gradients: not any(np.isinf(gradient).any() for gradient in gradients),
    ),
    Mutant(
        "only what is not finite counts",
        clause="PPSF-L-004",
        kind="constant",
        rule=lambda gradients: all(np.isfinite(gradient).all() for gradient in gradients),
    ),
    Mutant(
        "the first gradient decides",
        clause="PPSF-L-004",
        kind="slice",
        rule=lambda gradients: law("PPSF-L-004", list(gradients)[:1]),
    ),
    Mutant(
        "z forgotten",
        clause="PPSF-L-005",
        kind="lost",
        rule=_parts_lost(lambda p: p if p.z is None else replace(p, z=p.y)),
    ),
    Mutant("x0 forgotten", clause="PPSF-L-005", kind="lost", rule=_parts_lost(_zeroed("x0"))),
    Mutant(
        "second moment forgotten", clause="PPSF-L-005", kind="lost", rule=_parts_lost(_zeroed("v", "v_row", "v_col"))
    ),
    Mutant("weights forgotten", clause="PPSF-L-005", kind="lost", rule=_parts_lost(_zeroed("y"))),
    Mutant("in the format of the parameter", clause="PPSF-L-005", kind="dtype", rule=_parts_lost(_narrowed)),
    Mutant(
        "closure called twice",
        clause="PPSF-L-006",
        kind="order",
        rule=lambda: ("gradients enabled", "closure", "closure", "step", "return closure's value"),
    ),
    Mutant(
        "value not returned", clause="PPSF-L-006", kind="lost", rule=lambda: ("gradients enabled", "closure", "step")
    ),
    Mutant(
        "does not join the count",
        clause="PPSF-L-007",
        kind="stale",
        rule=lambda fresh, first, split: replace(law("PPSF-L-007", fresh, first, split), k=fresh.k),
    ),
)
