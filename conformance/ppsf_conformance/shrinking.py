"""The smallest problem on which an implementation still deviates: greedy, from the one found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem

#: Problems tried at most, and for how long: an implementation may be slow.
MOST_TRIED = 400
MOST_SECONDS = 60.0
#: Plainer shapes, tried in this order.
PLAIN_SHAPES = ((1,), (5,), (3, 4), (32, 3), (3, 32))


def smallest(
    problem: Problem,
    deviates: Callable[[Problem], bool],
    progress: Callable[[int, Problem], None] = lambda *_: None,
    seconds: float = MOST_SECONDS,
) -> Problem:
    """Simplify ``problem`` step by step as long as ``deviates`` holds.

    Args:
        progress: is told how many were tried and which is the smallest so far.
        seconds: when to stop.
    """
    started, tried = time.monotonic(), {repr(problem)}
    improved = True
    while improved:
        improved = False
        for candidate in _simpler(problem):
            if repr(candidate) in tried:
                continue
            if len(tried) > MOST_TRIED or time.monotonic() - started > seconds:
                return problem
            tried.add(repr(candidate))
            if deviates(candidate):
                problem, improved = candidate, True
            progress(len(tried), problem)
            if improved:
                break
    return problem


def _simpler(problem: Problem) -> Iterator[Problem]:
    """Problems that are simpler, the boldest steps first."""
    groups = problem.groups
    yield from (replace(problem, steps=steps) for steps in range(1, min(problem.steps, 3)))
    yield replace(problem, options={}, groups=tuple(replace(group, options={}) for group in groups))
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
