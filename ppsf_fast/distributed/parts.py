"""The piece of a sharded parameter that a process steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ppsf_fast import muon
from ppsf_fast.distributed.layout import Layout, local
from ppsf_fast.plan import Item
from ppsf_fast.rule import Rule
from ppsf_fast.state import factored_axes


@dataclass(slots=True)
class Part(Item):
    """A sharded parameter in a step.

    Attributes:
        layout: where the piece that is here lies in the whole.
        y: that piece of the weights; `grad` is that of the gradient.
        present: whether this process has a gradient; without, `grad` is 0.
    """

    layout: Layout
    y: Tensor
    present: bool

    def axes(self, rule: Rule) -> tuple[int, int] | None:
        """The axes over which the second moment is factored; None if it is not."""
        factors = rule.factored and not self.by_muon(rule)
        return factored_axes(self.layout.shape, rule.revision) if factors else None

    def by_muon(self, rule: Rule) -> bool:
        """Whether Muon moves it."""
        return muon.moves(self.layout.shape, rule.muon)

    def stored(self, name: str) -> Tensor:
        """The piece that is here of an array of the state."""
        return local(self.state[name])
