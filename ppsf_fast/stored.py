"""What the numbers that a group stores may be, whether they were loaded or edited."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

from ppsf_fast.options import Group
from ppsf_fast.scalars import FIRST_STEP, is_count

#: What each number is at least, and whether it must be more than that; others may be any finite number.
_LEAST = {
    "d": (0, True), "d_prev": (0, True), "d_max": (0, True), "weight_sum": (0, False), "lr_max": (0, False),
    "k": (FIRST_STEP, False), "stalled": (0, False), "peak": (0, False),
}  # fmt: skip


def check_stored(group: Group, names: Iterable[str], where: str, todo: str) -> None:
    """Raise ValueError for the first number of a group that no step can go on from.

    Args:
        group: has all of them.
        names: which ones.
        where: names the group.
        todo: what the caller can do.
    """
    for name in names:
        value = group[name]
        if not _is_allowed(name, value):
            raise ValueError(f"{where} holds {name}={value!r}: it must be {_allowed(name)}. {todo}")


def _is_allowed(name: str, value: Any) -> bool:
    if value is None:
        return name == "peak"
    given = float(value) if isinstance(value, Real) else math.nan
    if not math.isfinite(given) or (is_count(name) and not given.is_integer()):
        return False
    least, excluded = _LEAST.get(name, (-math.inf, True))
    return given > least if excluded else given >= least


def _allowed(name: str) -> str:
    kind = "a whole number" if is_count(name) else "a finite number"
    if name not in _LEAST:
        return kind
    least, excluded = _LEAST[name]
    return f"{kind} {'>' if excluded else '>='} {least}"
