"""Problems to which an erratum applies that no override follows: judged for other releases only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ppsf_conformance.problems import Problem


def _has_bfloat16(problem: Problem) -> bool:
    return any(spec.dtype == "bfloat16" for group in problem.groups for spec in group.params)


def _empty_with_axes(problem: Problem) -> bool:
    shapes = [spec.shape for group in problem.groups for spec in group.params]
    return any(len(shape) > 1 and 0 in shape and max(shape) >= 32 for shape in shapes)


def _values(problem: Problem, *names: str) -> list[tuple[Any, ...]]:
    """What each group is given for these options, itself or through the constructor; None where nothing is."""
    given = [{**problem.options, **group.options} for group in problem.groups]
    return [tuple(options.get(name) for name in names) for options in given]


def _strided(option: str, least: int) -> Callable[[Problem], bool]:
    """Whether a group with this option has a parameter of ``least`` or more dimensions that is not contiguous."""

    def applies(problem: Problem) -> bool:
        switched = zip(_values(problem, option), problem.groups, strict=True)
        params = [spec for (on,), group in switched if on for spec in group.params]
        return any(len(spec.shape) >= least and spec.layout == "transposed" for spec in params)

    return applies


def _empty_matrix(problem: Problem) -> bool:
    switched = zip(_values(problem, "use_muon_pp"), problem.groups, strict=True)
    params = [spec for (on,), group in switched if on for spec in group.params]
    return any(len(spec.shape) > 1 and 0 in spec.shape for spec in params)


def _fused_with_gaps(problem: Problem) -> bool:
    return (True,) in _values(problem, "fused_back_pass") and problem.missing > 0


def _warms_up(problem: Problem) -> bool:
    return any(steps for (steps,) in _values(problem, "warmup_steps"))


#: By the id of the erratum.
EXCLUDED: Mapping[str, Callable[[Problem], bool]] = {
    **dict.fromkeys(
        (
            "ERR-0013",
            "ERR-0027",
            "ERR-0028",
            "ERR-0029",
            "ERR-0064",
            "ERR-0065",
            "ERR-0066",
            "ERR-0126",
            "ERR-0127",
            "ERR-0213",
            "ERR-0229",
            "ERR-0245",
            "ERR-0255",
        ),
        _has_bfloat16,
    ),
    "ERR-0024": _empty_with_axes,
    "ERR-0104": _strided("use_orthograd", 2),
    "ERR-0114": _empty_matrix,
    "ERR-0115": _strided("use_muon_pp", 3),
    "ERR-0052": _fused_with_gaps,
    "ERR-0215": lambda problem: problem.missing > 0,
    "ERR-0251": _warms_up,
}

#: Errata that keep out every problem with an option, with that option: followed is what goes without it.
UNFOLLOWED: Mapping[str, str] = {"ERR-0251": "warmup_steps"}


def excluded(ids: Iterable[str], problem: Problem) -> bool:
    """Whether one of these errata keeps a problem out."""
    return any(EXCLUDED[name](problem) for name in ids if name in EXCLUDED)
