"""Problems in great number: drawn evenly, cheap to play, and a pure function of a generator.

Where :mod:`~ppsf_conformance.drawing` looks for what is interesting and shrinks what it finds, this covers ground: many
steps of small problems, over all values of all options, all shapes and all regimes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ppsf_conformance.adapter import Array, Capabilities
from ppsf_conformance.problems import (
    GROWING,
    IN_ANY_GROUP,
    IN_OWN_POOL,
    OPTION_VALUES,
    REGIMES,
    SHAPES,
    STARTS,
    GroupSpec,
    ParamSpec,
    Problem,
    values_of,
    without_refused,
)
from ppsf_ref.options import Revision, load_revision, whole_options

T = TypeVar("T")

#: What problems are drawn from, evenly: numbers that stand more than once are drawn more often.
STEPS = (4, 8, 8, 16, 32, 64)
GROUPS = (1, 1, 2, 3)
PARAMS = (1, 1, 2, 3)
SCALES = (1.0, 1e-3, 30.0)
MISSING = (0.0, 0.0, 0.3)
PAUSES = (0.0, 0.0, 0.2)
SWITCHES = (False, False, False, True)
LAYOUTS = ("contiguous", "contiguous", "transposed")
#: An option is given to a constructor, and to a group of its own, in this share of problems.
GIVEN, GIVEN_TO_GROUP = 0.5, 0.15
#: A shape is drawn half as often when it has this many elements more.
HALVED_BY = 40


def _weights() -> Array:
    weights = np.asarray([1 / (1 + math.prod(shape) / HALVED_BY) for shape in SHAPES])
    return np.asarray(weights / weights.sum())


class Sampler:
    """Draws problems for one implementation.

    Args:
        capabilities: what it takes.
        rng: where chance comes from.
    """

    def __init__(self, capabilities: Capabilities, rng: np.random.Generator) -> None:
        self.capabilities, self.rng = capabilities, rng
        self.revision: Revision = load_revision(capabilities.revision)
        self.shapes = _weights()

    def problem(self) -> Problem:
        """The next problem."""
        rng, always = self.rng, self.capabilities.always
        given = {**self._some_of(tuple(OPTION_VALUES), GIVEN), **always}
        given = without_refused(given, given, self.revision)
        split = whole_options(self.revision, given).get("split_groups", True)
        own = IN_ANY_GROUP + (IN_OWN_POOL if split else ())
        return Problem(
            options=given,
            groups=tuple(self._group(given, own) for _ in range(self._one_of(GROUPS))),
            revision=self.revision.name,
            regime=self._one_of((*REGIMES, *GROWING)),
            scale=self._one_of(SCALES),
            steps=self._one_of(STEPS),
            seed=int(rng.integers(2**32)),
            missing=self._one_of(MISSING),
            pauses=self._one_of(PAUSES),
            switches=self._one_of(SWITCHES),
        )

    def _one_of(self, values: Sequence[T]) -> T:
        return values[int(self.rng.integers(len(values)))]

    def _some_of(self, names: Sequence[str], share: float) -> dict[str, Any]:
        have = self.capabilities.options & self.revision.options
        drawn = self.rng.random(len(names)) < share
        chosen = [name for name, hit in zip(names, drawn, strict=True) if hit and name in have]
        return {name: self._one_of(values_of(name, self.revision)) for name in chosen}

    def _group(self, given: Mapping[str, Any], own: Sequence[str]) -> GroupSpec:
        params = tuple(self._param() for _ in range(self._one_of(PARAMS)))
        overrides = without_refused(dict(given), self._some_of(own, GIVEN_TO_GROUP), self.revision)
        return GroupSpec(params, overrides)

    def _param(self) -> ParamSpec:
        return ParamSpec(
            shape=SHAPES[int(self.rng.choice(len(SHAPES), p=self.shapes))],
            dtype=self._one_of(self.capabilities.dtypes),
            start=self._one_of(tuple(STARTS)),
            layout=self._one_of(LAYOUTS),
        )


def settings(capabilities: Capabilities) -> list[tuple[str, Any]]:
    """Every option with every value that is drawn for it."""
    revision = load_revision(capabilities.revision)
    have = capabilities.options & revision.options
    return [(name, value) for name in OPTION_VALUES if name in have for value in values_of(name, revision)]
