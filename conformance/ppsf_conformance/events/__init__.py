"""Sequences of events in the life of an optimizer, each judged from the state before it.

:func:`search` draws sequences for any implementation and returns the shortest one that it does not do as the law says;
:func:`replay` makes a given one happen.
"""

from collections.abc import Iterable, Mapping

from ppsf_conformance.adapter import Implementation
from ppsf_conformance.events.changes import (
    Added,
    Copied,
    Disturbed,
    Edited,
    Frozen,
    Mode,
    Moved,
    Rate,
    Restore,
    Save,
)
from ppsf_conformance.events.life import Deviation, Event, Life
from ppsf_conformance.events.machine import NO_RULES, PROFILES, EventMachine, Profile, machine_of, search
from ppsf_conformance.events.steps import Accumulated, Alone, Closure, Elsewhere, End, Scaled, Step
from ppsf_conformance.problems import Problem
from ppsf_ref.law import Rule


def replay(
    implementation: Implementation, problem: Problem, events: Iterable[Event], rules: Mapping[str, Rule] = NO_RULES
) -> Life:
    """Let a sequence of events happen to a new optimizer; returns its life.

    Raises:
        Deviation: an event does something else than the law says.
    """
    life = Life(implementation, problem, rules)
    for event in events:
        life.happen(event)
    return life


__all__ = [
    "PROFILES",
    "Accumulated",
    "Added",
    "Alone",
    "Closure",
    "Copied",
    "Deviation",
    "Disturbed",
    "Edited",
    "Elsewhere",
    "End",
    "Event",
    "EventMachine",
    "Frozen",
    "Life",
    "Mode",
    "Moved",
    "Profile",
    "Rate",
    "Restore",
    "Save",
    "Scaled",
    "Step",
    "machine_of",
    "replay",
    "search",
]
