"""A bound holds for whatever a machine of the declared arithmetic computes, in whatever order, and is not empty."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppsf_ref import FLOAT32, FLOAT64, Arithmetic, Bounded, Format, Running, numbers
from ppsf_ref.formats import Array, down, nearest, up

WIDTH = 7
DTYPES: dict[Format, Any] = {FLOAT32: np.float32, FLOAT64: np.float64}
KINDS = [
    Arithmetic(array, scalar, wide, order)  # type: ignore[arg-type]
    for array, scalar, wide, order in itertools.product(*[(FLOAT32, FLOAT64)] * 3, ("any", "pairwise"))
]
#: Some of these that have no subnormal numbers.
FLUSHING = [replace(kind, flushes=True) for kind in KINDS[::5]]
VACUOUS = 0.01


def described(kind: Arithmetic) -> str:
    """A short name of an arithmetic."""
    return f"{kind.array.name}-{kind.scalar.name}-{kind.accumulate.name}-{kind.order}"


@dataclass
class Machine:
    """Floating-point arithmetic that chooses at random where the rules leave it a choice."""

    arithmetic: Arithmetic
    rng: np.random.Generator

    def settled(self, held: Array) -> Array:
        """Numbers as the machine reads and writes them."""
        if not self.arithmetic.flushes or held.dtype.kind != "f":
            return held
        return np.where(np.abs(held) < np.finfo(held.dtype).tiny, np.copysign(held.dtype.type(0), held), held)

    def one_of(self, *forms: Callable[[], Any]) -> Any:
        return forms[self.rng.integers(len(forms))]()

    def summed(self, terms: Array) -> Any:
        """0-d sum in the dtype of ``terms``: in any order, or in a balanced tree over any order."""
        parts = list(self.rng.permutation(terms))
        while len(parts) > 1:
            if self.arithmetic.order == "pairwise":
                parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + parts[len(parts) & ~1 :]
            else:
                i = self.rng.integers(len(parts) - 1)
                parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return parts[0] if parts else terms.dtype.type(0)


@dataclass
class Pair:
    """A number with its bound, and what a machine computed for it."""

    known: Bounded
    held: Array
    machine: Machine

    def _with(self, known: Bounded, held: Any) -> Pair:
        # what a group holds in float64 reaches an array's format once, when the two meet
        return Pair(known, self.machine.settled(np.asarray(held, DTYPES[known.form])), self.machine)

    def _both(self, other: Any, rule: Callable[..., Any], compute: Callable[..., Any]) -> Pair:
        known = rule(self.known, other.known if isinstance(other, Pair) else other)
        dtype = DTYPES[known.form]
        right = other.held if isinstance(other, Pair) else np.asarray(other)
        left, right = (self.machine.settled(held.astype(dtype)) for held in (self.held, right))
        return self._with(known, compute(left, right))

    def __add__(self, other: Any) -> Pair:
        return self._both(other, operator.add, operator.add)

    def __sub__(self, other: Any) -> Pair:
        return self._both(other, operator.sub, operator.sub)

    def __mul__(self, other: Any) -> Pair:
        return self._both(other, operator.mul, operator.mul)

    def __truediv__(self, other: Any) -> Pair:
        return self._both(other, operator.truediv, operator.truediv)

    def __rsub__(self, other: Any) -> Pair:
        return self._both(other, lambda a, b: b - a, lambda a, b: b - a)

    def __rtruediv__(self, other: Any) -> Pair:
        return self._both(other, lambda a, b: b / a, lambda a, b: b / a)

    def __neg__(self) -> Pair:
        return Pair(-self.known, -self.held, self.machine)

    def __abs__(self) -> Pair:
        return Pair(abs(self.known), abs(self.held), self.machine)

    def ratio(self) -> Array:
        """Error over bound; 0 where the bound is infinite, infinite where an exact number is missed."""
        error = np.abs(self.held.astype(np.longdouble) - self.known.value)
        bound = self.known.bound
        inside = np.where(bound > 0, error / np.where(bound > 0, bound, 1), np.where(error == 0, 0, np.inf))
        return np.where(np.isfinite(bound), np.where(np.isnan(error), np.inf, inside), 0)


# ------------------------------------------------------------------------------------- operations that are no operators


def fused(a: Pair, b: Pair, c: Pair) -> Pair:
    known = a.known * b.known + c.known
    one, two, three = (p.held.astype(DTYPES[known.form]).astype(np.longdouble) for p in (a, b, c))
    return a._with(known, one * two + three)


def root(a: Pair) -> Pair:
    a = abs(a)
    return a._with(numbers.sqrt(a.known), np.sqrt(a.held))


def angle(a: Pair, b: Pair) -> Pair:
    def compute(y: Array, x: Array) -> Any:
        wide = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
        form = FLOAT32 if y.dtype == np.float32 else FLOAT64
        return a.machine.one_of(*(lambda f=f: f(wide, form) for f in (down, up, nearest)))  # within one unit

    return a._both(abs(b), numbers.atan2, compute)


def larger(a: Pair, b: Pair) -> Pair:
    return a._both(b, numbers.maximum, np.maximum)


def total(a: Pair) -> Pair:
    known = numbers.total(a.known)
    return a._with(known, a.machine.summed(a.held.reshape(-1).astype(DTYPES[known.form])))


def mean(a: Pair) -> Pair:
    known, sums, n = numbers.mean(a.known), total(a).held, a.held.size
    inverse = sums.dtype.type(1) / sums.dtype.type(n)
    return a._with(known, a.machine.one_of(lambda: sums / sums.dtype.type(n), lambda: sums * inverse))


def mean_along(a: Pair) -> Pair:
    if not a.held.shape:
        return a
    return a._with(numbers.mean(a.known, 0), mean(a).held.reshape(1))


def mean_square(a: Pair) -> Pair:
    square, known = a * a, numbers.mean_square(a.known)
    norm = np.sqrt(total(square).held)
    forms = lambda: mean(square).held, lambda: norm * norm / norm.dtype.type(a.held.size), lambda: _root_squared(square)
    return a._with(known, a.machine.one_of(*forms))


def _root_squared(square: Pair) -> Any:
    held = np.sqrt(mean(square).held)
    return held * held


def lerp(a: Pair, b: Pair, weight: Pair) -> Pair:
    w, a, b = mean(weight), _element(a), _element(b)
    known = numbers.lerp(a.known, b.known, w.known)
    dtype = DTYPES[known.form]
    x, y, t = (p.held.astype(dtype) for p in (a, b, w))
    forms = lambda: x + t * (y - x), lambda: y - (1 - t) * (y - x), lambda: (1 - t) * x + t * y
    return a._with(known, a.machine.one_of(*forms))


def _element(a: Pair) -> Pair:
    form = a.machine.arithmetic.array
    return a if a.known.is_array else Pair(a.known.cast(form, True), a.held.astype(DTYPES[form]), a.machine)


def over_scale(a: Pair, b: Pair) -> Pair:
    scale = mean(b)
    known = numbers.over_scale(a.known, scale.known)
    x, s = (p.held.astype(DTYPES[known.form]) for p in (a, scale))
    inverse = (1 / scale.held).astype(x.dtype)
    return a._with(known, a.machine.one_of(lambda: x / s, lambda: x * inverse))


def share(a: Pair, b: Pair) -> Pair:
    def compute(x: Array, y: Array) -> Any:
        return np.where(y != 0, x / y, 0)

    return abs(a)._both(abs(a) + abs(b), lambda x, y: numbers.share(x, y, most=2), compute)


#: Name to operation and number of operands.
OPERATIONS: dict[str, tuple[Callable[..., Pair], int]] = {
    "add": (operator.add, 2), "subtract": (operator.sub, 2), "multiply": (operator.mul, 2),
    "divide": (operator.truediv, 2), "one minus": (lambda a: 1 - a, 1), "one over": (lambda a: 1 / a, 1),
    "times a third": (lambda a: a * (1 / 3), 1), "negative": (operator.neg, 1), "size": (abs, 1), "fused": (fused, 3),
    "root": (root, 1), "angle": (angle, 2), "larger": (larger, 2), "total": (total, 1), "mean": (mean, 1),
    "mean along": (mean_along, 1), "mean square": (mean_square, 1), "over scale": (over_scale, 2), "share": (share, 2),
    "lerp": (lerp, 3),
}  # fmt: skip


def evaluated(tree: Any, leaves: Sequence[Pair]) -> Pair:
    if isinstance(tree, int):
        return leaves[tree]
    operation, _ = OPERATIONS[tree[0]]
    return operation(*(evaluated(operand, leaves) for operand in tree[1:]))


def lifted(arrays: Sequence[Any], arithmetic: Arithmetic, seed: int) -> list[Pair]:
    """Arrays (and 0-d numbers, as of a group) as a machine of this arithmetic holds them."""
    lift, machine, pairs = Running(arithmetic), Machine(arithmetic, np.random.default_rng(seed)), []
    for values in arrays:
        known = lift.array(np.asarray(values)) if np.shape(values) else lift.scalar(values)
        pairs.append(Pair(known, np.asarray(values, DTYPES[known.form]), machine))
    return pairs


EDGES = (0.0, -0.0, 1.0, -1.0, 2.0**-149, -(2.0**-149), 2.0**-126, 1 + 2.0**-23, 3e38, -3e38, 1e-30, 0.1, 5e-324)
VALUES = st.floats(-4, 4) | st.sampled_from(EDGES) | st.floats(width=32, allow_nan=False, allow_infinity=False)
LEAVES = st.tuples(*[st.lists(VALUES, min_size=WIDTH, max_size=WIDTH)] * 2, VALUES)
TREES = st.recursive(
    st.integers(0, 2),
    lambda children: st.one_of(
        [st.tuples(st.just(name), *[children] * arity) for name, (_, arity) in OPERATIONS.items()]
    ),
    max_leaves=6,
)


@given(tree=TREES, leaves=LEAVES, kind=st.sampled_from(KINDS + FLUSHING), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@pytest.mark.clause("PPSF-R-001")
def test_every_machine_stays_inside(tree: Any, leaves: Any, kind: Arithmetic, seed: int) -> None:
    with np.errstate(all="ignore"):
        result = evaluated(tree, lifted(leaves, kind, seed))
        assert (result.known.bound >= 0).all()
        assert (result.ratio() <= 1).all(), (result.held, result.known.value, result.known.bound)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in {"negative", "size", "larger"}])
@pytest.mark.parametrize("kind", KINDS[::3], ids=described)
def test_no_operation_is_vacuous(name: str, kind: Arithmetic) -> None:
    """Over plain random inputs the error comes near its bound, and never beyond."""
    operation, arity = OPERATIONS[name]
    worst = 0.0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        leaves = [rng.normal(size=WIDTH), rng.normal(size=WIDTH), rng.uniform(0.1, 0.9)]
        result = operation(*lifted(leaves, kind, seed)[:arity])
        worst = max(worst, float(result.ratio().max()))
    assert VACUOUS <= worst <= 1


@pytest.mark.parametrize("order", ["any", "pairwise"])
@pytest.mark.parametrize("terms", [1, 2, 33, 257, 1024])
def test_a_cancelling_sum_stays_inside(order: Any, terms: int) -> None:
    kind = Arithmetic(accumulate=FLOAT32, order=order)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=terms) * 10 ** rng.uniform(-3, 3, terms)
        values[terms // 2 :] -= values[: (terms + 1) // 2]
        assert (total(lifted([values], kind, seed)[0]).ratio() <= 1).all()


# --------------------------------------------------------------------------------------------------- what is exact


def array(values: Any, bound: Any = 0, form: Format = FLOAT32) -> Bounded:
    return Bounded(np.asarray(values), bound, form, True, Arithmetic())


def test_exact_operations_have_no_bound() -> None:
    x = array([0.1, -3.0, 2.0**-149])
    exact = (
        x + 0, 0 + x, x - x, x * 1, 1 * x, 0 * x, x / 1, -x, abs(x), numbers.sqrt(array([0.0, 1.0])),
        numbers.atan2(array([0.0]), array([2.0], 1e-9)), numbers.maximum(x, array([7.0] * 3)), numbers.total(x[:1]),
        numbers.total(array([])), numbers.mean(x[:1]), 0 / array([2.0], 1e-9), numbers.lerp(x, x, x[0] * 0),
        numbers.share(0 * x[:2], abs(x[:2]), most=2), numbers.share(x, 0 * x, most=2), x.cast(FLOAT64, True),
    )  # fmt: skip
    for number in exact:
        assert (number.bound == 0).all(), number.value


def test_a_conversion_of_an_exact_number_knows_its_error() -> None:
    number = Bounded(0.1, 0, FLOAT64, False, Arithmetic()).cast(FLOAT32, True)
    assert number.bound == abs(np.longdouble(np.float32(0.1)) - np.longdouble(0.1))


def test_an_option_that_the_scalar_format_lacks_counts_one_rounding() -> None:
    single = Running(Arithmetic(scalar=FLOAT32))
    assert single.scalar(0.5).bound == 0
    assert single.scalar(0.1).low == np.float32(0.1) or single.scalar(0.1).high == np.float32(0.1)
    assert single.array(np.array([0.1])).bound > 0


# ----------------------------------------------------------------------------------------------- what is not known


@np.errstate(invalid="ignore")
def test_without_subnormal_numbers_a_small_one_may_be_zero() -> None:
    flushing = Running(Arithmetic(scalar=FLOAT32, flushes=True))
    small, one = flushing.array(np.array([2.0**-130])), flushing.array(np.array([1.0]))
    assert (small * one).low == 0
    assert (small * flushing.array(np.array([2.0**60]))).low <= 0, "it is read as zero, whatever it is multiplied by"
    assert (one * one).bound == 0
    kept = Running(Arithmetic(scalar=FLOAT32))
    assert (kept.array(np.array([2.0**-130])) * kept.array(np.array([1.0]))).bound == 0


def test_nothing_is_claimed_past_the_largest_number() -> None:
    beyond = array([3e38]) * 2
    unknown = (
        beyond, beyond - beyond, 0 * beyond, beyond * 0, beyond / beyond, 1 / beyond * 0, numbers.sqrt(beyond),
        numbers.atan2(beyond, beyond), numbers.atan2(array([0.0]), beyond), numbers.share(beyond, beyond, most=2),
        numbers.maximum(beyond, array([0.0])), numbers.total(beyond), 1 / array([1e-3], 1e-3), 1 / array([0.0]),
    )  # fmt: skip
    for number in unknown:
        assert np.isinf(number.bound).all(), number.value


def test_a_partial_sum_may_overflow_though_the_sum_does_not() -> None:
    kind = Arithmetic(accumulate=FLOAT32)
    assert np.isinf(Bounded([3e38, 3e38, -3e38, -3e38], 0, FLOAT32, True, kind).total().bound)
    assert np.isfinite(Bounded([3e38, 3e38, -3e38, -3e38], 0, FLOAT32, True, Arithmetic()).total().bound)


def test_a_sum_too_deep_for_its_format_is_unknown() -> None:
    assert np.isinf(Arithmetic(accumulate=FLOAT32).gamma(2**24 + 1))
    assert 0 < Arithmetic(accumulate=FLOAT32, order="pairwise").gamma(2**24 + 1) < math.inf


def test_numbers_of_a_group_are_added_in_their_own_format() -> None:
    kind = Arithmetic(scalar=FLOAT32, accumulate=FLOAT64)
    parts = [Bounded(1 + n * 2.0**-23, 0, FLOAT32, False, kind) for n in range(3)]
    total = numbers.add_up(parts, 0)
    assert total.form is FLOAT32
    assert total.bound >= 2 * FLOAT32.unit * 3


def test_a_share_lies_in_its_range_whatever_the_rounding() -> None:
    tiny = 2.0**-149
    part = numbers.share(array([tiny], tiny), array([tiny], tiny), most=2)
    assert part.bound == 2


def test_the_angle_of_a_box_around_the_origin_covers_all_angles() -> None:
    angle = numbers.atan2(array([0.0], 1e-9), array([0.0], 1e-9))
    assert angle.bound >= np.pi / 2


def test_widest_covers_every_form() -> None:
    y, z, c = array([1.0]), array([-1e6]), array([0.75])
    forms = (y + c * (z - y), z - (1 - c) * (z - y), (1 - c) * y + c * z)
    widest = numbers.lerp(y, z, c)
    assert all(widest.low <= form.low and form.high <= widest.high for form in forms)
