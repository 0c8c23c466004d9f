"""Several processes that share one estimate: each is played by a thread, and their sums meet here."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import torch

from ppsf_conformance import lockstep, problems
from ppsf_conformance.adapter import Array, Implementation, Session, Snapshot
from ppsf_conformance.checks.finding import Check, Finding, revision_of
from ppsf_conformance.lockstep import Transition
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_ref import Running, step, tracing
from ppsf_ref.clauses.distance import Share

Rows = list[list[Array | None]]
#: Steps, and the one in which the last process has no gradient.
STEPS, ALONE = 5, 2
#: How long a process waits for the others before it counts as hanging, in seconds.
PATIENCE = 20.0


@contextlib.contextmanager
def as_processes(count: int) -> Iterator[Callable[[Sequence[Callable[[], object]]], None]]:
    """Inside the block calls run as processes of one group; what ``torch.distributed.all_reduce`` sums is theirs."""
    meeting, brought = threading.Barrier(count, timeout=PATIENCE), dict[int, torch.Tensor]()

    def all_reduce(tensor: torch.Tensor, *_: object, **__: object) -> None:
        brought[threading.get_ident()] = tensor.clone()
        meeting.wait()
        total = torch.stack([brought[key] for key in sorted(brought)]).sum(0)
        meeting.wait()
        brought.clear()
        meeting.wait()
        tensor.copy_(total)

    def run(calls: Sequence[Callable[[], object]]) -> None:
        failed: list[BaseException] = []

        def one(call: Callable[[], object]) -> None:
            try:
                call()
            except BaseException as error:  # told to the caller; the others must not wait for ever
                failed.append(error)
                meeting.abort()

        threads = [threading.Thread(target=one, args=(call,)) for call in calls]
        with contextlib.redirect_stdout(io.StringIO()):  # sessions redirect too, and threads do not undo that in order
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        meeting.reset()
        if failed:
            raise failed[0]

    faked: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "get_world_size": lambda *_: count,
        "all_reduce": all_reduce,
    }
    with mock.patch.multiple(torch.distributed, **faked):
        yield run


def _shared(implementation: Implementation) -> Iterator[Finding]:
    if "fsdp_in_use" not in implementation.capabilities.options:
        return
    name = revision_of(implementation).name
    shapes = (((5,), (3, 4)), ((7,),))
    each = [
        Problem(
            {"fsdp_in_use": True, "d0": 1e-3}, (GroupSpec(tuple(map(ParamSpec, row))),), "growth", seed=i, revision=name
        )
        for i, row in enumerate(shapes)
    ]
    sessions = [implementation.new(problems.constructor_groups(problem), problem.options) for problem in each]
    with as_processes(len(each)) as run:
        for t in range(STEPS):
            before = [session.snapshot() for session in sessions]
            rows = [_gradients(problem, t, old) for problem, old in zip(each, before, strict=True)]
            run([_stepping(session, own) for session, own in zip(sessions, rows, strict=True)])
            after = [session.snapshot() for session in sessions]
            yield from _as_told(
                implementation,
                [
                    Transition(problem, "step", t, lockstep.given_rates(problem), old, own, new)
                    for problem, old, own, new in zip(each, before, rows, after, strict=True)
                ],
            )
            found = {session.groups[0].d for session in (snapshot.state for snapshot in after)}
            yield Finding(len(found) == 1, f"after step {t} the processes hold different estimates: {found}")


def _stepping(session: Session, rows: Rows) -> Callable[[], None]:
    return lambda: session.step(rows)


def _gradients(problem: Problem, t: int, before: Snapshot) -> Rows:
    rows = [list(row) for row in problems.gradients(problem, t, before)]
    return [[None for _ in row] for row in rows] if t == ALONE and problem.seed else rows


def _as_told(implementation: Implementation, transitions: Sequence[Transition]) -> Iterator[Finding]:
    shares = [_share(implementation, transition) for transition in transitions]
    for i, transition in enumerate(transitions):
        others = [share for j, share in enumerate(shares) if j != i and share is not None]
        verdict = lockstep.judge(transition, implementation.capabilities, elsewhere=others)
        yield Finding(verdict.ok, "" if verdict.ok else f"process {i}, step {transition.t}: {verdict.witness.detail}")


def _share(implementation: Implementation, transition: Transition) -> Share | None:
    """What the parameters of a process say of the estimate; None where none takes part."""
    if all(gradient is None for row in transition.gradients for gradient in row):
        return None
    lift = Running(implementation.capabilities.arithmetic)
    config = lockstep.config_of(transition.problem, transition.rates)
    with tracing() as trace:
        step(config, lockstep.lifted(config, transition.before.state, lift), transition.gradients, lift)
    share: Share = trace.of("PPSF-D-032")[0]
    return share


PROCESS_CHECKS: Mapping[str, Check] = {"PPSF-D-032": _shared}
