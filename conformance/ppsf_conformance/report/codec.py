"""Plain JSON values from frozen dataclasses, and back.

A trailing underscore of a field name is dropped in JSON (``class_`` is stored as ``class``). JSON has neither
infinities nor NaN, so these become the strings ``"inf"``, ``"-inf"`` and ``"nan"``; a field of type ``float``
reads them back.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: object) -> Any:
    """The JSON value of a dataclass, mapping, sequence, number, text or None.

    NumPy's scalars become Python numbers. Raises TypeError for anything else.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _encode_float(float(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {_json_name(f.name): encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    raise TypeError(
        f"a report cannot hold {value!r} of type {type(value).__name__}: "
        "allowed are None, bool, numbers, str, lists, tuples and mappings; convert it first"
    )


def decode(kind: type[T], data: Mapping[str, Any]) -> T:
    """The dataclass of type ``kind`` whose JSON value is ``data``, which the schema must have accepted."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: _decode_value(hint, data[_json_name(name)]) for name, hint in hints.items()})


def _decode_value(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if hint is float:
        return float(value)
    if isinstance(hint, types.UnionType):
        return _decode_value(next(arm for arm in hint.__args__ if arm is not types.NoneType), value)
    if typing.get_origin(hint) is tuple:
        return tuple(_decode_value(typing.get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value)
    if typing.get_origin(hint) is Mapping:
        return {key: _decode_value(typing.get_args(hint)[1], item) for key, item in value.items()}
    return value


def _encode_float(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)


def _json_name(field: str) -> str:
    return field.rstrip("_")
