"""Triton's interpreter, made fit for tests: chosen before Triton is imported, and without doing the same work twice."""

from __future__ import annotations

import inspect
import os
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"


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


hasten()
