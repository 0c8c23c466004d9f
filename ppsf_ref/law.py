"""Clauses as functions: each is registered under its id, can be overridden, and leaves a trace.

An override replaces one clause while a ``with overriding(...)`` block runs. The judge uses it twice: a mutant is an
override that must be noticed, an erratum one that must make a release agree. The reference itself never overrides.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Rule = Callable[..., Any]

CLAUSE_ID = re.compile(r"PPSF-[NODVUCMZWGRLX]-\d{3}")


@dataclass(frozen=True)
class Decision:
    """What a jump guard decided. ``certain`` is False when its margin lies inside the error bound."""

    guard: str
    outcome: bool
    certain: bool


@dataclass
class Trace:
    """Every clause result of a step, in the order of evaluation, and every decision a guard took."""

    results: list[tuple[str, Any]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    @property
    def clauses(self) -> tuple[str, ...]:
        """The ids of the clauses that were evaluated, each once, in the order of their last evaluation."""
        latest = dict.fromkeys(identifier for identifier, _ in reversed(self.results))
        return tuple(reversed(latest))

    def of(self, identifier: str) -> list[Any]:
        """All results of one clause, in order."""
        return [result for found, result in self.results if found == identifier]


_registry: dict[str, Rule] = {}
_places: dict[str, Rule] = {}
_overrides: ContextVar[Mapping[str, Rule]] = ContextVar("overrides", default=MappingProxyType({}))
_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)
_replay: ContextVar[list[bool] | None] = ContextVar("replay", default=None)


def clause(identifier: str, sha8: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a function as the reference of a clause; ``sha8`` pins the clause text it was written from."""
    if not CLAUSE_ID.fullmatch(identifier) or identifier in _registry:
        raise ValueError(f"{identifier!r} is not a clause id, or has a reference function already")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def rule(*args: P.args, **kwargs: P.kwargs) -> R:
            result: R = _overrides.get().get(identifier, function)(*args, **kwargs)
            if (trace := _trace.get()) is not None:
                trace.results.append((identifier, result))
            return result

        _registry[identifier] = function
        return rule

    return decorate


def place(function: Callable[P, R]) -> Callable[P, R]:
    """Let an override replace a function that chooses between clauses, under the function's own name.

    Releases do things that no clause has a place for. A place is no clause: it has no text, and leaves no trace.
    """
    name = function.__name__

    @functools.wraps(function)
    def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = _overrides.get().get(name, function)(*args, **kwargs)
        return result

    _places[name] = function
    return chosen


def places() -> Mapping[str, Rule]:
    """All places with their functions (unwrapped)."""
    return MappingProxyType(_places)


def clause_functions() -> Mapping[str, Rule]:
    """All clause ids with their reference functions (unwrapped)."""
    return MappingProxyType(_registry)


@contextmanager
def overriding(rules: Mapping[str, Rule]) -> Iterator[None]:
    """Replace functions of clauses and places inside the block. Blocks nest; the inner one wins.

    Raises:
        KeyError: an id has no reference function.
    """
    if unknown := sorted(set(rules) - set(_registry) - set(_places)):
        raise KeyError(f"no reference function for {', '.join(unknown)}")
    token = _overrides.set({**_overrides.get(), **rules})
    try:
        yield
    finally:
        _overrides.reset(token)


@contextmanager
def tracing() -> Iterator[Trace]:
    """Record every clause result and decision inside the block."""
    trace = Trace()
    token = _trace.set(trace)
    try:
        yield trace
    finally:
        _trace.reset(token)


@contextmanager
def replaying(outcomes: Sequence[bool]) -> Iterator[None]:
    """Give undecidable guards these outcomes, in the order in which they are met; certain guards ignore them."""
    token = _replay.set(list(outcomes))
    try:
        yield
    finally:
        _replay.reset(token)


def decide(guard: str, natural: bool, certain: bool) -> bool:
    """Settle a jump guard: its natural outcome, or the replayed one when the margin cannot decide."""
    queue = _replay.get()
    outcome = queue.pop(0) if queue and not certain else natural
    if (trace := _trace.get()) is not None:
        trace.decisions.append(Decision(guard, outcome, certain))
    return outcome
