"""What a file of clause vectors is made of, and how its author writes it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ppsf_ref import Numbers

#: What an input or output can be, and whether a reference function gets it lifted into a number type. The names of
#: the second column stand in the files.
KINDS: Mapping[str, str] = {
    "number": "number",
    "option": "number",  # a number that the reference takes as a plain float
    "count": "integer",  # an integer that the reference takes as a number
    "array": "array",
    "numbers": "numbers",
    "arrays": "arrays",
    "raw": "array",  # an array that the reference takes as it is
    "integer": "integer",
    "integers": "integers",
    "boolean": "boolean",
    "booleans": "booleans",
    "text": "text",
    "shape": "integers",
    "places": "places",
    "formats": "formats",
    "options": "options",
}

#: What flags say of a case.
FLAGS: Mapping[str, str] = {
    "Ordinary": "values drawn from the middle of their ranges; a failure here is a wrong formula",
    "DefaultOptions": "the options of this case have their default values",
    "FirstStep": "the state is that of a first step",
    "ZeroGradient": "a gradient, or what is made of it, is zero throughout",
    "Zero": "an operand is exactly zero",
    "NearGuard": "just beside the place where a comparison changes its outcome",
    "Tie": "exactly on the place where a comparison changes its outcome, or half-way between two neighbours",
    "Edge": "the smallest, the emptiest or the last of its kind",
    "Cancellation": "terms of a sum nearly or exactly cancel",
    "WideMagnitudes": "operands differ by many orders of magnitude",
    "Subnormal": "operands or results are subnormal in float32",
    "Overflow": "the result leaves the range of float32, where the law does not bind float32 arithmetic",
    "NonFinite": "an operand is infinite or not a number",
    "Factored": "the second moment is kept as two factors",
    "Decoy": "an input that the clause must not look at has a value that would change the result",
    "Exact": "every operation is exact in float32, in whatever order: nothing is allowed but the value",
}


@dataclass(frozen=True)
class Case:
    """One call of a clause: what goes in, and what to look at."""

    comment: str
    flags: tuple[str, ...]
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Spec:
    """How the vectors of one clause are made.

    Attributes:
        inputs: kind (:data:`KINDS`) of each input; any may be None.
        outputs: kind of each output.
        call: the reference, from inputs as attributes (lifted; ``lift`` is the number type) to outputs by name.
        arithmetics: for which there are intervals; none for what is exact.
        host: roundings of float64 constants that the reference does not see, in units in the last place.
    """

    clause: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    call: Callable[[Any], Mapping[str, Any]]
    cases: tuple[Case, ...]
    arithmetics: tuple[str, ...] = ("float64", "float32")
    host: int = 0


def case(comment: str, flags: str = "", **inputs: Any) -> Case:
    """A case; ``flags`` are separated by spaces."""
    return Case(comment, tuple(flags.split()), inputs)


def spec(
    clause: str,
    inputs: str,
    outputs: str,
    call: Callable[[Any], Any],
    *cases: Case | list[Case],
    arithmetics: tuple[str, ...] = ("float64", "float32"),
    host: int = 0,
) -> Spec:
    """A :class:`Spec` from ``"name:kind"`` lists. A call that gives one value, not a mapping, gives the only output."""
    kinds_out = _kinds(outputs)
    flat = [c for entry in cases for c in (entry if isinstance(entry, list) else [entry])]

    def named(i: Any) -> Mapping[str, Any]:
        result = call(i)
        return result if isinstance(result, dict) else dict(zip(kinds_out, [result], strict=True))

    return Spec(clause, _kinds(inputs), kinds_out, named, tuple(flat), arithmetics, host)


def exact(clause: str, inputs: str, outputs: str, call: Callable[[Any], Any], *cases: Case | list[Case]) -> Spec:
    """A :class:`Spec` of a clause without rounding: only the value itself is right."""
    return spec(clause, inputs, outputs, call, *cases, arithmetics=())


def _kinds(entries: str) -> dict[str, str]:
    kinds = dict(entry.split(":") for entry in entries.split())
    if unknown := set(kinds.values()) - set(KINDS):
        raise ValueError(f"no such kind: {', '.join(sorted(unknown))}")
    return kinds


def lifted(spec: Spec, case: Case, lift: Numbers) -> SimpleNamespace:
    """The inputs of a case in a number type."""
    if set(case.inputs) != set(spec.inputs):
        raise ValueError(
            f"{spec.clause}, {case.comment!r}: inputs are {sorted(case.inputs)}, not {sorted(spec.inputs)}"
        )

    def one(kind: str, value: Any) -> Any:
        if value is None:
            return None
        if kind in ("number", "count"):
            return lift.scalar(float(value))
        if kind == "array":
            return lift.array(np.asarray(value, np.float64))
        if kind == "numbers":
            return [lift.scalar(x) for x in value]
        if kind == "raw":
            return np.asarray(value, np.float64)
        return value

    return SimpleNamespace(lift=lift, **{name: one(spec.inputs[name], value) for name, value in case.inputs.items()})
