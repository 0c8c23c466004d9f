"""The page on modifiers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from computed import Table
from drawing import Curve, Panel, Picture

DRAWS = 200_000
#: Weights and steps of the random walks, and the steps that are shown.
WALKERS, WALK = 2000, 4000
SHOWN = tuple(sorted({round(10 ** (tenth / 10)) for tenth in range(37)}))


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


def led_away(beta2: float | None) -> list[float]:
    """Mean distance from the start after the steps of `SHOWN`, by PPSF-M-009 and PPSF-M-008; None: by signs alone."""
    draw = np.random.default_rng(0)
    y, v, seen = np.zeros(WALKERS), np.zeros(WALKERS), []
    for step in range(1, WALK + 1):
        sign = np.where(draw.random(WALKERS) < 0.5, 1.0, -1.0)
        u = sign if beta2 is None else sign - 0.1 * np.sign(v - y)
        v += 0.0 if beta2 is None else (1 - beta2) * (y - v)
        y = y - u
        if step in SHOWN:
            seen.append(float(np.abs(y).mean()))
    return seen


def drift() -> Picture:
    """Signs alone, and with the attraction for two memories of the average and for one at rest."""
    cases = (("signs alone", None), ("0.99", 0.99), ("0.999", 0.999), ("average at rest", 1.0))
    curves = [
        Curve(rf"$\beta_2$ = {name}" if name[0] == "0" else name, SHOWN, led_away(beta2)) for name, beta2 in cases
    ]
    panel = Panel(curves, "step", "distance from the start, in steps", xlog=True, ylog=True)
    return Picture([panel], "Noise leads a weight away as the root of the time; the slower the average, the less")
