"""Triton's interpreter, made fit for tests: chosen before Triton is imported, and without doing the same work twice."""

from __future__ import annotations

import inspect
import os
from typing import Any

import numpy as np

os.environ["TRITON_INTERPRET"] = "1"


def silence() -> None:
    """Let arithmetic overflow and make NaN without a warning, as it does on a GPU."""
    from triton.runtime import interpreter

    run: Any = interpreter.GridExecutor.__call__

    def quiet(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return run(*args, **kwargs)

    executor: Any = interpreter.GridExecutor
    executor.__call__ = quiet


def hasten() -> None:
    """Let the interpreter prepare the language once; it does so anew in every call, which takes half of its time."""
    import triton.language as tl
    from triton.runtime import interpreter

    prepare: Any = interpreter._patch_lang
    prepared: set[tuple[int, ...]] = set()

    def once(fn: Any) -> Any:
        languages = [value for value in fn.__globals__.values() if inspect.ismodule(value) and value in (tl, tl.core)]
        key = tuple(sorted(map(id, languages)))
        if key not in prepared:
            prepare(fn)
            prepared.add(key)
        return interpreter._LangPatchScope()

    interpreter._patch_lang = once


silence()
hasten()
