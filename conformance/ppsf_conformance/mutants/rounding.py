"""Wrong laws about stored formats and rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ppsf_conformance.mutant import Mutant, law, stored_in
from ppsf_ref import BFLOAT16, FLOAT16, FLOAT32
from ppsf_ref.formats import FORMATS
from ppsf_ref.law import Rule


def _low_bits_swapped(seed: int, k: int, parameter: int, count: int) -> Any:
    y, z = law("PPSF-R-004", seed, k, parameter, count)
    return z, y


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


ROUNDING: tuple[Mutant, ...] = (
    Mutant("x0 in bfloat16", clause="PPSF-R-001", kind="dtype", rule=stored_in(x0=BFLOAT16)),
    Mutant("s in bfloat16", clause="PPSF-R-001", kind="dtype", rule=stored_in(s=BFLOAT16)),
    Mutant("memory of Muon in bfloat16", clause="PPSF-R-001", kind="dtype", rule=stored_in(rms_sq=BFLOAT16)),
    Mutant("factors always float32", clause="PPSF-R-001", kind="dtype", rule=stored_in(v_row=FLOAT32, v_col=FLOAT32)),
    Mutant(
        "toward zero",
        clause="PPSF-R-002",
        kind="rounding",
        rule=lambda x, form: law("PPSF-R-002", x * (1 - 2.0**-9), form),
    ),
    Mutant(
        "15 random bits",
        clause="PPSF-R-003",
        kind="constant",
        rule=lambda x, bits: law("PPSF-R-003", x, bits >> np.uint32(1)),
    ),
    Mutant(
        "one bit too many",
        clause="PPSF-R-003",
        kind="rounding",
        rule=lambda x, bits: law("PPSF-R-003", x, bits + np.uint32(256)),
    ),
    Mutant(
        "the same bits in every step",
        clause="PPSF-R-004",
        kind="rounding",
        rule=lambda s, k, p, n: law("PPSF-R-004", s, 1, p, n),
    ),
    Mutant(
        "the same bits for all parameters",
        clause="PPSF-R-004",
        kind="rounding",
        rule=lambda s, k, p, n: law("PPSF-R-004", s, k, 0, n),
    ),
    Mutant("seed ignored", clause="PPSF-R-004", kind="rounding", rule=lambda s, k, p, n: law("PPSF-R-004", 0, k, p, n)),
    Mutant("y and z exchanged", clause="PPSF-R-004", kind="rounding", rule=_low_bits_swapped),
    Mutant(
        "infinity becomes the largest number",
        clause="PPSF-R-005",
        kind="rounding",
        rule=lambda x, rounded: np.nan_to_num(rounded),
    ),
    Mutant(
        "NaN becomes zero",
        clause="PPSF-R-005",
        kind="rounding",
        rule=lambda x, rounded: np.where(np.isnan(x), 0.0, rounded),
    ),
    Mutant("never compact", clause="PPSF-R-010", kind="dtype", rule=lambda forms, on: forms),
    Mutant(
        "always compact",
        clause="PPSF-R-010",
        kind="dtype",
        rule=lambda forms, on: {**forms, "x0": BFLOAT16, "s": BFLOAT16},
    ),
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
)
