"""What a metamorphic law is, and the problems that laws are tried on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ppsf_conformance.adapter import Gradients, Implementation
from ppsf_conformance.checks.finding import Finding, revision_of
from ppsf_conformance.laws.side_by_side import Told, follow
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_ref import GroupState, ParamState, State
from ppsf_ref.options import WHOLE_OPTIMIZER, options_of, whole_options

Check = Callable[[Implementation], Iterator[Finding]]


@dataclass(frozen=True)
class Law:
    """A law: what must hold between two runs, whatever the numbers are.

    Attributes:
        name: a few words.
        clauses: of which it follows.
        check: tries it on an implementation; its docstring is the statement, the scope and the reason.
    """

    name: str
    clauses: tuple[str, ...]
    check: Check

    @property
    def statement(self) -> str:
        """What the law says."""
        return inspect.getdoc(self.check) or ""


LAWS: dict[str, Law] = {}


def law(name: str, *clauses: str) -> Callable[[Check], Check]:
    """Register a check as a law."""

    def register(check: Check) -> Check:
        LAWS[name] = Law(name, clauses, check)
        return check

    return register


# ------------------------------------------------------------------------------------------------------------ problems

PLAIN = GroupSpec((ParamSpec((23,)), ParamSpec((3, 4)), ParamSpec((34, 40))))
OTHER = GroupSpec((ParamSpec((12,)), ParamSpec((33, 2))))


def within(implementation: Implementation, **wanted: Any) -> dict[str, Any] | None:
    """The options to give so that these hold; None where the implementation cannot be brought to that."""
    revision, offered = revision_of(implementation), implementation.capabilities.options
    usual = {**vars(options_of(revision)), **dict.fromkeys(WHOLE_OPTIMIZER), **whole_options(revision, {})}
    usual |= implementation.capabilities.always
    if any(name not in offered and usual[name] != value for name, value in wanted.items()):
        return None
    return {name: value for name, value in wanted.items() if name in offered}


def cases(
    implementation: Implementation,
    groups: Sequence[GroupSpec] = (PLAIN, OTHER),
    variants: Sequence[Mapping[str, Any]] = ({},),
    regime: str = "pull",
    scales: bool = False,
    **wanted: Any,
) -> Iterator[Problem]:
    """Problems for a law: each variant of the options, as far as they are offered; the first one in every dtype.

    Args:
        scales: the law multiplies by powers of two, which is exact only where a dtype has room for them: float16,
            subnormal below 2**-14, does not.
        wanted: options that the law needs.
    """
    if "d0" in implementation.capabilities.options:
        wanted = {"d0": 2.0**-10, **wanted}
    dtypes = [dtype for dtype in implementation.capabilities.dtypes if not (scales and dtype == "float16")]
    for number, variant in enumerate(variants):
        for dtype in dtypes if number == 0 else dtypes[number % len(dtypes) :][:1]:
            options = within(implementation, **{**wanted, **variant})
            if options is not None:
                specs = tuple(replace(g, params=tuple(replace(p, dtype=dtype) for p in g.params)) for g in groups)
                yield Problem(options, specs, regime, seed=3, revision=revision_of(implementation).name)


def side_by_side(implementation: Implementation, problem: Problem, told: Told, named: str = "") -> Iterator[Finding]:
    """Findings of two runs, one per step that could be compared."""
    found = follow(implementation, problem, told)
    case = f"{problem.groups[0].params[0].dtype}, {dict(problem.options)}{named}"
    for finding in found.findings:
        yield replace(finding, message=f"({case}) {finding.message}")


# -------------------------------------------------------------------------------------------------------------- states


def over_params(state: State, change: Callable[[ParamState], ParamState]) -> State:
    """A state with each parameter changed."""

    def group(g: GroupState) -> GroupState:
        return replace(g, params=tuple(map(change, g.params)))

    return replace(state, groups=tuple(map(group, state.groups)))


def scaled(state: State, factor: float, *names: str) -> State:
    """A state in which these arrays and numbers are multiplied."""

    def changed(of: Any) -> dict[str, Any]:
        values = {name: getattr(of, name) for name in names if getattr(of, name, None) is not None}
        return {name: value * factor for name, value in values.items()}

    state = over_params(state, lambda p: replace(p, **changed(p)))
    return replace(state, groups=tuple(replace(g, **changed(g)) for g in state.groups))


def times(gradients: Gradients, factor: float) -> Gradients:
    """All gradients multiplied."""
    return [[None if g is None else g * factor for g in row] for row in gradients]
