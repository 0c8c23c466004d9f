"""All that tables know of the tensors of an optimizer, recorded in one step and compared in the next.

That is, of parameters, their gradients and whatever the state holds: where a tensor lies, its dtype, device, shape and
strides; which parameters there are and which have a gradient; and whose state it is, under which name. What is the same
in all of this can be read and written by the same launches, whatever objects of Python stand for it. Nothing of a
trainer's is kept alive.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Mapping
from itertools import chain
from operator import attrgetter
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from ppsf_fast.backends.triton.geometry import ALIGNED
from ppsf_fast.state import State

SOURCE = Path(__file__).with_name("sight.c")
Params = list[list[Tensor]]
#: What was recorded, whatever that is, and the addresses of gradients.
Seen = tuple[Any, bytearray]


class Sight(Protocol):
    """One pass over all tensors; the parameters are given group by group, and whether gradients count in each."""

    def record(self, params: Params, counts: list[bool], states: Mapping[Tensor, State]) -> Seen | None:
        """What there is, and the addresses of the gradients in the order of a plan, int64.

        None if something in the state is no tensor, or a tensor has no memory, or it is lazily negated: then memory
        holds the negative of its elements.
        """

    def compare(
        self, params: Params, counts: list[bool], states: Mapping[Tensor, State], facts: Any, ahead: bytes
    ) -> bytearray | None:
        """The addresses of the gradients, if nothing differs but these, and those not in what they are divisible by.

        Whether they are negated is asked of gradients in every step, and need not be of what else there is.

        Args:
            params, counts, states: as they are now.
            facts: what was recorded.
            ahead: what :func:`whereabouts` gave.
        """


class Plain:
    """In Python: slower, and what the other one means."""

    def record(self, params: Params, counts: list[bool], states: Mapping[Tensor, State]) -> Seen | None:
        """As :class:`Sight` says."""
        facts: list[object] = [*map(len, params)]
        gradients = array("q")
        try:
            for param, grad in _pairs(params, counts):
                facts += [id(param), *_described(param), grad is None]
                if grad is not None:
                    address, *others = _described(grad)
                    facts += [address % ALIGNED, *others]
                    gradients.append(address)
            for param, state in states.items():
                facts += [id(param), len(state)]
                facts += chain.from_iterable((name, *_described(value)) for name, value in state.items())
        except (AttributeError, RuntimeError, _Negated):
            return None
        return facts, bytearray(gradients)

    def compare(
        self, params: Params, counts: list[bool], states: Mapping[Tensor, State], facts: Any, ahead: bytes
    ) -> bytearray | None:
        """As :class:`Sight` says."""
        found = self.record(params, counts, states)
        return found[1] if found is not None and found[0] == facts else None


def _pairs(params: Params, counts: list[bool]) -> list[tuple[Tensor, Tensor | None]]:
    """The parameters, each with its gradient if that counts."""
    pairs = zip(params, counts, strict=True)
    return [(param, param.grad if counted else None) for group, counted in pairs for param in group]


class _Negated(Exception):
    """Memory holds the negative of a tensor."""


def _described(tensor: Tensor) -> tuple[Any, ...]:
    if tensor.is_neg():
        raise _Negated
    return tensor.data_ptr(), tensor.dtype, tensor.device, tensor.shape, tensor.stride()


@functools.cache
def sight() -> Sight:
    """The one in C, compiled once per machine by what compiles the launchers of kernels; else the one in Python.

    Versions of torch before 2.10 do not tell C what it asks.
    """
    if not hasattr(Tensor, "__dlpack_c_exchange_api__"):
        return Plain()
    try:
        from triton.runtime.build import compile_module_from_src

        text = f"/* torch {torch.__version__} */\n{SOURCE.read_text('utf-8')}"  # compiled anew for each version
        headers = Path(torch.__file__).parent / "include"
        return cast(Sight, compile_module_from_src(text, "ppsf_sight", include_dirs=[str(headers)]))
    except (ImportError, OSError, RuntimeError, SubprocessError, TypeError):
        return Plain()


def whereabouts(params: Params, counts: list[bool], states: Mapping[Tensor, State]) -> bytes:
    """Where torch keeps what it knows of each tensor, in the order of a pass: a processor can fetch that in advance.

    A pass is bound by memory that no cache holds after a step of training. Nothing depends on these addresses but time:
    they are never read, and need not be right.
    """
    storage: Any = getattr(torch._C, "_storage_address", None)
    if storage is None:
        return b""
    live = [each for pair in _pairs(params, counts) for each in pair if each is not None]
    tensors = [*live, *chain.from_iterable(map(dict.values, states.values()))]
    places = zip(map(id, tensors), map(attrgetter("_cdata"), tensors), map(storage, tensors), strict=True)
    return array("q", chain.from_iterable(places)).tobytes()
