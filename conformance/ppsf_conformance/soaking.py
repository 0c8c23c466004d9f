"""False alarms, counted: our own optimizers judged over as many steps as wanted, batch by batch.

A batch is a pure function of seed and number, so it can be played again alone. What it found is plain data
(:class:`Found`); :mod:`~ppsf_conformance.soak_state` adds batches up and keeps them.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import combinations, islice
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch

from ppsf_conformance import lockstep
from ppsf_conformance.adapter import Implementation
from ppsf_conformance.lockstep import Transition, Verdict
from ppsf_conformance.problems import Problem
from ppsf_conformance.run import OWN, implementation_for
from ppsf_conformance.sampling import Sampler

#: The problems of a batch are of one revision; the revisions take turns.
PROBLEMS = 40
#: Batches that wait for each worker, so that none of them idles.
AHEAD = 2

Counts = Counter[str]


@dataclass
class Found:
    """What one batch, or several of one revision, found."""

    problems: int = 0
    steps: int = 0
    transitions: int = 0
    elements: int = 0
    undecided: int = 0
    seconds: float = 0.0
    worst: dict[str, float] = field(default_factory=dict)
    guards: dict[str, Counts] = field(default_factory=dict)
    clauses: Counts = field(default_factory=Counter)
    options: dict[str, Counts] = field(default_factory=dict)
    drawn: dict[str, Counts] = field(default_factory=dict)
    pairs: dict[str, set[str]] = field(default_factory=dict)

    def add(self, other: Found) -> None:
        """Take another count into this one."""
        for name in ("problems", "steps", "transitions", "elements", "undecided", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for output, ratio in other.worst.items():
            self.worst[output] = max(self.worst.get(output, 0.0), ratio)
        self.clauses.update(other.clauses)
        for mine, theirs in ((self.guards, other.guards), (self.options, other.options), (self.drawn, other.drawn)):
            for name, counts in theirs.items():
                mine.setdefault(name, Counter()).update(counts)
        for setting, others in other.pairs.items():
            self.pairs.setdefault(setting, set()).update(others)


@dataclass(frozen=True)
class Alarm:
    """A lawful implementation rejected."""

    problem: dict[str, Any]
    kind: str
    t: int
    detail: str
    open_guards: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """The outcome of one batch; with an alarm it ended there."""

    number: int
    revision: str
    found: Found
    alarm: Alarm | None = None


def revision_of(number: int) -> str:
    """The revision whose turn it is."""
    return tuple(OWN)[number % len(OWN)]


@functools.cache
def own(revision: str) -> Implementation:
    """Our own optimizer of a revision."""
    return implementation_for(OWN[revision], revision=revision)


def problems_of(seed: int, number: int, implementation: Implementation) -> Iterator[Problem]:
    """The problems of a batch."""
    sampler = Sampler(implementation.capabilities, np.random.default_rng([seed, number]))
    return (sampler.problem() for _ in range(PROBLEMS))


def run_batch(seed: int, number: int, implementation: Implementation | None = None) -> Batch:
    """Play and judge one batch.

    Args:
        implementation: in the place of our own optimizer of the batch's revision.
    """
    revision = revision_of(number)
    made = implementation or own(revision)
    found, started = Found(), time.perf_counter()
    alarm = next(filter(None, (_played(made, problem, found) for problem in problems_of(seed, number, made))), None)
    found.seconds = time.perf_counter() - started
    return Batch(number, revision, found, alarm)


def _played(implementation: Implementation, problem: Problem, found: Found) -> Alarm | None:
    found.problems += 1
    _count_drawn(problem, found)
    try:
        for transition in lockstep.play(implementation, problem):
            verdict = lockstep.judge(transition, implementation.capabilities)
            if not verdict.ok:
                return _alarm(transition, verdict)
            _count(transition, verdict, found)
    except lockstep.Refused as refusal:
        return Alarm(problem.as_data(), "constructor", 0, str(refusal), ())
    return None


def _alarm(transition: Transition, verdict: Verdict) -> Alarm:
    undecided = tuple(decision.guard for decision in verdict.decisions if not decision.certain)
    return Alarm(transition.problem.as_data(), transition.kind, transition.t, verdict.witness.detail, undecided)


def _count(transition: Transition, verdict: Verdict, found: Found) -> None:
    found.steps += transition.kind == "step"
    found.transitions += 1
    found.clauses.update(verdict.clauses)
    for comparison in verdict.comparisons:
        found.elements += comparison.elements
        found.undecided += comparison.undecided
        if not comparison.exact:
            found.worst[comparison.output] = max(found.worst.get(comparison.output, 0.0), comparison.ratio)
    for decision in verdict.decisions:
        outcome = str(decision.outcome).lower() if decision.certain else "open"
        found.guards.setdefault(decision.guard, Counter())[outcome] += 1


def _count_drawn(problem: Problem, found: Found) -> None:
    """What a problem is made of; pairs are of values that meet in one group."""
    specs = [spec for group in problem.groups for spec in group.params]
    facts = {
        "regime": [problem.regime],
        "shape": [str(list(spec.shape)) for spec in specs],
        "dtype": [spec.dtype for spec in specs],
        "start": [spec.start for spec in specs],
        "layout": [spec.layout for spec in specs],
        "switches": [str(problem.switches).lower()],
        "groups": [str(len(problem.groups))],
    }
    for name, values in facts.items():
        found.drawn.setdefault(name, Counter()).update(values)
    for group in problem.groups:
        given = {**problem.options, **group.options}
        settings = sorted(setting(name, value) for name, value in given.items())
        for name, value in given.items():
            found.options.setdefault(name, Counter())[repr(value)] += 1
        for one, other in combinations(settings, 2):
            found.pairs.setdefault(one, set()).add(other)


def setting(name: str, value: object) -> str:
    """An option with a value, as text."""
    return f"{name}={value!r}"


def single_thread() -> None:
    """One thread for each process: problems are too small to share."""
    torch.set_num_threads(1)


def batches(seed: int, numbers: Iterator[int], jobs: int) -> Generator[Batch, None, None]:
    """Outcomes of batches as they come, from this process or from several others."""
    if jobs == 1:
        single_thread()
        yield from (run_batch(seed, number) for number in numbers)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=single_thread) as pool:
        running = {pool.submit(run_batch, seed, number) for number in islice(numbers, AHEAD * jobs)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(run_batch, seed, number) for number in islice(numbers, len(done))}
                yield from (future.result() for future in done)
        finally:
            for future in running:
                future.cancel()
