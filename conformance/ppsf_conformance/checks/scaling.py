"""Gradients of a scaled loss, and steps that a scaler has found bad."""

from __future__ import annotations

from collections.abc import Iterator

from ppsf_conformance.adapter import Array, Gradients, Implementation, Session
from ppsf_conformance.checks.finding import Check, Finding, difference, gradients, run, two_groups
from ppsf_ref.clauses import lifecycle
from ppsf_ref.formats import FORMATS, nearest

#: Powers of two, so that nothing but the rule itself can make a difference; None: the caller has undone the scale.
SCALES = (2.0**12, 0.25, None)


def _pairs(implementation: Implementation) -> Iterator[tuple[Session, Session, str, str]]:
    """Two sessions after the same steps, for each dtype, fused and not; the dtype, and both in words."""
    fused = "fused_back_pass" in implementation.capabilities.options
    for dtype in implementation.capabilities.dtypes:
        for given in ({}, {"fused_back_pass": True}) if fused else ({},):
            sessions = [implementation.new(two_groups(dtype), given) for _ in range(2)]
            for session in sessions:
                run(session, 2)
            yield sessions[0], sessions[1], dtype, f"{dtype}, {given}"


def _each(rows: Gradients, scale: float, dtype: str) -> list[list[Array | None]]:
    """Scaled gradients as they are stored."""
    return [[None if g is None else nearest(g * scale, FORMATS[dtype]) for g in row] for row in rows]


def _scaled(implementation: Implementation) -> Iterator[Finding]:
    for session, ordinary, dtype, case in _pairs(implementation):
        for number, scale in enumerate(SCALES):
            rows = gradients(session, 2 + number)
            given = rows if scale is None else _each(rows, scale, dtype)
            session.step_scaled(given, scale, 0.0)
            meant = [[None if g is None else lifecycle.unscaled(g, scale) for g in row] for row in given]
            ordinary.step(meant)
            apart = difference(ordinary.snapshot().state, session.snapshot().state)
            yield Finding(not apart, f"a step with gradients scaled by {scale} ({case}): {apart}")
    yield from _too_large(implementation)


def _too_large(implementation: Implementation) -> Iterator[Finding]:
    """Whether a gradient can be squared is asked of what it is without its scale."""
    for size, scale in ((2.0**66, 2.0**12), (2.0**60, 2.0**-12)):
        session = implementation.new(two_groups(), {})
        run(session, 2)
        rows, before = gradients(session, 2), session.snapshot().state
        spoiled = rows[1][0]
        assert spoiled is not None
        spoiled.flat[0] = size
        session.step_scaled(rows, scale, 0.0)
        runs = lifecycle.all_finite([lifecycle.unscaled(g, scale) for row in rows for g in row if g is not None])
        moved = bool(difference(before, session.snapshot().state))
        yield Finding(
            moved == runs, f"a gradient of {size} with a scale of {scale}: the step {'runs' if moved else 'rests'}"
        )


def _found(implementation: Implementation) -> Iterator[Finding]:
    for session, _, _, case in _pairs(implementation):
        for found, scale in ((1.0, 2.0**12), (1.0, None), (0.0, None), (2.0, 2.0**12)):
            before = session.snapshot().state
            session.step_scaled(gradients(session, 2), scale, found)
            changed = difference(before, session.snapshot().state)
            stays = lifecycle.skipped(found)
            yield Finding(
                stays == (not changed), f"a step with found_inf {found} ({case}) changes {changed or 'nothing'}"
            )


SCALING_CHECKS: dict[str, Check] = {"PPSF-L-012": _scaled, "PPSF-L-013": _found}
