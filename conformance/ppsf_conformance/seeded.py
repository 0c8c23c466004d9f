"""Draws of Hypothesis that depend on nothing but their seed."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from unittest.mock import patch

from hypothesis.internal.conjecture import providers


@contextlib.contextmanager
def by_seed_alone() -> Iterator[None]:
    """In it, the same seed draws the same in every process; and Hypothesis warns of nothing.

    Of the numbers it draws some stand in the source of modules that happen to be imported and lie in no site-packages:
    those of a test run, of the user's project, of this package where it is developed. Older versions draw none.
    """
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        if hasattr(providers, "_get_local_constants"):
            nothing, cache = type(providers.GLOBAL_CONSTANTS)(), type(providers.CONSTANTS_CACHE)(1024)
            stack.enter_context(patch.object(providers, "_get_local_constants", lambda: nothing))
            stack.enter_context(patch.object(providers, "CONSTANTS_CACHE", cache))
        yield
