"""Following: with a release's errata in force the reference has to agree with it, whatever options it is given.

A combination is what the constructor and every group are given; tensors, gradients and lengths of runs vary besides.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ppsf_conformance import lockstep
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.overrides.exclusions import UNFOLLOWED
from ppsf_conformance.problems import ParamSpec, Problem
from ppsf_conformance.published import Published, errata_for
from ppsf_conformance.survey import Progress

#: The dtype in which releases are followed: in the other one their errata of precision come first.
DTYPE = "float32"
#: Problems drawn at a time: the first few of a regime are all alike.
FEWEST = 150


@dataclass
class Following:
    """What came of following one release.

    Attributes:
        combinations: how many distinct ones were played, and each was judged step by step to its end.
        left_out: drawn, but not played: an erratum that no rule follows applies, or the constructor refuses.
        deviations: what disagrees, one line each.
        raising: problems that end as an erratum says, with an exception of the release.
        worst: largest error over bound; of an output that is rounded when it is stored half a unit is reached, and 1 is
            no sign of a bound that is too small.
        worst_of: the same of each output.
        undecided: share of the compared numbers about which the bounds say nothing.
        not_yet: options that were not drawn, each with the reason.
        beside: arguments of the constructor that are no options of the revision, each with the reason.
    """

    target: str
    revision: str
    combinations: int = 0
    left_out: int = 0
    problems: int = 0
    steps: int = 0
    raising: int = 0
    worst: float = 0.0
    worst_of: dict[str, float] = field(default_factory=dict)
    undecided: float = 0.0
    values: Mapping[str, int] = field(default_factory=dict)
    deviations: list[str] = field(default_factory=list)
    not_yet: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    unnamed: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything that was asked for agrees."""
        return not (self.deviations or self.left_out or self.unnamed)


def combination(problem: Problem) -> tuple[Any, ...]:
    """What tells the options of one problem from those of another."""
    return tuple(tuple(sorted(given.items())) for given in (problem.options, *(g.options for g in problem.groups)))


def not_yet(implementation: Published, known: KnownDeviations) -> dict[str, str]:
    """Options of the class that are not followed, with the errata or the gap that is the reason."""
    ids = {erratum.id for erratum in known.errata}
    behind = {option: f"{erratum} has no override" for erratum, option in UNFOLLOWED.items() if erratum in ids}
    return {**dict.fromkeys(implementation.capabilities.serves, "not in the reference"), **behind}


def unnamed(implementation: Published) -> tuple[str, ...]:
    """Arguments of the constructor that the name map is silent on."""
    names, given = implementation.names, implementation.capabilities
    lacking = set().union(*names.lacks.values())
    named = names.called(dict.fromkeys([*names.offers, *given.serves, *given.always, *lacking]))
    known = {*named, *names.beside, "revision"}
    return tuple(name for name in implementation.arguments if name not in known)


class _Play:
    """Plays problems until enough combinations are done."""

    def __init__(self, implementation: Published, known: KnownDeviations, wanted: int) -> None:
        self.implementation, self.known, self.wanted = implementation, known, wanted
        self.found = Following(implementation.target, implementation.capabilities.revision)
        self.done: set[str] = set()
        self.skipped: set[str] = set()
        self.tried: dict[str, set[str]] = {}
        self.compared = self.free = 0

    def visit(self, problem: Problem) -> None:
        if len(self.done) >= self.wanted:
            return
        key, problem = repr(combination(problem)), _mended(problem, self.known)
        self.found.problems += 1
        if self.known.excludes(problem):
            self.skipped.add(key)
            return
        try:
            self._play(problem)
        except lockstep.Refused as refusal:
            self.found.deviations.append(f"{refusal}: {problem.as_data()}")
        self.done.add(key)
        for given in (problem.options, *(group.options for group in problem.groups)):
            for name, value in given.items():
                self.tried.setdefault(name, set()).add(repr(value))

    def _play(self, problem: Problem) -> None:
        capabilities = self.implementation.capabilities
        for transition in lockstep.play(self.implementation, problem):
            self.found.steps += transition.kind == "step"
            verdict = lockstep.judge(transition, capabilities, self.known.rules)
            if not verdict.ok:
                self.found.deviations.append(f"{verdict.witness.detail}: {problem.as_data()}")
                return
            self.found.raising += bool(transition.raised)
            for comparison in verdict.comparisons:
                self.compared += comparison.elements
                self.free += comparison.undecided
                worst = self.found.worst_of
                worst[comparison.output] = max(worst.get(comparison.output, 0.0), comparison.ratio)


