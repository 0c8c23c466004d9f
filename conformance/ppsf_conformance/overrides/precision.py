"""What releases keep of the statistics in bfloat16."""

from __future__ import annotations

from ppsf_conformance.overrides.rules import Override, Table, half, instead
from ppsf_ref import BFLOAT16, Format
from ppsf_ref import numbers as num
from ppsf_ref.numbers import Number


def _stored_as(name: str, form: Format) -> Override:
    return lambda base: lambda dtype, factored_fp32: {**base(dtype, factored_fp32), name: form}


def _sum_rounded_twice(s: Number, g: Number, beta3: Number, weight: Number) -> Number:
    return half(half(beta3 * s) + weight * g)


TABLE: Table = {
    "initial_sample_in_bfloat16": {"PPSF-R-001": _stored_as("x0", BFLOAT16)},
    "gradient_sum_in_bfloat16": {
        "PPSF-R-001": _stored_as("s", BFLOAT16),
        "PPSF-D-003": instead(_sum_rounded_twice),
    },
    "statistics_in_bfloat16": {"PPSF-D-004": instead(lambda s: half(num.total(abs(s))))},
}
