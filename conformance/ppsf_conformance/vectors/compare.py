"""Hold results against a vector: the comparison that ``docs/vectors.md`` states for runners in any language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppsf_conformance.vectors.encode import written
from ppsf_conformance.vectors.floats import number
from ppsf_conformance.vectors.model import KINDS, Spec

#: Which interval an arithmetic is held to: its own, or that of the next coarser one.
FALLBACK: Mapping[str, tuple[str, ...]] = {"float64": ("float64", "float32"), "float32": ("float32",)}


def faults(spec: Spec, wanted: Mapping[str, Any], got: Mapping[str, Any], arithmetic: str) -> list[str]:
    """What is wrong with the outputs of a case, a line each; nothing where all is right."""
    found = (fault(KINDS[kind], wanted[name], got[name], arithmetic) for name, kind in spec.outputs.items())
    return [f"{name}: {what}" for name, what in zip(spec.outputs, found, strict=True) if what]


def fault(kind: str, wanted: Mapping[str, Any], got: Any, arithmetic: str) -> str:
    """What is wrong with one output, or an empty string."""
    if kind not in ("number", "array") or wanted["value"] is None:
        plain = written(kind, got)
        return "" if plain == wanted["value"] else f"is {plain}, not {wanted['value']}"
    if got is None:
        return "is missing"
    values = np.asarray(got, np.float64)
    if kind == "array" and list(values.shape) != wanted["shape"]:
        return f"has the shape {list(values.shape)}, not {wanted['shape']}"
    low, high = interval(wanted, arithmetic)
    inside = [_holds(a, x, b) for a, x, b in zip(low, values.reshape(-1), high, strict=True)]
    return "" if all(inside) else f"is {values.tolist()}, outside of {low} to {high}"


def interval(wanted: Mapping[str, Any], arithmetic: str) -> tuple[list[float], list[float]]:
    """Least and largest allowed number of each element."""
    names = [name for name in FALLBACK[arithmetic] if name in wanted]
    if names and wanted[names[0]] is None:  # a guard that this arithmetic cannot decide
        low = high = wanted["value"]
        count = len(low) if isinstance(low, list) else 1
        return [-np.inf] * count, [np.inf] * count
    low, high = (wanted[names[0]][end] for end in ("low", "high")) if names else (wanted["value"], wanted["value"])
    return _numbers(low), _numbers(high)


def _numbers(written: Any) -> list[float]:
    return [number(x) for x in (written if isinstance(written, list) else [written])]


def _holds(low: float, x: float, high: float) -> bool:
    """An interval without ends holds everything, NaN too."""
    if low == -np.inf and high == np.inf:
        return True
    return bool(np.isnan(x)) if np.isnan(low) else bool(low <= x <= high)
