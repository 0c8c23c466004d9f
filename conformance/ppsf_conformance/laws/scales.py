"""Laws of scale and sign: powers of two and signs pass through every operation without rounding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ppsf_conformance.adapter import Group, Implementation
from ppsf_conformance.checks.finding import Finding, revision_of
from ppsf_conformance.laws.law import PLAIN, cases, law, scaled, side_by_side, times
from ppsf_conformance.laws.side_by_side import same_run
from ppsf_conformance.problems import Problem, constructor_groups
from ppsf_ref import State

#: What counts in units of the gradient, or in units of the step size.
OF_GRADIENT = frozenset({"m", "s", "v", "v_row", "v_col", "d_numerator", "d_denom", "n_max", "pull"})
OF_STEP = frozenset({"weight_sum", "lr_max"})
#: No smaller than a float32 number, so small that adding it changes no root of a second moment.
NO_EPS = 1e-30
SWITCHES: tuple[dict[str, Any], ...] = (
    {}, {"use_bias_correction": True}, {"use_cautious": True}, {"use_grams": True}, {"use_adopt": True},
    {"use_speed": True}, {"amplify_gradients": True}, {"use_schedulefree": False}, {"split_groups": False},
)  # fmt: skip


def _with_weights(problem: Problem, factor: float) -> list[Group]:
    """The groups, all weights multiplied."""
    return [
        replace(group, params=tuple(replace(p, values=p.values * factor) for p in group.params))
        for group in constructor_groups(problem)
    ]


@law("scale of gradients", "PPSF-N-012")
def scale_of_gradients(implementation: Implementation) -> Iterator[Finding]:
    """Gradients multiplied by 4**n leave weights and estimates as they are.

    Scope: Adam-atan2, or an eps too small to be seen; every option tried here. Reason: numerator and denominator of the
    candidate have the gradient as a factor once, amplified or not, and so have gradient and divisor of the update; a
    power of four, and its root, pass through products, sums and roots without rounding. What an arctangent makes of a
    scaled point may differ in its last bit, which the bound of a step allows.
    """
    eps = NO_EPS if "eps" in revision_of(implementation).needs else None
    for problem in cases(implementation, variants=SWITCHES, scales=True, eps=eps):
        for factor in (2.0**12, 2.0**-12) if problem.options.keys() <= {"d0", "eps"} else (2.0**12,):
            told = same_run(problem, gradients=lambda g, f=factor: times(g, f), ignores=OF_GRADIENT)
            yield from side_by_side(implementation, problem, told, f", gradients times {factor}")


@law("reflection", "PPSF-R-002", "PPSF-R-003")
def reflection(implementation: Implementation) -> Iterator[Finding]:
    """Weights and gradients of the opposite sign give the run of the opposite sign.

    Scope: all options. Reason: every operation of a step is odd or even in them, and both ways of rounding treat
    magnitudes; so the two runs are mirror images, bit for bit.
    """
    switches = (*SWITCHES, {"use_orthograd": True}, {"use_focus": True}, {"use_muon_pp": True}, {"weight_decay": 0.1})
    for problem in cases(implementation, variants=switches):
        odd = ("y", "z", "m", "x0", "s", *(("v",) if problem.options.get("use_focus") else ()))

        def back(state: State, odd: tuple[str, ...] = odd) -> State:
            return scaled(state, -1.0, *odd)

        told = same_run(problem, groups=_with_weights(problem, -1.0), gradients=lambda g: times(g, -1.0), back=back)
        yield from side_by_side(implementation, problem, told)


@law("unit of length", "PPSF-D-025", "PPSF-D-026", "PPSF-D-029")
def unit_of_length(implementation: Implementation) -> Iterator[Finding]:
    """Weights and d0 multiplied by 4**n, with the same gradients, multiply weights and estimates.

    Scope: revisions whose candidate is a quotient (an angle is no length), without decay and without SPEED. Reason: the
    candidate is a length, the statistics weigh steps by powers of d over powers of d0, and updates have d as a
    factor; so a run has no length of its own but d0.
    """
    if revision_of(implementation).estimate != "ratio":
        return
    for variant in ({}, {"use_schedulefree": False}, {"d_limiter": False}, {"use_bias_correction": True}):
        for problem in cases(implementation, variants=(variant,), scales=True):
            for factor in (2.0**6, 2.0**-6):
                told = same_run(
                    problem,
                    groups=_with_weights(problem, factor),
                    options={**problem.options, "d0": problem.options["d0"] * factor},
                    back=lambda s, f=factor: scaled(s, 1 / f, "y", "z", "x0", "d", "d_prev", "d_max"),
                    ignores=OF_GRADIENT | OF_STEP,
                )
                yield from side_by_side(implementation, problem, told, f", lengths times {factor}")


@law("learning rate", "PPSF-G-004", "PPSF-Z-001", "PPSF-Z-010")
def learning_rate(implementation: Implementation) -> Iterator[Finding]:
    """From zero weights, with a frozen estimate and given gradients, a learning rate times 4 makes all weights times 4.

    Scope: revisions without an estimate, or with a window for it; no decay. Reason: no update depends on the weights,
    and the averaging weights are shares of powers of the step size, in which a common factor cancels.
    """
    window: dict[str, Any] = {} if revision_of(implementation).estimate == "none" else {"prodigy_steps": 1}
    zero = replace(PLAIN, params=tuple(replace(p, start="zero") for p in PLAIN.params))
    for problem in cases(implementation, (zero,), regime="noise", scales=True, **window):
        told = same_run(
            problem,
            options={**problem.options, "lr": 4.0},
            back=lambda s: scaled(s, 0.25, "y", "z"),
            ignores=OF_STEP | {"s", "d_numerator", "d_denom"},
        )
        yield from side_by_side(implementation, replace(problem, options={**problem.options, "lr": 1.0}), told)
