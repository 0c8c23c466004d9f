"""One law in three number types: float64, 50 digits and the carried value agree far inside the bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ppsf_conformance import lockstep, problems
from ppsf_conformance.adapter import ARRAYS, SCALARS
from ppsf_ref import (
    FLOAT32,
    Arithmetic,
    Bounded,
    Float64,
    Numbers,
    Precise,
    Running,
    State,
    evaluate,
    numbers,
    overriding,
    step,
    train,
)
from ppsf_ref.options import revision_names
from tests.ref.helpers import ReferenceFactory

#: What float64 may be off by, as a share of the bound that a float32 implementation gets.
SHARE = 2.0**-20
#: Everything in float32: the arithmetic with the least bound that is far above float64.
SINGLE = Arithmetic(scalar=FLOAT32, accumulate=FLOAT32, order="pairwise")
#: Nothing is rounded when it is stored, so that the arithmetic itself can be compared.
UNSTORED = {"PPSF-R-002": lambda x, form: x, "PPSF-R-003": lambda x, bits: x}
OPTIONS = frozenset(problems.OPTION_VALUES)
SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=8,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def outcome(transition: lockstep.Transition, lift: Numbers) -> State:
    """What the law makes of the state before a transition, in one number type."""
    config = lockstep.config_of(transition.problem, transition.rates)
    before = lockstep.lifted(config, transition.before.state, lift)
    with overriding(UNSTORED):
        if transition.kind == "step":
            return step(config, before, transition.gradients, lift)
        return (evaluate if transition.kind == "eval" else train)(config, before, lift)


def items(state: State) -> Iterator[tuple[str, Any]]:
    for group in state.groups:
        yield from ((name, getattr(group, name)) for name in SCALARS)
        yield from ((name, getattr(p, name)) for p in group.params for name in ARRAYS)


def distance(a: Any, b: Any) -> Any:
    """|a - b|, formed in 50 digits."""
    return np.asarray(np.frompyfunc(lambda x, y: float(abs(x - y)), 2, 1)(_digits(a), _digits(b)), np.float64)


def _digits(x: Any) -> Any:
    def one(value: Any) -> mpmath.mpf:
        if isinstance(value, mpmath.mpf):
            return value
        whole, power = np.frexp(np.longdouble(value))
        return mpmath.ldexp(mpmath.mpf(int(np.ldexp(whole, 64))), int(power) - 64)

    return np.asarray(np.frompyfunc(one, 1, 1)(np.asarray(x)), object)


#: Options whose formulas take signs of elements or of sums.
SIGNED = ("use_cautious", "use_grams", "use_speed", "use_focus")


def has_signs(problem: problems.Problem) -> bool:
    """Whether signs of elements decide; where the bound leaves one open, the bounded value lies in the middle."""
    given = (problem.options, *(group.options for group in problem.groups))
    return any(options.get(name) for options in given for name in SIGNED)


@pytest.mark.parametrize("revision", revision_names())
@given(data=st.data())
@SETTINGS
def test_the_three_number_types_agree(revision: str, data: st.DataObject) -> None:
    problem = data.draw(problems.problems(("float32", "bfloat16"), OPTIONS, revision=revision))
    with np.errstate(all="ignore"):
        for transition in lockstep.play(ReferenceFactory(revision), problem):  # type: ignore[arg-type]
            if transition.t > 2:
                return
            plain, precise, bounded = (outcome(transition, n) for n in (Float64(), Precise(), Running(SINGLE)))
            for (name, f), (_, p), (_, b) in zip(items(plain), items(precise), items(bounded), strict=True):
                assert (f is None) == (p is None) == (b is None)
                if f is None:
                    continue
                assert np.shape(f) == np.shape(p) == b.shape, name
                allowed = np.where(np.isfinite(b.bound), SHARE * b.bound, np.inf)
                assert (distance(f, p) <= allowed).all(), name
                assert (distance(b.value, p) <= (b.bound if has_signs(problem) else allowed)).all(), name


@pytest.mark.parametrize("lift", [Float64(), Precise(), Running(SINGLE)], ids=lambda lift: type(lift).__name__)
def test_what_is_no_number_has_no_sign(lift: Numbers) -> None:
    """So that the statistics of SPEED are none either (PPSF-D-033), in whatever type the law is run."""
    with np.errstate(invalid="ignore"):
        found = numbers.sign(lift.array(np.array([np.nan, -2.0, 0.0, 3.0])))
    values = np.asarray(found.value if isinstance(found, Bounded) else found, np.float64)
    assert np.array_equal(values, [np.nan, -1.0, 0.0, 1.0], equal_nan=True)
    assert not isinstance(found, Bounded) or list(found.bound) == [np.inf, 0.0, 0.0, 0.0]
