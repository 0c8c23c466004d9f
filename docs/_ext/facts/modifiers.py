"""The page on modifiers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from computed import Table

DRAWS = 200_000


def means(beta2: float) -> tuple[float, float]:
    """Mean update with the present gradient in the second moment, and without it."""
    draw = np.random.default_rng(0)
    terms = 1 if beta2 == 0 else int(np.ceil(np.log(1e-4) / np.log(beta2)))
    v = np.zeros(DRAWS, dtype=np.float32)
    for _ in range(terms):  # from the stationary distribution, but for one part in ten thousand
        v += np.float32(1 - beta2) * (_gradients(draw) ** 2 - v)
    g = _gradients(draw)
    renewed = np.float32(beta2) * v + np.float32(1 - beta2) * g**2
    return float(np.mean(g / np.sqrt(renewed), dtype=np.float64)), float(np.mean(g / np.sqrt(v), dtype=np.float64))


def _gradients(draw: np.random.Generator) -> npt.NDArray[np.float32]:
    return np.where(draw.random(DRAWS, dtype=np.float32) < 0.2, np.float32(10), np.float32(-1))


def adopt() -> Table:
    """Means for several memories."""
    rows = [(f"{beta2:g}", *(f"{mean:+.2f}" for mean in means(beta2))) for beta2 in (0.0, 0.5, 0.7, 0.9)]
    return Table((r"$\beta_2$", "Adam", "ADOPT"), tuple(rows))


def kept_and_length(agree: float, beta1: float = 0.9, steps: int = 200, elements: int = 10_000) -> tuple[float, float]:
    """Share of elements that PPSF-M-001 keeps, and the mean size of its step over the plain one's."""
    draw = np.random.default_rng(0)
    updates = np.where(draw.random((steps + 1, elements)) < agree, 1.0, -1.0)
    z = -np.cumsum(updates[:-1], axis=0)
    x, c = z.mean(axis=0), 1 / (steps + 1)
    pull = c * beta1 * (x - z[-1])
    u = updates[-1]
    decrease = pull + (1 - beta1 * (1 - c)) * u
    mask = u * decrease > 0
    cautious = np.abs(decrease[mask]).sum() / elements / max(mask.mean(), 1e-3)
    return float(mask.mean()), float(cautious / np.abs(decrease).mean())


def kept() -> Table:
    """By how well gradients agree."""
    rows = []
    for agree in (0.5, 0.55, 0.6, 0.7, 0.9):
        share, cautious = kept_and_length(agree)
        rows.append((f"{agree:g}", f"{share:.2f}", f"{cautious:.2f}"))
    return Table(("majority", "kept", "length of the cautious step"), tuple(rows))