def _mended(problem: Problem, known: KnownDeviations) -> Problem:
    """The same options on tensors that the release can take: contiguous, and without elements only in one dimension.

    Every parameter gets a gradient.
    """
    if not known.excludes(problem):
        return problem

    def param(spec: ParamSpec) -> ParamSpec:
        return replace(spec, shape=(0,) if 0 in spec.shape else spec.shape, layout="contiguous")

    groups = tuple(replace(group, params=tuple(map(param, group.params))) for group in problem.groups)
    return replace(problem, groups=groups, missing=0.0)


def follow(
    implementation: Published, combinations: int, seed: int = 0, progress: Progress = lambda *_: None
) -> Following:
    """Play problems with as many distinct combinations of options on a release, and judge every step with its errata.

    Args:
        seed: of the problems; the same seed, the same problems.
    """
    known = KnownDeviations(errata_for(implementation))
    play, absent = _Play(implementation, known, combinations), not_yet(implementation, known)
    capabilities = implementation.capabilities
    options = capabilities.options - set(absent)
    for part in _seeds(seed):
        before, drawn = len(play.done), list[Problem]()
        count, revision, always = max(combinations, FEWEST), capabilities.revision, capabilities.always
        draw_problems((DTYPE,), options, count, part, drawn.append, revision, always, capabilities.limits)
        random.Random(part).shuffle(drawn)  # regimes come one after the other
        for problem in drawn:
            play.visit(problem)
            progress("combinations", len(play.done), combinations)
        if len(play.done) in (before, combinations):
            break
    found = play.found
    found.combinations, found.left_out = len(play.done), len(play.skipped - play.done)
    found.worst_of = {name: ratio for name, ratio in found.worst_of.items() if ratio}
    found.worst = max(found.worst_of.values(), default=0.0)
    found.undecided = play.free / play.compared if play.compared else 0.0
    found.values = {name: len(values) for name, values in sorted(play.tried.items())}
    found.not_yet, found.beside, found.unnamed = absent, implementation.names.beside, unnamed(implementation)
    return found


def _seeds(seed: int) -> Iterator[int]:
    return (1000 * seed + part for part in itertools.count())


def write(found: Following, path: Path) -> None:
    """Write what was found as JSON."""
    path.write_text(json.dumps(asdict(found), indent=1) + "\n", "utf-8")


def lines(found: Following) -> Iterator[str]:
    """What was found, in words."""
    yield f"{found.target}, revision {found.revision}, {DTYPE}"
    yield f"combinations of options  {found.combinations}, left out {found.left_out}"
    yield f"problems, steps          {found.problems}, {found.steps}; with an exception by erratum {found.raising}"
    yield f"deviations               {len(found.deviations)}"
    yield f"largest error / bound    {found.worst:.3f}, undecided {found.undecided:.2%}"
    yield f"  of each output         {', '.join(f'{name} {ratio:.3f}' for name, ratio in found.worst_of.items())}"
    yield f"values tried             {', '.join(f'{name} {count}' for name, count in found.values.items())}"
    for name, reason in {**found.not_yet, **found.beside}.items():
        yield f"not drawn: {name}: {reason}"
    for name in found.unnamed:
        yield f"the name map is silent on: {name}"
    yield from found.deviations
