"""Name maps: where a class keeps what the law names, as a TOML file per implementation."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ppsf_conformance.adapter import Capabilities
from ppsf_ref import Arithmetic
from ppsf_ref.formats import FORMATS

GROUP_NAMES = ("d", "d_prev", "d_numerator", "d_denom", "weight_sum", "k", "train_mode")
STATE_NAMES = ("z", "x0", "s", "v", "v_row", "v_col")


@dataclass(frozen=True)
class NameMap:
    """One implementation's names and what it declares of itself."""

    target: str
    name: str
    distribution: str
    group: Mapping[str, str]
    state: Mapping[str, str]
    capabilities: Capabilities


def read_name_map(text: str, origin: str) -> NameMap:
    """Parse a name map.

    Raises:
        ValueError: a key is missing, or names something the law does not have.
    """
    table = tomllib.loads(text)
    try:
        arithmetic = {key: FORMATS.get(value, value) for key, value in table["arithmetic"].items()}
        capabilities = Capabilities(
            arithmetic=Arithmetic(**arithmetic),
            dtypes=tuple(table["dtypes"]),
            options=frozenset(table["options"]),
            serves=frozenset(table["serves"]),
            knows_bits=table["rounding_bits"] == "philox",
        )
        found = NameMap(
            table["target"],
            table["name"],
            table["distribution"],
            table["group"],
            table["state"],
            capabilities,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{origin}: not a name map: {error!r}") from error
    for section, names in (("group", GROUP_NAMES), ("state", STATE_NAMES)):
        if missing := [name for name in names if name not in table[section]]:
            raise ValueError(f"{origin}: [{section}] has to say where {', '.join(missing)} is kept")
    return found


def shipped_maps() -> dict[str, NameMap]:
    """The maps that come with the kit, by ``module:Class``."""
    folder = resources.files("ppsf_conformance") / "adapters"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    maps = [read_name_map(file.read_text("utf-8"), file.name) for file in files]
    return {found.target: found for found in maps}


def import_class(target: str) -> type[Any]:
    """Import ``module:Class``.

    Raises:
        ValueError: the target is malformed, or there is no such class.
    """
    module, colon, name = target.partition(":")
    if not (module and colon and name):
        raise ValueError(f"{target!r} does not name a class; write it as module:Class")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot import {target!r}: {error}") from error
    if not isinstance(found, type):
        raise ValueError(f"{target!r} is not a class")
    return found


def _importable(target: str) -> bool:
    try:
        import_class(target)
    except ValueError:
        return False
    return True


def map_for(cls: type[Any], file: Path | None = None) -> NameMap:
    """The map of a class: from ``file``, or the shipped one of the class or of its nearest parent.

    Raises:
        ValueError: there is none.
    """
    if file is not None:
        return read_name_map(file.read_text("utf-8"), str(file))
    maps = shipped_maps()
    by_class = {import_class(target): found for target, found in maps.items() if _importable(target)}
    for parent in cls.__mro__:
        if parent in by_class:
            return by_class[parent]
    known = ", ".join(sorted(maps))
    raise ValueError(
        f"no name map for {cls.__module__}:{cls.__qualname__} or its parents (there are: {known}); pass --map"
    )
