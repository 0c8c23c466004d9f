"""Drawing problems: as many of each regime, whatever Hypothesis finds interesting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings

from ppsf_conformance.problems import GROWING, REGIMES, Problem, problems
from ppsf_conformance.seeded import by_seed_alone

#: The regimes, in the order in which they are drawn.
ROUNDS = (*REGIMES, *GROWING)


def draw_problems(
    dtypes: tuple[str, ...],
    options: frozenset[str],
    examples: int,
    seed: int,
    visit: Callable[[Problem], None],
    revision: str = "1.9",
    always: Mapping[str, Any] = MappingProxyType({}),
    limits: frozenset[str] = frozenset(),
) -> None:
    """Call ``visit`` with about ``examples`` problems, the same ones for the same seed.

    Args:
        dtypes, options: what the implementation under judgement takes.
        revision: what it is judged by.
        always, limits: what every problem has, and what none has.
    """
    for number, regime in enumerate(ROUNDS):
        share = examples * (number + 1) // len(ROUNDS) - examples * number // len(ROUNDS)
        if share:
            _draw(
                problems(dtypes, options, regime, revision, always, limits), share, seed * len(ROUNDS) + number, visit
            )


def _draw(
    strategy: hypothesis.strategies.SearchStrategy[Problem], examples: int, seed: int, visit: Callable[[Problem], None]
) -> None:
    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(strategy)
    def each(problem: Problem) -> None:
        visit(problem)

    with by_seed_alone():
        each()
