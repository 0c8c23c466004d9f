"""Area N: notation."""

from __future__ import annotations

from ppsf_ref.law import clause
from ppsf_ref.numbers import Number


@clause("PPSF-N-001", "4572b27e")
def sampled(t: Number, stride: int) -> Number:
    """S(t): every ``stride``-th element of the row-major flattening, from the first."""
    return t.reshape(-1)[::stride]
