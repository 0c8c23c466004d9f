"""Ordinary values, the same on every machine: integers of Philox, made into numbers without a library function."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ppsf_conformance.vectors.model import Case
from ppsf_ref import philox

#: Draws one value from a stream of 32-bit words.
Draw = Callable[[Iterator[int]], Any]


def words(seed: str) -> Iterator[int]:
    """A stream of 32-bit words that depends on ``seed`` alone."""
    block = 0
    while True:
        yield from map(int, philox.words((zlib.crc32(seed.encode()), block), 0, 64))
        block += 1


def f32(x: float) -> float:
    """The nearest float32 number."""
    return float(np.float32(x))


def after(x: float, steps: int = 1) -> float:
    """The float32 number that many places above ``x``, or below."""
    value = np.float32(x)
    for _ in range(abs(steps)):
        value = np.nextafter(value, np.float32(math.copysign(math.inf, steps)))
    return float(value)


def positive(least: int, most: int) -> Draw:
    """A float32 number with an exponent between the two."""

    def draw(stream: Iterator[int]) -> float:
        exponent = least + next(stream) % (most - least + 1)
        return math.ldexp(1 + (next(stream) >> 9) / 2**23, exponent)

    return draw


def signed(least: int, most: int) -> Draw:
    """As :func:`positive`, of either sign."""
    magnitude = positive(least, most)
    return lambda stream: magnitude(stream) * (1 if next(stream) % 2 else -1)


def fraction(least: float = 0.5) -> Draw:
    """A float32 number between ``least`` and 1."""
    return lambda stream: f32(least + (1 - least) * (next(stream) >> 9) / 2**23)


def integer(least: int, most: int) -> Draw:
    """An integer between the two."""
    return lambda stream: least + next(stream) % (most - least + 1)


def chosen(*values: Any) -> Draw:
    """One of these."""
    return lambda stream: values[next(stream) % len(values)]


def array(shape: tuple[int, ...], element: Draw) -> Draw:
    """An array of such elements."""
    return lambda stream: np.array([element(stream) for _ in range(math.prod(shape))]).reshape(shape)


def drawn(seed: str, count: int, flags: str = "Ordinary", **draws: Draw) -> list[Case]:
    """Cases with drawn inputs."""
    made = []
    for n in range(1, count + 1):
        stream = words(f"{seed}/{n}")
        inputs = {name: draw(stream) for name, draw in draws.items()}
        made.append(Case(f"drawn values {seed}, {n} of {count}", tuple(flags.split()), inputs))
    return made
