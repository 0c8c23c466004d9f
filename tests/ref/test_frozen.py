"""Changed copies: what is changed is, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from ppsf_ref import ParamState
from ppsf_ref.frozen import replace


def test_a_changed_copy_is_what_dataclasses_make() -> None:
    p = ParamState(y=1.0, z=2.0)
    made = replace(p, z=3.0, v=4.0)
    assert made == dataclasses.replace(p, z=3.0, v=4.0)
    assert p == ParamState(y=1.0, z=2.0)
    assert type(made) is ParamState


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="ParamState has no w"):
        replace(ParamState(y=1.0), w=2.0)


def test_a_copy_is_as_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        replace(ParamState(y=1.0), z=2.0).z = 3.0  # type: ignore[misc]
