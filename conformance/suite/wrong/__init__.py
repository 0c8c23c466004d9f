"""A class that is right, ``Lawful``, and ten that are wrong, one for each of :data:`MISTAKES`, under their names.

Each is a whole class of its own: the text of ``lawful.py`` with one edit. They can be judged like any other::

    ppsf-conformance run conformance.suite.wrong:StaleSum --map conformance/suite/wrong/lawful.toml
"""

from __future__ import annotations

import linecache
from functools import cache
from pathlib import Path
from typing import Any

from .mistakes import MISTAKES, Mistake

LAWFUL = Path(__file__).with_name("lawful.py")
MAP = LAWFUL.with_suffix(".toml")


def text_of(mistake: Mistake) -> str:
    """The source of a wrong class.

    Raises:
        ValueError: what is to be edited is not there exactly once.
    """
    text = LAWFUL.read_text("utf-8")
    if text.count(mistake.old) != 1:
        raise ValueError(f"{LAWFUL.name} holds {mistake.old!r} {text.count(mistake.old)} times")
    return text.replace(mistake.old, mistake.new).replace("class Lawful(", f"class {mistake.name}(")


@cache
def _made(name: str) -> Any:
    texts = {mistake.name: text_of(mistake) for mistake in MISTAKES} | {"Lawful": LAWFUL.read_text("utf-8")}
    if name not in texts:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    file, space = f"<{name}>", {"__name__": __name__}
    linecache.cache[file] = (len(texts[name]), None, texts[name].splitlines(keepends=True), file)  # for tracebacks
    exec(compile(texts[name], file, "exec"), space)
    return space[name]


def __getattr__(name: str) -> Any:
    return _made(name)
