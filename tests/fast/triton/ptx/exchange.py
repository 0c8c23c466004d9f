"""What threads of a warp tell each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.fast.triton.ptx.code import WARP
from tests.fast.triton.ptx.operands import Action, Decoder

if TYPE_CHECKING:
    from tests.fast.triton.ptx.machine import Frame, Mask

_EVERYONE = 0xFFFFFFFF
_LAST = "31"


def shuffle(of: Decoder) -> Action:
    """A register of another thread: by the exclusive or of the numbers of both, or by its number."""
    target, source, by, last, everyone = of.operands
    how, kind = of.parts[2], of.parts[-1]
    if how not in ("bfly", "idx") or last != _LAST or "|" in target:
        raise NotImplementedError(of.instruction.text)
    write, read, distance = of.write(target, kind), of.spread(source, kind), of.spread(by, "u32")
    meet = _meeting(of, everyone)

    def act(frame: Frame, here: Mask) -> None:
        meet(frame, here)
        thread, number = np.arange(frame.threads), distance(frame).astype(np.int64)
        other = thread ^ number if how == "bfly" else thread // WARP * WARP + number % WARP
        write(frame, read(frame)[other], here)

    return act


def reduce(of: Decoder) -> Action:
    """A sum or an extreme over a warp."""
    target, source, everyone = of.operands
    how, kind = of.parts[2], of.parts[-1]
    functions: dict[str, Any] = {"add": np.add, "max": np.maximum, "min": np.minimum}
    if how not in functions:
        raise NotImplementedError(of.instruction.text)
    write, read, meet = of.write(target, kind), of.spread(source, kind), _meeting(of, everyone)

    def act(frame: Frame, here: Mask) -> None:
        meet(frame, here)
        values = read(frame).reshape(-1, WARP)
        write(frame, np.repeat(functions[how].reduce(values, axis=1, dtype=values.dtype), WARP), here)

    return act


def _meeting(of: Decoder, text: str) -> Action:
    """Makes sure that all threads of a warp are asked for, and come."""
    members = of.spread(text, "u32")

    def meet(frame: Frame, here: Mask) -> None:
        frame.meet(here)
        assert (members(frame)[here] == _EVERYONE).all(), of.instruction.text

    return meet
