"""A deviating sequence, made short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ppsf_conformance.adapter import Implementation
from ppsf_conformance.events.life import Deviation, Event, Life
from ppsf_conformance.problems import Problem
from ppsf_ref.law import Rule

#: Sequences tried at most.
TRIES = 80
#: How many events often do, counted from the one that deviates.
LAST = (1, 2, 3, 5)


def deviation_of(
    implementation: Implementation, problem: Problem, events: Sequence[Event], rules: Mapping[str, Rule]
) -> Deviation | None:
    """The deviation in a sequence of events, if there is one; a sequence that makes no sense has none."""
    try:
        life = Life(implementation, problem, rules)
        for event in events:
            life.happen(event)
    except Deviation as deviation:
        return deviation
    except Exception:  # an event may need one that was left out
        return None
    return None


def _shorter(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Its last few events; the sequence without its first half, its second half, a quarter ..., without one event."""
    yield from (events[-kept:] for kept in LAST if kept < len(events))
    size = len(events) // 2
    while size:
        for start in range(0, len(events) - 1, size):  # the last event is the one that deviates
            yield (*events[:start], *events[min(start + size, len(events) - 1) :])
        size //= 2


def shortest(implementation: Implementation, found: Deviation, rules: Mapping[str, Rule]) -> Deviation:
    """A deviation from the same clause after as few events as can be found by leaving some out, again and again."""
    tries, shrinking = TRIES, True
    while shrinking:
        shrinking = False
        for events in _shorter(found.events):
            tries -= 1
            shorter = deviation_of(implementation, found.problem, events, rules) if tries > 0 else None
            if shorter is not None and shorter.clause == found.clause and len(shorter.events) < len(found.events):
                found, shrinking = shorter, True
                break
    return found
