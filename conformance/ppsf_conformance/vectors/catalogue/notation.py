"""Area N: the sample of a tensor."""

from __future__ import annotations

import numpy as np

from ppsf_conformance.vectors.model import case, exact
from ppsf_ref.clauses import notation


def _counted(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Elements that say where they stand."""
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


NOTATION = (
    exact(
        "PPSF-N-001",
        "t:raw stride:integer",
        "sample:raw",
        lambda i: notation.sampled(i.t, i.stride),
        case("eleven elements: one is taken", "DefaultOptions NearGuard", t=_counted(11), stride=11),
        case("twelve: two are", "DefaultOptions NearGuard", t=_counted(12), stride=11),
        case("ten", "DefaultOptions", t=_counted(10), stride=11),
        case("a matrix, in row-major order", "DefaultOptions", t=_counted(3, 8), stride=11),
        case("three dimensions", "DefaultOptions", t=_counted(2, 3, 4), stride=11),
        case("one number without dimensions", "Edge", t=np.float64(7), stride=11),
        case("a tensor without elements", "Edge", t=_counted(0, 3), stride=11),
        case("stride 1: all of them", "", t=_counted(2, 3), stride=1),
        case("stride 3", "", t=_counted(2, 5), stride=3),
    ),
)
