"""Numbers as text, and 50-digit numbers as floating-point ones, alike on every machine."""

from __future__ import annotations

import math
from typing import Any, Literal

from ppsf_ref.formats import FLOAT64, Format

Direction = Literal["nearest", "down", "up"]


def text(x: float) -> str:
    """A float64 number as C99 writes it (``0x1.8p+3``), with ``inf``, ``-inf`` and ``nan`` spelled out."""
    x = float(x)
    if not math.isfinite(x):
        return "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"
    mantissa, _, exponent = x.hex().partition("p")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}p{exponent}"


def number(written: str) -> float:
    """What :func:`text` has written.

    Raises:
        ValueError: it is no number in that notation.
    """
    if written in ("inf", "-inf", "nan"):
        return float(written)
    if "0x" not in written:
        raise ValueError(f"{written!r} is not a hexadecimal number")
    return float.fromhex(written)


def rounded(x: Any, direction: Direction = "nearest", form: Format = FLOAT64) -> float:
    """A number of mpmath, rounded into a format with exact integer arithmetic; ties go to even."""
    sign, mantissa, exponent, bits = x._mpf_
    mantissa, bits = int(mantissa), int(bits)
    if not mantissa:  # zero, or not finite
        return float(x)
    quantum = max(bits + exponent - form.precision, form.emin - form.precision + 1)
    shift = exponent - quantum
    if shift >= 0:
        whole, rest = mantissa << shift, 0
    else:
        whole, rest = mantissa >> -shift, mantissa & ((1 << -shift) - 1)
    if rest:
        whole += _rounds_away(whole, rest, 1 << (-shift - 1), direction, bool(sign))
    return _signed(whole, quantum, bool(sign), direction, form)


def _rounds_away(whole: int, rest: int, half: int, direction: Direction, negative: bool) -> bool:
    """Whether the magnitude goes up."""
    if direction == "nearest":
        return rest > half or (rest == half and whole % 2 == 1)
    return (direction == "down") == negative


def _signed(whole: int, quantum: int, negative: bool, direction: Direction, form: Format) -> float:
    too_large = whole.bit_length() + quantum - 1 > form.emax
    inward = "up" if negative else "down"
    most = float(form.largest) if direction == inward else math.inf
    magnitude = most if too_large else math.ldexp(whole, quantum)
    return -magnitude if negative else magnitude
