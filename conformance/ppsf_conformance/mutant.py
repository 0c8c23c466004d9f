"""What a mutant is: one small fault in the reference function of one clause."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ppsf_ref import ParamState, clause_functions
from ppsf_ref.law import Rule

Kind = Literal[
    "constant", "sign", "order", "stale", "dropped", "operand", "formula", "condition", "option", "axis", "slice",
    "reset", "dtype", "rounding", "lost", "refusal",
]  # fmt: skip
#: The kinds of faults, in words.
KINDS: Mapping[Kind, str] = {
    "constant": "a wrong constant or exponent",
    "sign": "a wrong sign, or a magnitude in the place of a number",
    "order": "operations in another order",
    "stale": "a value from before, or from too early",
    "dropped": "a term, a factor or a limit left out",
    "operand": "one quantity in the place of another",
    "formula": "another formula",
    "condition": "a decision taken wrongly",
    "option": "an option misread",
    "axis": "the wrong axes of a tensor",
    "slice": "the wrong elements of a tensor",
    "reset": "a wrong start, or one that is missing",
    "dtype": "a state in the wrong format",
    "rounding": "biased rounding, or random bits that are not independent",
    "lost": "state lost by saving, loading or adding a group",
    "refusal": "the wrong input refused, or accepted",
}


@dataclass(frozen=True)
class Mutant:
    """One wrong rule for one clause."""

    what: str
    clause: str
    rule: Rule
    kind: Kind = "formula"

    @property
    def identifier(self) -> str:
        """Clause and fault."""
        return f"{self.clause}: {self.what}"


def law(clause: str, *args: Any, **kwargs: Any) -> Any:
    """What the law itself gives."""
    return clause_functions()[clause](*args, **kwargs)


def refuses(*args: Any, **kwargs: Any) -> None:
    """In the place of a refusal: what is lawful is refused too."""
    raise ValueError("refused")


def stored_in(**formats: Any) -> Rule:
    """Storage (PPSF-R-001) with some parts in other formats."""
    return lambda dtype, factored_fp32: {**law("PPSF-R-001", dtype, factored_fp32), **formats}


def created_with(**wrong: Callable[[Any], Any]) -> Rule:
    """Creation of state (PPSF-L-001) in which some parts start as something else."""

    def rule(param: ParamState, *rest: Any) -> ParamState:
        made: ParamState = law("PPSF-L-001", param, *rest)
        new = [name for name in wrong if getattr(param, name) is None and getattr(made, name) is not None]
        return replace(made, **{name: wrong[name](made) for name in new})

    return rule


def quick(mutants: Sequence[Mutant]) -> tuple[Mutant, ...]:
    """The first of each clause and kind: what is tried at every change."""
    first: dict[tuple[str, Kind], Mutant] = {}
    for mutant in mutants:
        first.setdefault((mutant.clause, mutant.kind), mutant)
    return tuple(first.values())


#: Faults that change nothing that anyone could see: clause, fault, and why. They are no mutants.
EQUIVALENT: tuple[tuple[str, str, str], ...] = (
    (
        "PPSF-U-010",
        "(1 - beta1) d g where no average is kept",
        "none is kept only with beta1 = 0, and there 1 - beta1 is 1",
    ),
    (
        "PPSF-C-001",
        "max(rms, bound) / bound in the place of max(rms / bound, 1)",
        "dividing by a positive number keeps the order, and bound / bound is 1: the same number, rounding included",
    ),
    (
        "PPSF-M-012",
        "min(max(d, d_hat), max(d, d^0.975)) in the place of max(d, min(d_hat, d^0.975))",
        "max distributes over min, and neither rounds",
    ),
    (
        "PPSF-D-029",
        "d in the place of max(d, d_hat) as the start of growth where growth_rate is infinite",
        "without a cap the start is not used",
    ),
    (
        "PPSF-Z-002",
        "c (y - z) taken away in the place of c (z - y) added",
        "it is one of the permitted orders of evaluation",
    ),
)
