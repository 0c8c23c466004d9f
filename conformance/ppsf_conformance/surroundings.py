"""What a class may have changed around it: put back before another one is judged."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch


@contextlib.contextmanager
def put_back() -> Iterator[None]:
    """Leave folder, settings of torch, and random generators as they were found."""
    folder, dtype, threads = Path.cwd(), torch.get_default_dtype(), torch.get_num_threads()
    deterministic, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
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
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def flushed() -> bool:
    """Whether torch takes subnormal numbers for 0 in this thread."""
    return not bool(torch.full((1,), 2.0**-140, dtype=torch.float32).mul(0.5).item())
