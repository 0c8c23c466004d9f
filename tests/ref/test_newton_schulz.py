"""Newton-Schulz steps: what they do to singular values, and bounds that hold in every order and are not empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ppsf_ref import FLOAT32, FLOAT64, Arithmetic, Running, numbers
from ppsf_ref.clauses.muon import LEAST_NORM, POLYNOMIAL, STEPS
from ppsf_ref.clauses.orthograd import length
from ppsf_ref.formats import Array, nearest
from ppsf_ref.newton_schulz import CELLS, REACH, Polynomial, Turned, iterated, lipschitz

SHAPES = [(1, 1), (1, 32), (2, 2), (3, 4), (31, 2), (33, 6), (12, 12), (40, 34)]
#: A check whose largest error stays below this share of its bound says nothing.
VACUOUS = 0.01
Product = Callable[[Array, Array], Array]


# -------------------------------------------------------------------------------------------------------- the iteration


@pytest.mark.clause("PPSF-M-015")
@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_values_follow_the_polynomial(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    u, s, v = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    s = s / np.linalg.norm(s)
    start = (u * s) @ v
    for _ in range(STEPS):
        s = POLYNOMIAL.linear * s + POLYNOMIAL.cubic * s**3 + POLYNOMIAL.quintic * s**5
    assert np.allclose(iterated(start, POLYNOMIAL, STEPS), (u * s) @ v, rtol=0, atol=1e-11)


def test_singular_values_stay_where_they_are_followed() -> None:
    s = np.linspace(0, REACH, 10**6)
    value = POLYNOMIAL.linear * s + POLYNOMIAL.cubic * s**3 + POLYNOMIAL.quintic * s**5
    assert (value[1:] > 0).all()
    assert value.max() < 1.2025


# ------------------------------------------------------------------------------------------------- Lipschitz constants


def test_lipschitz_constants_are_those_of_the_derivative() -> None:
    """At 0 the derivative is a power of the linear coefficient, and from two steps on it is steepest there."""
    constants = lipschitz(POLYNOMIAL, STEPS)
    powers = POLYNOMIAL.linear ** np.arange(STEPS + 1)
    assert (constants[:, 0] >= powers).all()
    assert (constants[:, 0] <= 1.001 * powers).all()
    within = constants[:, : int(1.2025 / REACH * CELLS)].max(axis=1)
    assert (within[2:] <= 1.001 * powers[2:]).all()
    assert 3.96 < within[1] < 3.97


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_no_two_matrices_part_faster(steps: int) -> None:
    rng, worst = np.random.default_rng(steps), 0.0
    constants = lipschitz(POLYNOMIAL, STEPS)[steps]
    for _ in range(400):
        start, ends, spectra = rng.normal(size=(3, 4)) * 10 ** rng.uniform(-3, 0), [], []
        start *= rng.uniform(0, 1) / np.linalg.norm(start, 2)
        aside = start + 1e-6 * rng.normal(size=(3, 4))
        for matrix in (start, aside):
            spectra.append(np.linalg.svd(matrix, compute_uv=False))
            ends.append(iterated(matrix, POLYNOMIAL, steps))
        first, last = (int(edge / REACH * CELLS) for edge in (np.min(spectra), np.max(spectra)))
        allowed = constants[first : last + 1].max() * np.linalg.norm(start - aside)
        worst = max(worst, float(np.linalg.norm(ends[0] - ends[1]) / allowed))
    assert 0.3 < worst <= 1 + 1e-6


def test_past_its_reach_nothing_is_claimed() -> None:
    g = Running(Arithmetic()).array(np.diag([1.3, 0.2]))
    assert np.isinf(numbers.turned(g, g, POLYNOMIAL, STEPS).matrix.bound).all()
    assert np.isinf(lipschitz(Polynomial(8.0, 0.0, 0.0), 2)[2]).any()


# -------------------------------------------------------------------------------------------------------------- bounds


def one_by_one(rng: np.random.Generator, a: Array, b: Array) -> Array:
    """Inner products summed in a random order, each product and sum rounded."""
    order = rng.permutation(a.shape[1])
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for i in order:
        total = total + np.multiply.outer(a[:, i], b[i])
    return total


def halves(a: Array, b: Array) -> Array:
    """Inner products summed in a balanced tree."""
    terms = list(np.einsum("ik,kj->kij", a, b))
    while len(terms) > 1:
        terms = [x + y for x, y in zip(terms[::2], terms[1::2], strict=False)] + terms[len(terms) & ~1 :]
    return np.asarray(terms[0])


def plain(x: Array, product: Product, p: Any) -> Array:
    square = product(x, x.T)
    return np.asarray(p[0] * x + product(p[1] * square + p[2] * product(square, square), x))


def nested(x: Array, product: Product, p: Any) -> Array:
    square = product(x, x.T)
    return np.asarray(p[0] * x + product(square, p[1] * x + p[2] * product(square, x)))


def scaled_first(x: Array, product: Product, p: Any) -> Array:
    square = product(x, x.T)
    return np.asarray(p[0] * x + product(p[1] * square + product(p[2] * square, square), x))


def machines(dtype: Any, rng: np.random.Generator, order: str) -> Iterator[Callable[[Array], Array]]:
    """All permitted ways to take the six steps, on a matrix that is not taller than wide."""
    p = np.asarray(POLYNOMIAL, dtype)
    products: list[Product] = [halves] if order == "pairwise" else [np.matmul, lambda a, b: one_by_one(rng, a, b)]
    for product in products:
        for step in (plain, nested, scaled_first):

            def run(x: Array, product: Product = product, step: Any = step) -> Array:
                for _ in range(STEPS):
                    x = step(x, product, p)
                return x

            yield run


def gradients(shape: tuple[int, int]) -> Iterator[Array]:
    """Normal, of widely differing rows, nearly and wholly of rank one, sparse, tiny."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        normal, ones = rng.normal(size=shape), rng.normal(size=(shape[0], 1)) * rng.normal(size=(1, shape[1]))
        yield normal
        yield normal * 10 ** rng.uniform(-5, 0, size=(shape[0], 1))
        yield ones + 1e-4 * normal
        yield ones
        yield normal * (rng.random(shape) < 0.2)
        yield 1e-9 * normal


