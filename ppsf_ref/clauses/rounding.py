"""Area R: precision and rounding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ppsf_ref import numbers, philox
from ppsf_ref.formats import BFLOAT16, FLOAT16, FLOAT32, FORMATS, Array, Format
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number

#: Single numbers that Muon and SPEED keep of a parameter.
NUMBERS = {"rms_sq": FLOAT32, "pull": FLOAT32, "l1": FLOAT32, "l2": FLOAT32}


@clause("PPSF-R-001", "87be6185")
def storage(dtype: str, factored_fp32: bool) -> Mapping[str, Format]:
    """The format in which each part of a parameter's state is stored."""
    weights = FORMATS[dtype]
    own = FLOAT32 if weights is FLOAT16 else weights
    factors = FLOAT32 if factored_fp32 else own
    return {
        "y": weights,
        "z": own,
        "m": own,
        "x0": own,
        "s": FLOAT32,
        "v": FLOAT32,
        "v_row": factors,
        "v_col": factors,
        **NUMBERS,
    }


@clause("PPSF-R-002", "2d69bc8e")
def nearest(x: Number, form: Format) -> Number:
    """Rounded once, to nearest, ties to even."""
    return numbers.round_nearest(x, form)


@clause("PPSF-R-003", "86e7aa41")
def stochastic(x: Number, bits: Array) -> Number:
    """bfloat16 above or below the float32 number ``x``, chosen by 16 random bits."""
    return numbers.round_by(x, lambda exact: _with_specials(exact, bits))


def _with_specials(x: Array, bits: Array) -> Array:
    word = x.astype(np.float32).view(np.uint32)
    lifted = (word + bits.reshape(x.shape).astype(np.uint32)) & np.uint32(0xFFFF0000)
    return preserved(x, lifted.view(np.float32).astype(x.dtype))


@clause("PPSF-R-004", "0cde3f96")
def rounding_bits(seed: int, k: int, parameter: int, count: int) -> tuple[Array, Array]:
    """16 random bits per element for y, and 16 for z."""
    words = philox.words(key=(seed, k), parameter=parameter, count=count)
    return words & np.uint32(0xFFFF), words >> np.uint32(16)


@clause("PPSF-R-005", "77c6d298")
def preserved(x: Array, rounded: Array) -> Array:
    """NaN, infinities and zeros pass through stochastic rounding."""
    return np.where(np.isfinite(x) & (x != 0), rounded, x)


@clause("PPSF-R-010", "5370d396")
def compact(forms: Mapping[str, Format], bf16_state: bool) -> Mapping[str, Format]:
    """With ``bf16_state`` the samples that only the estimate needs are kept in bfloat16."""
    return {**forms, "x0": BFLOAT16, "s": BFLOAT16} if bf16_state else forms
