"""A published implementation: what the judge knows of it beside how to run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ppsf_conformance.adapter import Implementation
from ppsf_conformance.errata import Erratum, errata_of
from ppsf_conformance.name_map import NameMap


class Published(Implementation, Protocol):
    """An implementation with a name map.

    Attributes:
        names: its name map.
        released: whether it is the very class that the map was written for, and not a child of it.
    """

    names: NameMap
    released: bool

    @property
    def replayable(self) -> Callable[..., Any]:
        """What makes optimizers for pinned inputs, of groups of torch parameters and options under their own names."""
        ...

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments of its constructor, the parameters aside."""
        ...


def errata_for(implementation: Published) -> tuple[Erratum, ...]:
    """The errata of its release that count for it."""
    names = implementation.names
    return errata_of(names.distribution, implementation.version, names.target)
