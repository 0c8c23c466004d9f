"""The smallest problem on which an implementation still deviates: greedy, from the one found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem

#: Problems tried at most.
MOST_TRIED = 400
#: Plainer shapes, tried in this order.
PLAIN_SHAPES = ((1,), (5,), (3, 4), (32, 3), (3, 32))


def smallest(problem: Problem, deviates: Callable[[Problem], bool]) -> Problem:
    """Simplify ``problem`` step by step as long as ``deviates`` holds."""
    tried = 0
    improved = True
    while improved:
        improved = False
        for candidate in _simpler(problem):
            tried += 1
            if tried > MOST_TRIED:
                return problem
            if deviates(candidate):
                problem, improved = candidate, True
                break
    return problem


def _simpler(problem: Problem) -> Iterator[Problem]:
    """Problems one step simpler, the boldest steps first."""
    groups = problem.groups
    if len(groups) > 1:
        yield from (replace(problem, groups=(*groups[:i], *groups[i + 1 :])) for i in range(len(groups)))
    for i, group in enumerate(groups):
        yield from (_with_group(problem, i, simpler) for simpler in _simpler_groups(group))
    for name in problem.options:
        yield replace(problem, options={key: value for key, value in problem.options.items() if key != name})
    plain = Problem(options={}, groups=())
    for name in ("missing", "pauses", "switches", "scale", "regime", "seed"):
        if getattr(problem, name) != getattr(plain, name):
            yield replace(problem, **{name: getattr(plain, name)})
    yield from (replace(problem, steps=steps) for steps in range(1, problem.steps))


def _with_group(problem: Problem, i: int, group: GroupSpec) -> Problem:
    return replace(problem, groups=(*problem.groups[:i], group, *problem.groups[i + 1 :]))


def _simpler_groups(group: GroupSpec) -> Iterator[GroupSpec]:
    params = group.params
    if len(params) > 1:
        yield from (replace(group, params=(*params[:j], *params[j + 1 :])) for j in range(len(params)))
    for name in group.options:
        yield replace(group, options={key: value for key, value in group.options.items() if key != name})
    for j, param in enumerate(params):
        yield from (
            replace(group, params=(*params[:j], simpler, *params[j + 1 :])) for simpler in _simpler_params(param)
        )


def _simpler_params(param: ParamSpec) -> Iterator[ParamSpec]:
    plain = ParamSpec(param.shape)
    for name in ("dtype", "start", "layout"):
        if getattr(param, name) != getattr(plain, name):
            yield replace(param, **{name: getattr(plain, name)})
    better = PLAIN_SHAPES[: PLAIN_SHAPES.index(param.shape)] if param.shape in PLAIN_SHAPES else PLAIN_SHAPES
    yield from (replace(param, shape=shape) for shape in better)
