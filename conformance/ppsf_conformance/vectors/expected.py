"""What the reference allows: for each output of a case its value, and an interval for each declared arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mpmath
import numpy as np

from ppsf_conformance.vectors.encode import written
from ppsf_conformance.vectors.exact import Exact, Exactly
from ppsf_conformance.vectors.floats import rounded, text
from ppsf_conformance.vectors.model import KINDS, Case, Spec, lifted
from ppsf_ref import FLOAT32, FLOAT64, Arithmetic, Bounded, Float64, Numbers, Precise, Running, tracing
from ppsf_ref.formats import down, up

#: The loosest arithmetic of each name: everything, sums too, in that format and in any order.
ARITHMETICS: Mapping[str, Arithmetic] = {
    "float64": Arithmetic(FLOAT64, FLOAT64, FLOAT64),
    "float32": Arithmetic(FLOAT32, FLOAT32, FLOAT32),
}
#: Clauses whose bound goes through singular values, computed in float64: too coarse to differ between machines once
#: their ends are rounded to float32.
BY_SINGULAR_VALUES = ("PPSF-M-015",)


def outputs(spec: Spec, case: Case, lift: Numbers) -> Mapping[str, Any]:
    """What the reference computes in a number type."""
    with np.errstate(all="ignore"):
        return spec.call(lifted(spec, case, lift))


def expected(spec: Spec, case: Case) -> dict[str, Any]:
    """Outputs of a case as they stand in a file."""
    if not spec.arithmetics:
        found = outputs(spec, case, Float64())
        return {name: _exact(kind, found[name]) for name, kind in spec.outputs.items()}
    if spec.clause in BY_SINGULAR_VALUES:
        return _by_singular_values(spec, case)
    ranges = {name: _ranges(spec, case, name) for name in spec.arithmetics}
    first = next(iter(ranges.values()))
    made = {}
    for name, kind in spec.outputs.items():
        intervals = {arithmetic: found and found[name][1] for arithmetic, found in ranges.items()}
        made[name] = _with_intervals(kind, (first or _decided(ranges))[name][0], intervals)
    return made


def _exact(kind: str, value: Any) -> dict[str, Any]:
    plain = written(kind, value)
    return {"value": plain} if not isinstance(plain, dict) or "data" not in plain else _flat(plain)


def _flat(array: dict[str, Any]) -> dict[str, Any]:
    return {"shape": array["shape"], "value": array["data"]}


def _decided(ranges: Mapping[str, Any]) -> Any:
    return next(found for found in ranges.values() if found)


def _ranges(spec: Spec, case: Case, arithmetic: str) -> dict[str, Any] | None:
    """Per output: value and interval; None where the arithmetic cannot decide a guard."""
    with tracing() as trace:
        found = outputs(spec, case, Exactly(ARITHMETICS[arithmetic]))
    if not all(decision.certain for decision in trace.decisions):
        return None
    return {name: (found[name].value, _interval(found[name], spec.host)) for name in spec.outputs}


def _interval(x: Exact, host: int) -> tuple[list[str], list[str]]:
    extra = host * mpmath.mpf(2) ** -53
    radius = [b + extra * abs(v) if b or rounded(v, "nearest", FLOAT32) != v else b for v, b in _pairs(x)]
    values = [v for v, _ in _pairs(x)]
    low = [text(rounded(v - b, "down")) for v, b in zip(values, radius, strict=True)]
    high = [text(rounded(v + b, "up")) for v, b in zip(values, radius, strict=True)]
    return low, high


def _pairs(x: Bounded) -> list[tuple[Any, Any]]:
    return list(zip(x.value.reshape(-1), x.bound.reshape(-1), strict=True))


def _with_intervals(kind: str, value: Any, intervals: Mapping[str, Any]) -> dict[str, Any]:
    """Value and intervals; the value alone where nothing else is allowed."""
    values = [text(rounded(v)) for v in np.asarray(value, object).reshape(-1)]
    is_array = KINDS[kind] == "array"
    found: dict[str, Any] = {"shape": list(np.shape(value))} if is_array else {}
    found["value"] = values if is_array else values[0]
    if all(interval is not None and interval[0] == values == interval[1] for interval in intervals.values()):
        return found
    for name, interval in intervals.items():
        ends = interval and {
            end: list(x) if is_array else x[0] for end, x in zip(("low", "high"), interval, strict=True)
        }
        found[name] = ends
    return found


def _by_singular_values(spec: Spec, case: Case) -> dict[str, Any]:
    values = outputs(spec, case, Precise())
    found = outputs(spec, case, Running(ARITHMETICS["float32"]))
    made = {}
    for name, kind in spec.outputs.items():
        ends = (down(found[name].low, FLOAT32), up(found[name].high, FLOAT32))
        interval = tuple([text(float(x)) for x in end.reshape(-1)] for end in ends)
        made[name] = _with_intervals(kind, values[name], {"float32": interval})
    return made