def errors_over_bounds(shape: tuple[int, int], kind: Arithmetic) -> Iterator[tuple[float, float, float]]:
    """For matrix, length and inner product."""
    dtype = {FLOAT32: np.float32, FLOAT64: np.float64}[kind.array]
    rng, lift = np.random.default_rng(9), Running(kind)
    for g in gradients(shape):
        g = nearest(g, FLOAT32)
        known = _turned(lift.array(g))
        for machine in machines(dtype, rng, kind.order):
            flat = g.astype(dtype)
            x = flat / (np.sqrt(np.sum(flat * flat)) + dtype(LEAST_NORM))
            made = machine(x) if shape[0] <= shape[1] else machine(x.T).T
            held = (made, np.sqrt(np.sum(made * made)), np.sum(flat * made))
            yield tuple(_ratio(got, want) for got, want in zip(held, known, strict=True))  # type: ignore[misc]


def _turned(g: Any) -> Turned:
    return numbers.turned(g, numbers.over_scale(g, length(g) + LEAST_NORM), POLYNOMIAL, STEPS)


def _ratio(held: Any, known: Any) -> float:
    error = np.abs(np.asarray(held, np.longdouble) - known.value)
    assert (error[known.bound == 0] == 0).all()
    return float(np.max(error / np.where(known.bound > 0, known.bound, 1), initial=0.0))


@pytest.mark.clause("PPSF-M-015", "PPSF-R-001")
@pytest.mark.parametrize("order", ["any", "pairwise"])
@pytest.mark.parametrize("form", [FLOAT32, FLOAT64], ids=lambda form: form.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_order_of_the_products_stays_inside(shape: tuple[int, int], form: Any, order: Any) -> None:
    kind = Arithmetic(array=form, accumulate=form, order=order)
    worst = np.max(list(errors_over_bounds(shape, kind)), axis=0)
    assert (worst <= 1).all(), worst


@pytest.mark.clause("PPSF-M-015")
def test_the_bound_is_not_empty() -> None:
    """On small matrices, where depth and number of elements leave little room between the worst case and the usual."""
    kind = Arithmetic(accumulate=FLOAT32)
    worst = np.max([r for shape in ((1, 1), (2, 2), (3, 4)) for r in errors_over_bounds(shape, kind)], axis=0)
    assert (worst > VACUOUS).all(), worst
    assert (worst <= 1).all(), worst


@pytest.mark.clause("PPSF-M-015")
@pytest.mark.parametrize("shape", [(3, 4), (12, 12), (40, 34)], ids=str)
@pytest.mark.parametrize(
    ("polynomial", "steps"),
    [
        (POLYNOMIAL._replace(linear=3.4545), STEPS), (POLYNOMIAL._replace(cubic=-4.765), STEPS),
        (POLYNOMIAL._replace(quintic=2.0415), STEPS), (POLYNOMIAL, STEPS - 1), (POLYNOMIAL, STEPS + 1),
    ],
)  # fmt: skip
def test_other_steps_leave_it(shape: tuple[int, int], polynomial: Polynomial, steps: int) -> None:
    g = np.random.default_rng(1).normal(size=shape)
    known = _turned(Running(Arithmetic()).array(nearest(g, FLOAT32)))
    wrong = iterated(g / np.linalg.norm(g), polynomial, steps)
    assert abs(np.linalg.norm(wrong) - known.length.value) > known.length.bound


@pytest.mark.clause("PPSF-M-015")
def test_what_is_certain_has_no_bound() -> None:
    """Zeros, and rows and columns of zeros, stay what they are in any arithmetic."""
    lift = Running(Arithmetic())
    assert not _turned(lift.array(np.zeros((3, 4)))).matrix.bound.any()
    g = np.random.default_rng(0).normal(size=(4, 5))
    g[1], g[:, 3] = 0, 0
    bound = _turned(lift.array(nearest(g, FLOAT32))).matrix.bound
    assert (bound == 0).sum() == 8
    assert not bound[1].any()
    assert not bound[:, 3].any()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_matrices_pass_through(shape: tuple[int, int]) -> None:
    assert iterated(np.zeros(shape), POLYNOMIAL, STEPS).shape == shape
    assert _turned(Running(Arithmetic()).array(np.zeros(shape))).matrix.shape == shape
