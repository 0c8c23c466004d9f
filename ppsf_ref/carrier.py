"""What values and bounds are computed in: extended precision, with scalars where there is one number.

A scalar of numpy takes a fraction of the time of an array without axes; these functions take both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: np.longdouble carries 64 significand bits on x86-64; where it carries 53 the bounds stay valid, only wider.
CARRIER = np.longdouble
#: Half-ulp errors of a value and of the few operations that form its bound, taken together (16 of them).
CARRIER_UNIT = CARRIER(8) * np.finfo(CARRIER).eps
ZERO: Any = CARRIER(0)
INFINITY: Any = CARRIER(np.inf)

#: Where something holds: nowhere, everywhere, or element by element.
Mask = Any


def carried(x: Any) -> Any:
    """A number or an array in the carrier; without axes, a scalar."""
    if type(x) is CARRIER:
        return x
    array: Any = np.asarray(x, CARRIER)
    return array if array.ndim else array[()]


def somewhere(mask: Any) -> int:
    """In how many elements a mask holds, or a number is not 0."""
    return int(np.count_nonzero(mask)) if type(mask) is np.ndarray else int(bool(mask))


def everywhere(mask: Mask) -> bool:
    """Whether a mask holds in every element."""
    return bool(np.count_nonzero(mask) == mask.size) if type(mask) is np.ndarray else bool(mask)


def chosen(mask: Mask, yes: Any, no: Any) -> Any:
    """One or the other, element by element."""
    if type(mask) is np.ndarray:
        return np.where(mask, yes, no)
    return yes if mask else no
