"""Processes that compute together: one function, called in each of a few processes that gloo connects.

Each call has processes of its own, so that nothing of one call reaches the next. They are forked from a server that has
torch loaded already; four of them start, meet and end in about two tenths of a second.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

#: How long a call may take, in seconds.
PATIENCE = 60.0
#: What the server loads before the first process is asked for; torch itself puts off loading the last one.
LOADED = (
    "numpy",
    "torch",
    "torch.distributed.tensor",
    "torch.distributed.fsdp",
    "torch.distributed.checkpoint",
    "torch.distributed.optim",
    "pytest",
    "torch._dynamo",
)
#: How long the death of a process may take to show after the others have felt it, in seconds.
_LINGERING = 0.5


class RankError(AssertionError):
    """What went wrong in the process that failed first.

    Attributes:
        rank: of that process; None if all of them still ran when the time was over.
    """

    def __init__(self, rank: int | None, text: str) -> None:
        super().__init__(text)
        self.rank = rank


@dataclass(frozen=True)
class _Member:
    rank: int
    process: ForkServerProcess
    line: Connection
    stack: Path


@cache
def _server() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    return context


def run(world: int, function: Callable[..., T], *args: object, patience: float = PATIENCE) -> list[T]:
    """Call a function in each process of a new gloo group.

    Args:
        world: number of processes.
        function: can be imported by its name; inside, ``torch.distributed`` is initialized, torch uses one thread and
            its generator is seeded with 0.
        args: given to each call; they are pickled, as are the results.
        patience: seconds until the processes count as hanging.

    Returns:
        what the calls returned, by rank.

    Raises:
        RankError: a call raised, a process died, or they did not come back in time; the others are ended.
    """
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder, _members(world, Path(folder)) as members:
        task = pickle.dumps((function, args))
        for member in members:
            with contextlib.suppress(BrokenPipeError):  # it is dead, which the loop below will see
                member.line.send_bytes(task)
        return _gathered(members, patience)


@contextlib.contextmanager
def _members(world: int, folder: Path) -> Iterator[list[_Member]]:
    members: list[_Member] = []
    try:
        for rank in range(world):
            here, there = _server().Pipe()
            stack = folder / f"stack-{rank}"
            process = _server().Process(
                target=_work, args=(rank, world, there, str(folder / "store"), str(stack)), daemon=True
            )
            process.start()
            there.close()
            members.append(_Member(rank, process, here, stack))
        yield members
    finally:
        for member in members:
            member.line.close()
            member.process.kill()
        for member in members:
            member.process.join()
            member.process.close()


def _gathered(members: Sequence[_Member], patience: float) -> list[Any]:
    """The results, by rank, as they come in."""
    end, found = time.monotonic() + patience, dict[int, Any]()
    while len(found) < len(members):
        missing = [member for member in members if member.rank not in found]
        ready = wait([member.line for member in missing], max(0.0, end - time.monotonic()))
        if not ready:
            raise RankError(None, _hanging(missing, patience))
        for member in missing:
            if member.line in ready:
                found[member.rank] = _received(member, members)
    return [found[member.rank] for member in members]


def _received(member: _Member, members: Sequence[_Member]) -> Any:
    """What the call of a process returned."""
    try:
        good, value = pickle.loads(member.line.recv_bytes())
    except EOFError:
        good, value = False, "it ended"
    if good:
        return value
    # A process that dies takes its connections along, so that another one may be the first to complain.
    dead = wait([other.process.sentinel for other in members], _LINGERING)
    for other in members:
        if other.process.sentinel in dead:
            raise RankError(other.rank, f"rank {other.rank} died: {_ending(other)}")
    raise RankError(member.rank, f"rank {member.rank} failed:\n{value}")


def _ending(member: _Member) -> str:
    """How a process ended, and where it stood if a signal of its own making ended it."""
    member.process.join()
    code = member.process.exitcode or 0
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    stood = member.stack.read_text() if member.stack.exists() else ""
    return f"{how}\n{stood}".rstrip()


def _hanging(members: Sequence[_Member], patience: float) -> str:
    """Where those stand that have not come back."""
    for member in members:
        if member.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.process.pid, signal.SIGUSR1)
    time.sleep(_LINGERING)
    shown = [
        f"rank {member.rank}:\n{member.stack.read_text() if member.stack.exists() else 'it has not begun'}"
        for member in members
    ]
    return f"{len(shown)} of the processes have not come back in {patience:g} s\n" + "\n".join(shown)


def _work(rank: int, world: int, line: Connection, store: str, stack: str) -> None:
    """One process: connect, call, tell."""
    import torch
    import torch.distributed as dist
    from torch._C._distributed_c10d import FileStore

    with Path(stack).open("w") as file:
        faulthandler.enable(file)
        faulthandler.register(signal.SIGUSR1, file)
        torch.set_num_threads(1)
        torch.manual_seed(0)
        try:
            function, args = pickle.loads(line.recv_bytes())
            dist.init_process_group(
                "gloo",
                store=FileStore(store, world),
                rank=rank,
                world_size=world,
                timeout=timedelta(seconds=600),  # the caller waits less, and says more
            )
            answer = pickle.dumps((True, function(*args)))
        except BaseException:
            # The group stays: the others hang rather than complain of this one, until the caller ends them.
            line.send_bytes(pickle.dumps((False, traceback.format_exc())))
            signal.pause()
        line.send_bytes(answer)
        # Nobody leaves while another may still need it: the caller ends all of them when it has all answers.
        signal.pause()
