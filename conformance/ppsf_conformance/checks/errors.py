"""Area X: what has to be refused, and what must not be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Group, Implementation, Weights
from ppsf_conformance.checks.finding import (
    Check,
    Finding,
    agrees,
    difference,
    gradients,
    outcome,
    poolings,
    revision_of,
    run,
    splits,
    two_groups,
    weights,
)
from ppsf_ref.clauses import errors, options
from ppsf_ref.options import options_of

#: Exceptions that may stand for one another: the law asks for a clear refusal, not for one class.
KINDS: Mapping[str, tuple[str, ...]] = {
    "ValueError": ("ValueError", "TypeError"),
    "TypeError": ("ValueError", "TypeError"),
    "RuntimeError": ("RuntimeError", "ValueError"),
}

#: Values tried per option, inside and outside its domain.
TRIED: Mapping[str, tuple[Any, ...]] = {
    "lr": (1.0, 1e-3, 5, 0.0, -1.0, math.nan, math.inf, "1", None),
    "betas": (
        (0.9, 0.99),
        (0.5, 0.0),
        (1.0, 0.99),
        (0.9, 1.0),
        (-0.1, 0.9),
        (0.9, math.nan),
        (0.9,),
        0.9,
    ),
    "beta3": (None, 0.0, 0.9, 1.0, -0.1, math.nan, "x"),
    "weight_decay": (0.0, 0.1, -0.1, math.nan, math.inf),
    "weight_decay_by_lr": (True, False, "yes", 2),
    "d0": (1e-6, 1.0, 0.0, -1e-6, math.nan, math.inf),
    "d_coef": (1.0, 0.5, 0.0, -1.0, math.nan),
    "prodigy_steps": (0, 5, -1, 2.5),
    "eps": (None, 1e-8, 0.0, -1e-8, math.nan),
    "factored": (True, False, "no"),
    "factored_fp32": (True, False, "no"),
    "use_stableadamw": (True, False, "no"),
    "use_cautious": (True, False, "no"),
    "use_bias_correction": (True, False, "no"),
    "use_grams": (True, False, "no"),
    "use_adopt": (True, False, "no"),
    "use_orthograd": (True, False, "no"),
    "use_speed": (True, False, "no"),
    "use_focus": (True, False, "no"),
    "use_muon_pp": (True, False, "no"),
    "beta4": (None, 0.0, 0.9, -0.9, 1.0, -1.0, math.nan, "x"),
    "amplify_gradients": (True, False, "no"),
    "d_limiter": (True, False, "no"),
    "schedulefree_c": (0.0, 8.0, -1.0, math.inf),
    "use_schedulefree": (True, False, "no"),
    "warmup_steps": (0, 5, -1, 2.5),
    "slice_p": (1, 11, 0, 2.5),
    "bf16_state": (True, False, "no"),
    "decouple": (True, False, "no"),
    "safeguard_warmup": (True, False, "no"),
    "fsdp_in_use": (True, False, "no"),
    "growth_rate": (math.inf, 1.0, 1.02, 0.9, math.nan),
    "cosine_decay": (True, False, "no"),
    "peak_patience": (0, 5, -1, 2.5),
    "total_training_steps": (None, 5, 0, 2.5),
    "r": (0.0, 1.0, -1.0, math.inf),
    "weight_lr_power": (0.0, 2.0, -1.0, math.inf),
    "stochastic_rounding": (True, False, "no"),
    "split_groups": (True, False, "no"),
    "split_groups_mean": (True, False, "no"),
    "rounding_seed": (0, 7, -1, 1.5),
    "fused_back_pass": (True, False, "no"),
}


def _construct(implementation: Implementation, groups: list[Group], **options: Any) -> Callable[[], object]:
    return lambda: implementation.new(groups, options)


def _unknown(implementation: Implementation) -> Iterator[Finding]:
    known, needs = revision_of(implementation).options, revision_of(implementation).needs
    for name in ("d_coeff", "use_stable_adamw", *sorted({"growth_rate", "d_limiter"} - known)):
        expected = outcome(errors.refuse_unknown, name, known)
        got = outcome(_construct(implementation, two_groups(), **{name: 1.0}))
        yield Finding(agrees(expected, got, KINDS), f"option {name}: {got}, not {expected}")
    for name in sorted(implementation.capabilities.options):
        expected = outcome(errors.refuse_unknown, name, known)
        lawful = next(value for value in TRIED[name] if value is not None or name not in needs)
        got = outcome(_construct(implementation, two_groups(), **{name: lawful}))
        yield Finding(agrees(expected, got, KINDS), f"option {name}: {got}, not {expected}")


def _domains(implementation: Implementation) -> Iterator[Finding]:
    needs = revision_of(implementation).needs
    for name in sorted(implementation.capabilities.options):
        for value in TRIED[name]:
            expected = outcome(errors.refuse_outside, name, value, needs=needs)
            got = outcome(_construct(implementation, two_groups(), **{name: value}))
            yield Finding(agrees(expected, got, KINDS), f"{name}={value!r}: {got}, not {expected}")
            if name not in errors.WHOLE_OPTIMIZER and "own_options" not in implementation.capabilities.limits:
                groups = [Group(group.params, {name: value}) for group in two_groups()]
                got = outcome(_construct(implementation, groups))
                yield Finding(agrees(expected, got, KINDS), f"{name}={value!r} in the groups: {got}, not {expected}")
                if expected != "accepted":
                    group = Group(weights(3), {name: value})
                    yield from _not_added(implementation, group, f"{name}={value!r}", expected)
    for rate in (0.0, -1.0, math.nan):
        expected = outcome(errors.refuse_outside, "lr", rate, at_step=True)
        yield from _refused_step(implementation, rate, expected)


def _not_added(
    implementation: Implementation, group: Group, case: str, expected: str, **options: Any
) -> Iterator[Finding]:
    """What is refused at construction is refused of a later group, and leaves the optimizer as it was."""
    session = implementation.new(two_groups(), options)
    before = session.snapshot().state
    got = outcome(session.add_group, group)
    yield Finding(agrees(expected, got, KINDS), f"add_param_group with {case}: {got}, not {expected}")
    if got != "accepted":
        changed = difference(before, session.snapshot().state)
        yield Finding(not changed, f"a refused add_param_group with {case} leaves {changed}")


def _refused_step(implementation: Implementation, rate: float, expected: str) -> Iterator[Finding]:
    session = implementation.new(two_groups(), {})
    run(session, 2)
    session.set_lr(1, rate)
    grads, before = gradients(session, 3), session.snapshot().state
    got = outcome(session.step, grads)
    yield Finding(agrees(expected, got, KINDS), f"step() with lr={rate} set by a scheduler: {got}, not {expected}")
    if got != "accepted":
        changed = difference(before, session.snapshot().state)
        yield Finding(not changed, f"a step refused for lr={rate} changes {changed}")


def _forbidden(implementation: Implementation) -> Iterator[Finding]:
    differing: tuple[dict[str, Any], ...] = (
        {"d0": 1e-5},
        {"d_coef": 2.0},
        {"prodigy_steps": 7},
        {"use_speed": True},
        {"betas": (0.9, 0.9)},
        {"weight_decay": 0.1},
        {},
    )
    offered = implementation.capabilities.options
    for given in (given for given in differing if offered.issuperset(given)):
        for pooling in poolings(implementation):
            split, law = splits(implementation, pooling), revision_of(implementation)
            groups = (options_of(law, **given), options_of(law))
            expected = outcome(errors.refuse_forbidden, groups, split)
            got = outcome(_construct(implementation, two_groups(**given), **pooling))
            yield Finding(
                agrees(expected, got, KINDS),
                f"split_groups={split}, a group with {given}: {got}, not {expected}",
            )
            if expected != "accepted":
                yield from _not_added(implementation, Group(weights(3), given), f"{given}", expected, **pooling)
    for name in sorted(errors.WHOLE_OPTIMIZER & offered):
        expected = outcome(errors.refuse_forbidden, (), True, (name,))
        got = outcome(_construct(implementation, two_groups(**{name: TRIED[name][0]})))
        yield Finding(agrees(expected, got, KINDS), f"{name} in a group: {got}, not {expected}")
        yield from _not_added(implementation, Group(weights(3), {name: TRIED[name][0]}), f"a {name}", expected)


def _foreign_gradients(implementation: Implementation) -> Iterator[Finding]:
    cases: tuple[tuple[Any, str, bool], ...] = (("sparse", "sparse_coo", False), ("complex", "strided", True))
    for kind, layout, is_complex in cases:
        session = implementation.new(two_groups(), {})
        run(session, 2)
        before = session.snapshot().state
        expected = outcome(errors.refuse_gradient, layout, is_complex)
        got = outcome(session.step_with_foreign_gradient, kind)
        yield Finding(agrees(expected, got, KINDS), f"a {kind} gradient: {got}, not {expected}")
        changed = difference(before, session.snapshot().state)
        yield Finding(not changed, f"a refused {kind} gradient changes {changed}")
        if "changing_lr" not in implementation.capabilities.limits:
            session = implementation.new(two_groups(), {})
            session.set_lr(1, 0.0)
            got = outcome(session.step_with_foreign_gradient, kind)
            yield Finding(got == "accepted", f"a {kind} gradient in a group whose lr is 0, which is not read: {got}")
    session = implementation.new(two_groups(), {})
    expected = outcome(errors.refuse_gradient, "strided", False)
    got = outcome(session.step, gradients(session, 0))
    yield Finding(agrees(expected, got, KINDS), f"a dense real gradient: {got}, not {expected}")


def _parameters(implementation: Implementation) -> Iterator[Finding]:
    for dtype in ("float32", "bfloat16", "float16", "float64", "complex64"):
        expected = outcome(errors.refuse_parameter, dtype, implementation.capabilities.dtypes)
        group = Group((Weights(np.ones((3, 2)), dtype),), {})
        if dtype in implementation.capabilities.dtypes or dtype not in errors.DTYPES:  # a map may claim less
            got = outcome(_construct(implementation, [group]))
            yield Finding(agrees(expected, got, KINDS), f"a {dtype} parameter: {got}, not {expected}")
    if "float32" in implementation.capabilities.dtypes:
        expected = outcome(errors.refuse_parameter, "float64", implementation.capabilities.dtypes)
        group = Group((Weights(np.ones(3), "float64"),), {})
        yield from _not_added(implementation, group, "a float64 parameter", expected)


def _unrectifiable(implementation: Implementation) -> Iterator[Finding]:
    law = revision_of(implementation)
    correction = options.correction(law.bias_correction, options_of(law).use_schedulefree)
    if correction == "adam" or not {"use_bias_correction", "betas"} <= implementation.capabilities.options:
        return
    for use in (True, False):
        for beta2 in (0.0, 0.6, 0.61, 0.99):
            expected = outcome(errors.refuse_unrectifiable, use, beta2, correction)
            given: dict[str, Any] = {"use_bias_correction": use, "betas": (0.9, beta2)}
            for construct in (
                _construct(implementation, two_groups(), **given),
                _construct(implementation, two_groups(**given)),
            ):
                got = outcome(construct)
                yield Finding(agrees(expected, got, KINDS), f"{given}: {got}, not {expected}")


def _undivided(implementation: Implementation) -> Iterator[Finding]:
    defaults = options_of(revision_of(implementation))
    averages, beta2 = defaults.use_schedulefree, defaults.betas[1]
    for beta1 in (0.0, 0.1):
        expected = outcome(errors.refuse_undivided, averages, beta1)
        for construct in (
            _construct(implementation, two_groups(), betas=(beta1, beta2)),
            _construct(implementation, two_groups(betas=(beta1, beta2))),
        ):
            got = outcome(construct)
            yield Finding(agrees(expected, got, KINDS), f"betas[0]={beta1}: {got}, not {expected}")


#: By the clause each check holds.
ERROR_CHECKS: dict[str, Check] = {
    "PPSF-X-001": _unknown,
    "PPSF-X-002": _domains,
    "PPSF-X-003": _forbidden,
    "PPSF-X-009": _undivided,
    "PPSF-X-005": _foreign_gradients,
    "PPSF-X-006": _parameters,
    "PPSF-X-008": _unrectifiable,
}
