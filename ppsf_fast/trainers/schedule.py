"""The learning-rate schedules that a configuration can name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

#: Share of the learning rate, by the share of the decay that is over.
SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda over: 1.0 - over,
    "cosine": lambda over: (1.0 + math.cos(math.pi * over)) / 2,
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """A linear warmup over `warmup_steps`, then `name` until the step `decay_steps`; None: it never ends."""

    name: str = "constant"
    warmup_steps: int = 0
    decay_steps: int | None = None

    def share(self, step: int) -> float:
        """What multiplies the learning rate in a 0-based step: in [0, 1]."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.decay_steps is None:
            return 1.0
        length = max(self.decay_steps - self.warmup_steps, 1)
        return SHAPES[self.name](min((step - self.warmup_steps) / length, 1.0))

    def attach(self, optimizer: Optimizer) -> LambdaLR:
        """A scheduler that follows it, to be stepped once after each step of the optimizer."""
        return LambdaLR(optimizer, self.share)
