"""Numbers and words as a reader should see them; every rendering uses these."""

from __future__ import annotations

import math

THIN_SPACE = "\u202f"
_TO_ASCII = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹–−…×" + THIN_SPACE, "-0123456789--~x ")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def count(value: int) -> str:
    """1234567 as 1 234 567, with narrow no-break spaces."""
    return f"{value:,}".replace(",", THIN_SPACE)


def plural(value: int, noun: str) -> str:
    """``1 clause``, ``2 clauses``."""
    return f"{count(value)} {noun}" if value == 1 else f"{count(value)} {noun}s"


def number(value: float, digits: int = 3) -> str:
    """``digits`` significant digits; powers of ten outside 0.001..99999; never an exponent letter."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "−∞" if value < 0 else "∞"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -3 <= power <= 4:
        return f"{value:.{max(digits - 1 - power, 0)}f}".replace("-", "−")
    return f"{mantissa}×10{str(power).translate(_SUPERSCRIPTS)}".replace("-", "−")


def ratio(value: float | None) -> str:
    """An error/bound ratio; digits are added until it is not shown on the wrong side of 1."""
    if value is None:
        return "–"
    for digits in range(3, 17):
        shown = number(value, digits)
        if value == 1 or not shown.startswith("1.") or shown.strip("0.") != "1":
            return shown
    return "> 1" if value > 1 else "< 1"


def percent(fraction: float) -> str:
    """A share between 0 and 1 in percent: 0 % only for none, 100 % only for all."""
    if fraction in (0, 1):
        return f"{fraction:.0%}".replace("%", THIN_SPACE + "%")
    if fraction < 0.0001:
        return f"< 0.01{THIN_SPACE}%"
    if fraction > 0.999:
        return f"> 99.9{THIN_SPACE}%"
    return f"{100 * fraction:.2g}{THIN_SPACE}%" if fraction < 0.1 else f"{100 * fraction:.1f}{THIN_SPACE}%"


def ascii(shown: str) -> str:
    """The same in ASCII: 2.60e7 for 2.60×10⁷; what has no equivalent becomes ``?``."""
    plain = shown.replace("×10", "e").replace("∞", "inf").translate(_TO_ASCII)
    return plain.encode("ascii", "replace").decode("ascii")


def power_of_ten(exponent: int) -> str:
    """The label of a tick of a logarithmic axis: 0.01, 1, 100, and 10⁻⁴ beyond."""
    if -2 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def duration(seconds: float) -> str:
    """``0.8 s``, ``12 s``, ``3 min 20 s``, ``1 h 05 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
