"""Whose exception is it: the implementation's, or the judge's own?"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppsf_conformance.adapter import Capabilities, Group, Implementation, Session


class Watched:
    """An implementation that remembers the exceptions which came out of it; else it is the one it stands for."""

    def __init__(self, implementation: Implementation) -> None:
        self._watched, self._raised = implementation, list[Exception]()
        self.name, self.version, self.target = implementation.name, implementation.version, implementation.target

    @property
    def capabilities(self) -> Capabilities:
        return self._watched.capabilities

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> Session:
        """A fresh optimizer that is watched too."""
        made: Session = self._call(self._watched.new, groups, options)
        return made

    def raised(self, error: Exception) -> bool:
        """Whether an exception, or one that it was raised from, came out of the implementation."""
        found: BaseException | None = error
        while found is not None:
            if any(found is known for known in self._raised):
                return True
            found = found.__cause__ or found.__context__
        return False

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            self._raised.append(error)
            raise
        return _WatchedSession(result, self._call) if callable(getattr(result, "snapshot", None)) else result


class _WatchedSession:
    """A session of which every call is watched."""

    def __init__(self, session: Any, call: Callable[..., Any]) -> None:
        self._session, self._call = session, call

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        return (lambda *args, **kwargs: self._call(found, *args, **kwargs)) if callable(found) else found


def described(error: Exception) -> str:
    """An exception of the judge, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f", {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"the judge failed: {type(error).__name__}: {error}{place}"
