"""The judge beside a training that PyTorch spreads over processes: each step is held against the law, from the state
that it began with, so that nothing adds up from step to step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist

from ppsf_conformance import lockstep, run
from ppsf_conformance.adapter import Snapshot
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.sharded import Piece, ShardedSession, SpreadSession
from ppsf_conformance.torch_adapter import TorchImplementation


class Judge:
    """Steps an optimizer, and raises AssertionError after a step that the law does not allow.

    Every process makes one, and takes each step with it.

    Args:
        optimizer: the one that has the state of this process.
        pieces: of every parameter of the whole model what this process has, in the order of the model; None: its
            parameters show it themselves.
        revision, options: as the optimizer was made.
    """

    def __init__(
        self, optimizer: Any, pieces: Sequence[Piece] | None = None, revision: str = "1.9", **options: Any
    ) -> None:
        law: TorchImplementation = run.implementation_for(run.OWN[revision], revision=revision)
        self._optimizer, self._capabilities = optimizer, law.capabilities
        self._session: ShardedSession | SpreadSession = (
            ShardedSession(optimizer, law.names)
            if pieces is None
            else SpreadSession(optimizer, law.names, {(0, index): piece for index, piece in enumerate(pieces)})
        )
        self._problem = _problem(self._session.snapshot(), options, revision)
        self.steps = 0
        #: The clauses that were evaluated in this process.
        self.clauses: set[str] = set()

    def step(self, step: Callable[[], Any] | None = None) -> None:
        """Take a step; `step` takes it, if that is not the optimizer's own."""
        before, gradients = self._session.snapshot(), self._session.gradients()
        rates = tuple(group["lr"] for group in self._optimizer.param_groups)
        (step or self._optimizer.step)()
        after = self._session.snapshot()
        if self.steps % dist.get_world_size() == dist.get_rank():  # all see the same, so each judges some
            seen = lockstep.Transition(self._problem, "step", self.steps, rates, before, gradients, after)
            verdict = lockstep.judge(seen, self._capabilities)
            self.clauses |= set(verdict.clauses)
            assert verdict.ok, f"step {self.steps}: {verdict.witness.detail}"
        self.steps += 1


def _problem(start: Snapshot, options: dict[str, Any], revision: str) -> Problem:
    """What the judge has to know of an optimizer: its options, and shapes and dtypes of its parameters."""
    groups = [
        GroupSpec(tuple(ParamSpec(param.y.shape, form["y"]) for param, form in zip(group.params, forms, strict=True)))
        for group, forms in zip(start.state.groups, start.formats, strict=True)
    ]
    return Problem(options, tuple(groups), revision=revision)


def runs_of(params: Sequence[torch.nn.Parameter], shapes: Sequence[Sequence[int]]) -> list[Piece]:
    """Parameters that are runs of larger ones, which the processes have in the order of their ranks."""
    told: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(told, [param.numel() for param in params])
    before = told[: dist.get_rank()]
    return [
        Piece(tuple(shape), param, sum(sizes[index] for sizes in before))
        for index, (param, shape) in enumerate(zip(params, shapes, strict=True))
    ]


def dealt(params: Sequence[torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> list[Piece]:
    """Whole parameters, of which the optimizer of this process steps some."""
    own = set(chain.from_iterable(group["params"] for group in optimizer.param_groups))
    return [Piece(tuple(param.shape), param if param in own else None, 0) for param in params]
