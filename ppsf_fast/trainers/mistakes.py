"""What is wrong with a configuration: all of it, each with the path of its key."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ppsf_fast.domains import Check


@dataclass(frozen=True, slots=True)
class Mistake:
    """The `path` of a key (`base.lr`), and a sentence that says what is wrong, what is allowed and what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return self.message


class ConfigError(ValueError):
    """A configuration that cannot be followed; `mistakes` has all that is wrong with it.

    Example:
        >>> import torch
        >>> from ppsf_fast.trainers import from_onetrainer
        >>> try:
        ...     from_onetrainer({"optimizer": "PRODIGY", "d0": -1.0, "lr": 0.0}, {"unet": torch.nn.Linear(2, 1)})
        ... except ConfigError as error:
        ...     [mistake.path for mistake in error.mistakes]
        ['d0', 'lr']
    """

    def __init__(self, mistakes: Collection[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        head = "one mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        super().__init__("\n- ".join([f"{head} in the configuration:", *map(str, self.mistakes)]))


@dataclass(slots=True)
class Notebook:
    """Collects mistakes, so that all are reported together."""

    mistakes: list[Mistake] = field(default_factory=list)

    def note(self, path: str, message: str) -> None:
        """Write down a mistake; `message` goes behind the path."""
        self._add(Mistake(path, f"{path}{message}"))

    def _add(self, mistake: Mistake) -> None:
        if mistake not in self.mistakes:  # a value that two networks share
            self.mistakes.append(mistake)

    def check(self, check: Check, path: str, value: Any) -> Any:
        """The value as it is kept, or None if it is outside its domain, which is noted."""
        try:
            return check(path, value)
        except (TypeError, ValueError) as refused:
            self._add(Mistake(path, str(refused)))
            return None

    def unknown(self, path: str, key: object, allowed: Collection[str]) -> None:
        """Note a key that nobody knows."""
        near = difflib.get_close_matches(str(key), allowed, n=1, cutoff=0.6)
        if near:
            self.note(path, f": there is no key {key}. Did you mean {near[0]}? Correct or remove it.")
        else:
            self.note(path, f": there is no key {key}; allowed are {', '.join(sorted(allowed))}. Remove it.")

    def close(self) -> None:
        """Raise ConfigError if there is any mistake."""
        if self.mistakes:
            raise ConfigError(self.mistakes)


def inside(path: str, key: object) -> str:
    """The path of a key in the section `path`."""
    return f"{path}.{key}" if path else str(key)
