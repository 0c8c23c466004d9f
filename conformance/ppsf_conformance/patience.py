"""How long one call of a class under judgement may take, and how it is ended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

#: Seconds that one call may take; 0: as long as it likes. Steps of the problems take milliseconds; what is compiled
#: at the first call takes longer.
PATIENCE = 300.0


class NoAnswer(Exception):
    """A call took longer than it may."""


class _Expired(BaseException):
    """Raised inside the call: no exception that a class is likely to catch."""


_seconds = PATIENCE


def set_patience(seconds: float) -> None:
    """Say how long one call may take; 0: as long as it likes."""
    global _seconds
    _seconds = seconds


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """End what takes too long, where a signal can do that: in the main thread of a system that has alarms.

    Raises:
        NoAnswer: the time is over.
    """
    possible = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not possible or not _seconds:
        yield
        return

    def expire(*_: Any) -> None:
        raise _Expired

    handler = signal.signal(signal.SIGALRM, expire)
    timer = signal.setitimer(signal.ITIMER_REAL, _seconds)
    try:
        yield
    except _Expired:
        raise NoAnswer(f"no return after {_seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)  # somebody else's
