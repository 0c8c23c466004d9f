"""Inputs and results as JSON: numbers in hexadecimal, arrays with their shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppsf_conformance.vectors.floats import text


def written(kind: str, value: Any) -> Any:
    """A plain value of a kind (:data:`ppsf_conformance.vectors.model.KINDS`) as JSON data."""
    if value is None:
        return None
    if kind in ("number", "option"):
        return text(value)
    if kind in ("array", "raw"):
        return _array(value)
    if kind == "numbers":
        return [text(x) for x in value]
    if kind == "arrays":
        return [_array(x) for x in value]
    if kind == "options":
        return {name: option(x) for name, x in value.items()}
    if kind in ("count", "integer"):
        return int(value)
    if kind == "shape":
        return [int(x) for x in value]
    return value


def _array(value: Any) -> dict[str, Any]:
    values = np.asarray(value, np.float64)
    return {"shape": list(values.shape), "data": [text(x) for x in values.reshape(-1)]}


def option(value: Any) -> Any:
    """The value of an option: numbers in hexadecimal, all else as it is."""
    if isinstance(value, float):
        return text(value)
    return [option(x) for x in value] if isinstance(value, (tuple, list)) else value
