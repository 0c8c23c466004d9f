"""Clauses are registered once, can be overridden for a while, and leave a trace; guards can be replayed."""

from __future__ import annotations

import numpy as np
import pytest

from ppsf_ref import Arithmetic, Bounded, Decision, clause_functions, law, overriding, replaying, tracing
from ppsf_ref.clauses import distance, groups, update
from ppsf_ref.formats import FLOAT64

SIZE = "PPSF-G-004"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry to write into."""
    monkeypatch.setattr(law, "_registry", dict(law._registry))


@pytest.mark.usefixtures("registry")
def test_an_id_has_one_function() -> None:
    @law.clause("PPSF-Z-999", "")
    def rule() -> int:
        return 1

    assert rule() == 1
    with pytest.raises(ValueError, match="PPSF-Z-999"):
        law.clause("PPSF-Z-999", "")


@pytest.mark.parametrize("identifier", ["PPSF-Q-001", "PPSF-Z-1", "Z-001", "PPSF-Z-0001", ""])
def test_an_id_has_a_form(identifier: str) -> None:
    with pytest.raises(ValueError, match="is not a clause id"):
        law.clause(identifier, "")


def test_the_registry_cannot_be_written_from_outside() -> None:
    with pytest.raises(TypeError):
        clause_functions()["PPSF-Z-998"] = lambda: None  # type: ignore[index]


def test_an_override_ends_with_its_block_even_by_an_exception() -> None:
    def fail(estimate: float, lr: float) -> float:
        raise RuntimeError

    with pytest.raises(RuntimeError), overriding({SIZE: fail}):
        groups.step_size(2.0, 3.0)
    assert groups.step_size(2.0, 3.0) == 6.0


def test_the_inner_override_wins_and_the_outer_one_stays_for_other_clauses() -> None:
    with overriding({SIZE: lambda estimate, lr: 1.0, "PPSF-D-001": lambda d: 10.0}):
        with overriding({SIZE: lambda estimate, lr: 2.0}):
            assert (groups.step_size(0.0, 0.0), distance.statistic_weight(0.0)) == (2.0, 10.0)
        assert groups.step_size(0.0, 0.0) == 1.0


def test_an_override_may_call_the_law() -> None:
    with overriding({SIZE: lambda estimate, lr: 2 * clause_functions()[SIZE](estimate, lr)}):
        assert groups.step_size(2.0, 3.0) == 12.0


def test_an_unknown_id_cannot_be_overridden() -> None:
    with pytest.raises(KeyError, match="PPSF-Z-997"), overriding({"PPSF-Z-997": lambda: None}):
        pass


def test_a_trace_has_results_in_order_and_ids_by_last_evaluation() -> None:
    with tracing() as trace:
        groups.step_size(2.0, 3.0)
        distance.statistic_weight(4.0)
        groups.step_size(5.0, 3.0)
    groups.step_size(7.0, 3.0)
    assert trace.results == [(SIZE, 6.0), ("PPSF-D-001", 2.0), (SIZE, 15.0)]
    assert trace.of(SIZE) == [6.0, 15.0]
    assert trace.clauses == ("PPSF-D-001", SIZE)


def test_the_inner_of_two_traces_records() -> None:
    with tracing() as outer:
        with tracing() as inner:
            groups.step_size(2.0, 3.0)
        assert inner.of(SIZE) == [6.0]
    assert outer.results == []


# ---------------------------------------------------------------------------------------------------------- guards


def scalar(value: float, bound: float = 0.0) -> Bounded:
    return Bounded(value, bound, FLOAT64, False, Arithmetic())


def estimate(denominator: Bounded) -> Bounded:
    result: Bounded = distance.distance_estimate(scalar(3.0), denominator, scalar(1.0))
    return result


@pytest.mark.clause("PPSF-D-006")
def test_certain_guards_do_not_listen_to_a_replay() -> None:
    for denominator, positive in ((scalar(1.0, 0.5), True), (scalar(0.0), False), (scalar(5e-324), True)):
        with replaying([not positive]), tracing() as trace:
            angle = estimate(denominator)
        assert trace.decisions == [Decision("denominator_positive", positive, certain=True)]
        assert (angle.value == 0) == (not positive)


@pytest.mark.clause("PPSF-D-006")
@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_a_near_tie_can_be_settled_either_way(margin: float) -> None:
    near = scalar(margin * 1e-30, 1e-30)
    for outcome in (True, False):
        with replaying([outcome]), tracing() as trace:
            angle = estimate(near)
        assert trace.decisions == [Decision("denominator_positive", outcome, certain=False)]
        assert angle.high >= np.pi / 2 if outcome else (angle.value == 0 and angle.bound == 0)


@pytest.mark.clause("PPSF-D-006")
def test_an_undecided_guard_takes_its_natural_outcome_when_nothing_is_replayed() -> None:
    for value in (0.0, 1e-31):
        with tracing() as trace:
            estimate(scalar(value, 1e-30))
        assert trace.decisions == [Decision("denominator_positive", value > 0, certain=False)]


def test_replayed_outcomes_are_used_in_order_by_undecided_guards_only() -> None:
    with replaying([False, True]):
        taken = [law.decide("g", True, certain) for certain in (False, True, False, False)]
    assert taken == [False, True, True, True]


def test_a_sum_that_may_have_vanished_is_undecided() -> None:
    tiny = np.array([2.0**-149])
    s = distance.gradient_sum(*(Bounded(v, 0, Arithmetic().array, True, Arithmetic()) for v in (0 * tiny, tiny)),
                              scalar(0.9), scalar(1e-3))  # fmt: skip
    for outcome in (True, False):
        with replaying([outcome]), tracing() as trace:
            estimate(distance.denominator_item(s))
        assert [(d.outcome, d.certain) for d in trace.decisions] == [(outcome, False)]


@pytest.mark.clause("PPSF-U-001", "PPSF-D-005")
def test_comparisons_of_stored_numbers_are_made_in_the_format_they_are_held_in() -> None:
    single = Arithmetic(scalar=Arithmetic().array)
    d0 = Bounded(1e-3, 0, FLOAT64, False, single).cast(single.scalar, False)
    d = Bounded(np.float32(1e-3), 0, single.scalar, False, single)
    later = Bounded(np.nextafter(np.float32(1e-3), np.float32(1)), 0, single.scalar, False, single)
    revision = type("R", (), {"bound_at_start": 50.0, "bound_later": 1.0})
    assert update.bound(d, d0, revision) == 50.0  # type: ignore[arg-type]
    assert update.bound(later, d0, revision) == 1.0  # type: ignore[arg-type]
