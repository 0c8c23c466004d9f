"""Wrong laws about what is kept, rounded, saved and counted: areas N, O, G, R, L and X."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppsf_conformance.mutant import Mutant, created_with, law, refuses, stored_in
from ppsf_ref import BFLOAT16, FLOAT16, FLOAT32, GroupState, Options, ParamState, State
from ppsf_ref import numbers as num
from ppsf_ref.formats import FORMATS
from ppsf_ref.law import Rule

# ------------------------------------------------------------------------------------------------- groups and options


def _column_by_column(t: Any, stride: int) -> Any:
    order = np.arange(t.reshape(-1).shape[0]).reshape(t.shape).T.reshape(-1)
    return t.reshape(-1)[order[::stride]]


def _whole_strides(t: Any, stride: int) -> Any:
    flat = t.reshape(-1)
    return flat[: max(flat.shape[0] // stride, 1) * stride : stride]


def _only(*names: str) -> Rule:
    """Of the options that a group gives these count."""
    return lambda defaults, given: replace(defaults, **{name: given[name] for name in names if name in given})


def _without(name: str) -> Rule:
    def rule(defaults: Options, given: Mapping[str, Any]) -> Any:
        return law("PPSF-O-003", defaults, {key: value for key, value in given.items() if key != name})

    return rule


def _pairs(count: int, split: bool) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(range(first, min(first + 2, count))) for first in range(0, count, 2))


def _least(own: int, groups: Any, mean: bool) -> Any:
    active = [group.d for group in groups if group.k > 1]
    if not mean or not active:
        return groups[own].d
    least = active[0]
    for d in active[1:]:
        least = num.minimum(least, d)
    return least


def _own_in_pool(*names: str) -> Rule:
    """What a group keeps for itself though its pool has another."""

    def rule(group: GroupState, pool: GroupState, position: int) -> GroupState:
        right: GroupState = law("PPSF-G-005", group, pool, position)
        return replace(right, **{name: getattr(group, name) for name in names}) if position else right

    return rule


# ----------------------------------------------------------------------------------------------------- state and saving


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


def _as_the_parameter(*names: str) -> Rule:
    return lambda dtype, fp32: {**law("PPSF-R-001", dtype, fp32), **dict.fromkeys(names, FORMATS[dtype])}


def _float16_state(dtype: str, fp32: bool) -> Any:
    """What has the dtype of a parameter also has it where that is float16."""
    return {**law("PPSF-R-001", dtype, fp32), **({"z": FLOAT16, "m": FLOAT16} if dtype == "float16" else {})}


def _compact(*names: str) -> Rule:
    return lambda forms, on: {**forms, **dict.fromkeys(names, BFLOAT16)} if on else forms


def _with_bits(change: Callable[[Any], Any]) -> Rule:
    return lambda x, bits: law("PPSF-R-003", x, change(np.asarray(bits, np.uint32)))


def _one_draw(seed: int, k: int, parameter: int, count: int) -> Any:
    y, _ = law("PPSF-R-004", seed, k, parameter, count)
    return y, y


def _one_for_all(seed: int, k: int, parameter: int, count: int) -> Any:
    return tuple(
        np.full_like(words, words[0]) if count else words for words in law("PPSF-R-004", seed, k, parameter, count)
    )


def _rolled(seed: int, k: int, parameter: int, count: int) -> Any:
    return tuple(np.roll(words, 1) for words in law("PPSF-R-004", seed, k, parameter, count))


STATE_MUTANTS = (
    # --- samples and options
    Mutant("ends at the stride", clause="PPSF-N-001", kind="slice", rule=lambda t, n: t.reshape(-1)[n - 1 :: n]),
    Mutant("column by column", clause="PPSF-N-001", kind="axis", rule=_column_by_column),
    Mutant("whole strides only", clause="PPSF-N-001", kind="slice", rule=_whole_strides),
    Mutant("from the default beta2", clause="PPSF-O-001", kind="constant", rule=lambda b3, b2: num.sqrt(0 * b2 + 0.99)),
    Mutant("clips only with atan2", clause="PPSF-O-002", kind="condition", rule=lambda use, eps: use and eps is None),
    Mutant("a group may give lr only", clause="PPSF-O-003", kind="option", rule=_only("lr")),
    Mutant("weight_decay of a group ignored", clause="PPSF-O-003", kind="option", rule=_without("weight_decay")),
    Mutant("eps of a group ignored", clause="PPSF-O-003", kind="option", rule=_without("eps")),
    Mutant(
        "beta4 None is beta2 squared",
        clause="PPSF-O-010",
        kind="option",
        rule=lambda b4, b2: b2**2 if b4 is None else b4,
    ),
    # --- groups
    Mutant("nobody takes part", clause="PPSF-G-001", kind="condition", rule=lambda gradient, lr: None),
    Mutant(
        "a gradient of zeros stays out",
        clause="PPSF-G-001",
        kind="condition",
        rule=lambda gradient, lr: gradient if lr and gradient is not None and np.any(gradient) else None,
    ),
    Mutant("two by two", clause="PPSF-G-002", kind="slice", rule=_pairs),
    Mutant("the smallest d", clause="PPSF-G-003", kind="formula", rule=_least),
    Mutant(
        "mean though switched off",
        clause="PPSF-G-003",
        kind="option",
        rule=lambda i, g, mean: law("PPSF-G-003", i, g, True),
    ),
    Mutant(
        "d of the first group", clause="PPSF-G-003", kind="slice", rule=lambda i, g, mean: law("PPSF-G-003", 0, g, mean)
    ),
    Mutant("lr twice", clause="PPSF-G-004", kind="constant", rule=lambda estimate, lr: estimate * lr * lr),
    Mutant("counts for itself", clause="PPSF-G-005", kind="stale", rule=_own_in_pool("k")),
    Mutant("numerator of its own", clause="PPSF-G-005", kind="stale", rule=_own_in_pool("d_numerator")),
    Mutant("d of its own", clause="PPSF-G-005", kind="stale", rule=_own_in_pool("d")),
    Mutant("the first parameter decides", clause="PPSF-G-006", kind="slice", rule=lambda took_part: any(took_part[:1])),
    Mutant("d over dlr", clause="PPSF-G-010", kind="operand", rule=lambda dlr, d: d / dlr),
    # --- precision and rounding
    Mutant("z in float32", clause="PPSF-R-001", kind="dtype", rule=stored_in(z=FLOAT32)),
    Mutant("m in float32", clause="PPSF-R-001", kind="dtype", rule=stored_in(m=FLOAT32)),
    Mutant("x0 in float32", clause="PPSF-R-001", kind="dtype", rule=stored_in(x0=FLOAT32)),
    Mutant("z and m of float16 in float16", clause="PPSF-R-001", kind="dtype", rule=_float16_state),
    Mutant("v as the parameter", clause="PPSF-R-001", kind="dtype", rule=_as_the_parameter("v")),
    Mutant("s as the parameter", clause="PPSF-R-001", kind="dtype", rule=_as_the_parameter("s")),
    Mutant("factors as the parameter", clause="PPSF-R-001", kind="dtype", rule=_as_the_parameter("v_row", "v_col")),
    Mutant(
        "course in bfloat16",
        clause="PPSF-R-001",
        kind="dtype",
        rule=stored_in(pull=BFLOAT16, l1=BFLOAT16, l2=BFLOAT16),
    ),
    Mutant("s alone", clause="PPSF-R-010", kind="dtype", rule=_compact("s")),
    Mutant("x0 alone", clause="PPSF-R-010", kind="dtype", rule=_compact("x0")),
    Mutant("second moment too", clause="PPSF-R-010", kind="dtype", rule=_compact("s", "x0", "v", "v_row", "v_col")),
    Mutant(
        "away from zero",
        clause="PPSF-R-002",
        kind="rounding",
        rule=lambda x, form: law("PPSF-R-002", x * (1 + 2.0**-9), form),
    ),
    Mutant(
        "always to bfloat16", clause="PPSF-R-002", kind="rounding", rule=lambda x, form: law("PPSF-R-002", x, BFLOAT16)
    ),
    Mutant("to nearest", clause="PPSF-R-003", kind="rounding", rule=lambda x, bits: law("PPSF-R-002", x, BFLOAT16)),
    Mutant("truncated", clause="PPSF-R-003", kind="rounding", rule=_with_bits(lambda bits: 0 * bits)),
    Mutant(
        "away from zero", clause="PPSF-R-003", kind="rounding", rule=_with_bits(lambda bits: bits | np.uint32(0xFFFF))
    ),
    Mutant(
        "eight random bits",
        clause="PPSF-R-003",
        kind="rounding",
        rule=_with_bits(lambda bits: bits & np.uint32(0xFF00)),
    ),
    Mutant(
        "bits turned over", clause="PPSF-R-003", kind="rounding", rule=_with_bits(lambda bits: bits ^ np.uint32(0xFFFF))
    ),
    Mutant(
        "those of the next step",
        clause="PPSF-R-004",
        kind="stale",
        rule=lambda s, k, p, n: law("PPSF-R-004", s, k + 1, p, n),
    ),
    Mutant(
        "those of the next parameter",
        clause="PPSF-R-004",
        kind="slice",
        rule=lambda s, k, p, n: law("PPSF-R-004", s, k, p + 1, n),
    ),
    Mutant("one draw for y and z", clause="PPSF-R-004", kind="rounding", rule=_one_draw),
    Mutant("one draw for all elements", clause="PPSF-R-004", kind="rounding", rule=_one_for_all),
    Mutant("those of the next element", clause="PPSF-R-004", kind="slice", rule=_rolled),
    Mutant(
        "infinity becomes NaN", clause="PPSF-R-005", kind="rounding", rule=lambda x, r: np.where(np.isinf(x), np.nan, r)
    ),
    # --- life
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
    # --- errors
    Mutant("refused", clause="PPSF-X-001", kind="refusal", rule=refuses),
    Mutant("refused", clause="PPSF-X-004", kind="refusal", rule=refuses),
    Mutant("refused", clause="PPSF-X-005", kind="refusal", rule=refuses),
    Mutant("refused", clause="PPSF-X-020", kind="refusal", rule=refuses),
)
