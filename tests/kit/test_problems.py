"""Problems are data: the same one gives the same run, and everything they are made of is drawn."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from ppsf_conformance import problems as pb
from ppsf_conformance.adapter import Array, Snapshot
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.lockstep import config_of, given_rates
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_ref.clauses.errors import DOMAINS, refuse_outside
from ppsf_ref.formats import FORMATS, nearest
from ppsf_ref.options import load_revision, revision_names
from tests.kit.stub import StubImplementation

MIXED = (GroupSpec((ParamSpec((5,)), ParamSpec((3, 4), "bfloat16", "small"))), GroupSpec((ParamSpec(()),)))


def drawn(
    count: int,
    dtypes: tuple[str, ...] = ("float32", "bfloat16"),
    options: Any = pb.OPTION_VALUES,
    revision: str = "1.9",
) -> Any:
    """Problems as a survey draws them."""
    found: list[Problem] = []

    @hypothesis.seed(0)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(pb.problems(dtypes, frozenset(options), revision=revision))
    def each(problem: Problem) -> None:
        found.append(problem)

    each()
    return found


@functools.cache
def many() -> list[Problem]:
    """Enough to meet everything."""
    return drawn(600)  # type: ignore[no-any-return]


def started(problem: Problem) -> Snapshot:
    return StubImplementation().new(pb.constructor_groups(problem), problem.options).snapshot()


def each_array(make: Callable[[], Any]) -> list[Array]:
    return [array for row in make() for array in row]


# ----------------------------------------------------------------------------------------------------------- as values


@pytest.mark.parametrize("regime", pb.REGIMES)
def test_the_same_problem_gives_the_same_numbers(regime: str) -> None:
    problem = Problem({}, MIXED, regime, seed=7)
    first, second = (each_array(lambda: pb.gradients(problem, 2, started(problem))) for _ in range(2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    values = [[[w.values for w in row] for row in pb.weights(problem)] for _ in range(2)]
    assert all(np.array_equal(a, b) for r, s in zip(*values, strict=True) for a, b in zip(r, s, strict=True))


def test_another_seed_gives_other_numbers() -> None:
    first, second = (pb.weights(Problem({}, MIXED, seed=seed))[0][0].values for seed in (1, 2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("regime", pb.REGIMES)
@pytest.mark.parametrize("scale", [1.0, 1e-3, 30.0])
def test_gradients_are_numbers_of_their_dtype(regime: str, scale: float) -> None:
    problem = Problem({}, MIXED, regime, scale=scale, seed=7)
    rows = pb.gradients(problem, 1, started(problem))
    for group, row in zip(problem.groups, rows, strict=True):
        for spec, gradient in zip(group.params, row, strict=True):
            assert gradient is not None
            assert gradient.shape == spec.shape
            assert np.isfinite(gradient).all()
            assert np.array_equal(nearest(gradient, FORMATS[spec.dtype]), gradient)


@pytest.mark.parametrize("start", pb.STARTS)
def test_weights_are_numbers_of_their_dtype(start: str) -> None:
    made = pb.weights(Problem({}, (GroupSpec((ParamSpec((33,), "bfloat16", start),)),)))[0][0]
    assert np.array_equal(nearest(made.values, FORMATS["bfloat16"]), made.values)


def test_gradients_go_missing_as_often_as_asked() -> None:
    for share in (0.0, 1.0):
        problem = Problem({}, MIXED, missing=share)
        absent = [g is None for row in pb.gradients(problem, 0, started(problem)) for g in row]
        assert absent == [share == 1.0] * 3


def test_a_pause_is_a_learning_rate_of_zero() -> None:
    assert pb.learning_rates(Problem({}, MIXED, pauses=1.0), 0, (1.0, 0.5)) == (0.0, 0.0)
    assert pb.learning_rates(Problem({}, MIXED), 0, (1.0, 0.5)) == (1.0, 0.5)


# ---------------------------------------------------------------------------------------------------------- what comes


def test_every_regime_is_drawn() -> None:
    assert {problem.regime for problem in many()} == set(pb.REGIMES)


def test_every_shape_start_and_layout_is_drawn() -> None:
    specs = [spec for problem in many() for group in problem.groups for spec in group.params]
    assert {spec.shape for spec in specs} == set(pb.SHAPES)
    assert {spec.start for spec in specs} == set(pb.STARTS)
    assert {spec.layout for spec in specs} == {"contiguous", "transposed"}
    assert {spec.dtype for spec in specs} == {"float32", "bfloat16"}


@pytest.mark.parametrize("revision", revision_names())
def test_every_value_of_every_option_of_a_revision_is_drawn(revision: str) -> None:
    law = load_revision(revision)
    found = drawn(300, ("float32",), law.options, revision)
    for name in law.options & set(pb.OPTION_VALUES):
        given = {repr(problem.options[name]) for problem in found if name in problem.options}
        assert given == {repr(value) for value in pb.values_of(name, law)}, name


def test_every_option_of_the_law_is_drawn_within_its_domain() -> None:
    assert set(pb.OPTION_VALUES) == set(DOMAINS)
    for name, values in pb.OPTION_VALUES.items():
        for value in values:
            refuse_outside(name, value)


def test_nothing_is_drawn_that_an_implementation_does_not_offer() -> None:
    for problem in drawn(60, ("float32",), {"lr", "d0"}):
        assert set(problem.options) <= {"lr", "d0"}
        assert all(set(group.options) <= {"lr", "d0"} for group in problem.groups)
        assert {spec.dtype for group in problem.groups for spec in group.params} == {"float32"}


def test_one_pool_has_one_estimate_to_configure() -> None:
    shared = [problem for problem in many() if not problem.options.get("split_groups", True)]
    assert shared
    assert all(not set(pb.IN_OWN_POOL) & set(group.options) for problem in shared for group in problem.groups)


def test_problems_are_plain_data() -> None:
    for problem in many():
        assert json.loads(json.dumps(problem.as_data(), allow_nan=False))["regime"] == problem.regime


def test_the_law_reads_every_problem() -> None:
    for problem in many():
        config = config_of(problem, given_rates(problem))
        assert len(config.groups) == len(problem.groups)
        assert all(options.lr > 0 for options in config.groups)


def test_the_same_seed_gives_the_same_problems_whatever_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hypothesis draws some of its numbers from the source of modules that lie in no site-packages."""

    def found() -> list[Problem]:
        problems: list[Problem] = []
        draw_problems(("float32", "bfloat16"), frozenset(pb.OPTION_VALUES), 120, 0, problems.append)
        return problems

    before = found()
    source = tmp_path / "local.py"
    source.write_text(f"NUMBERS = {[each * scale for each in range(1, 100) for scale in (1.37, 1009)]}")
    local = ModuleType("local")
    local.__file__ = str(source)
    monkeypatch.setitem(sys.modules, "local", local)
    assert found() == before
