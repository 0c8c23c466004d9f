"""The tests here run the kernels on the CPU: in Triton's interpreter, or as they are compiled, see `chosen`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fast.triton import chosen  # isort: skip  (before Triton)
from ppsf_fast.backends import CHOICE, Torch
from ppsf_fast.backends.triton import features, geometry


@pytest.fixture(autouse=True)
def _by_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are taken by Triton, and by nothing else unless a test says so."""
    monkeypatch.setenv(CHOICE, "triton")
    monkeypatch.setattr(Torch, "step", _refuse)
    # So that a test with a matrix of a few hundred elements has both kinds of tensors.
    monkeypatch.setattr(geometry, "SMALL", 256)


def _refuse(*_: object) -> None:
    raise AssertionError("the torch backend took a step that was meant for Triton")


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Lets a test choose the torch backend, and go back."""
    plain = _original_step

    def choose(torch: bool) -> None:
        monkeypatch.setenv(CHOICE, "torch" if torch else "triton")
        monkeypatch.setattr(Torch, "step", plain if torch else _refuse)

    return choose


_original_step = Torch.step


@pytest.fixture(params=["usual tiles", "small tiles"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tiles as they are, small tensors too; or so small that tensors of a few hundred elements have many, and nothing
    is small."""
    if request.param == "usual tiles":
        monkeypatch.setattr(geometry, "SMALL", 16384)
    else:
        chosen.go_together(monkeypatch)  # elements of so few are in several threads, see geometry.BLOCKS
        monkeypatch.setattr(geometry, "SMALL", 0)
        monkeypatch.setattr(geometry, "BLOCKS", ((4, 32, 1), (16, 8, 1), (2, 8, 4)))
        monkeypatch.setattr(geometry, "SUM_BLOCKS", ((4, 32, 1), (16, 8, 1), (2, 16, 4)))
        monkeypatch.setattr(geometry, "HEIGHTS", (8, 32, 4))
        monkeypatch.setattr(geometry, "SUM_HEIGHTS", (8, 32, 8))
        monkeypatch.setattr(geometry, "STRIPS", (2, 128))
        monkeypatch.setattr(geometry, "STRIP_HEIGHT", 8)
        monkeypatch.setattr(features, "THREADS", 16)  # so that one reads eight elements, as of usual tiles
        monkeypatch.setattr(geometry, "PIECE", 16)
        monkeypatch.setattr(geometry, "ENOUGH", 8)
    return str(request.param)
