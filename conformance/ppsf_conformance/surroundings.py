"""What a class may have changed around it: put back before another one is judged."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Generator:
    """A random generator that everybody shares: how to read where it stands, to put it there, and to draw from it."""

    get: Callable[[], Any]
    set: Callable[[Any], None]
    draw: Callable[[], object]


#: Those there are, by name.
GENERATORS = {
    "torch": Generator(
        lambda: torch.get_rng_state().numpy(),
        lambda state: torch.set_rng_state(torch.from_numpy(state)),
        lambda: torch.rand(3),
    ),
    "numpy": Generator(np.random.get_state, np.random.set_state, lambda: np.random.random_sample(3)),
    "random": Generator(random.getstate, random.setstate, random.random),
}


@contextlib.contextmanager
def put_back() -> Iterator[None]:
    """Leave folder, settings of torch, and random generators as they were found."""
    folder, dtype, threads = Path.cwd(), torch.get_default_dtype(), torch.get_num_threads()
    deterministic, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    states = {name: generator.get() for name, generator in GENERATORS.items()}
    errors = np.geterr()
    flushes = flushed()
    try:
        with torch.set_grad_enabled(torch.is_grad_enabled()):
            yield
    finally:
        os.chdir(folder)
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        torch.set_flush_denormal(flushes)
        np.seterr(**errors)
        for name, generator in GENERATORS.items():
            generator.set(states[name])


def flushed() -> bool:
    """Whether torch takes subnormal numbers for 0 in this thread."""
    return not bool(torch.full((1,), 2.0**-140, dtype=torch.float32).mul(0.5).item())
