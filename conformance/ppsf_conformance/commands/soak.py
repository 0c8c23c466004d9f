"""``soak``: how often the judge rejects what is right, over a number of steps."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ppsf_conformance import run as surveying
from ppsf_conformance import soak_state, soaking
from ppsf_conformance.commands.common import FAILS, HOLDS, add_seed
from ppsf_conformance.soak_state import State
from ppsf_conformance.soaking import Batch

#: Seconds between lines where there is no terminal.
EVERY = 30.0


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser(
        "soak", help="count false alarms over a million steps; Ctrl-C stops it, and it resumes"
    )
    command.add_argument("--steps", type=int, default=1_000_000, help="steps to reach (default: %(default)s)")
    command.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    command.add_argument("--minutes", type=float, default=float("inf"), help="stop after this time, to be resumed")
    command.add_argument("--state", type=Path, default=Path("build/soak/state.json"), help="what is kept between runs")
    command.add_argument("--out", type=Path, default=Path("build/soak/soak.json"), help="file for the result (JSON)")
    command.add_argument("--batch", type=int, help="play this batch alone, and keep nothing")
    add_seed(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Soak until the steps are reached, the time is over, or an alarm."""
    if given.batch is not None:
        return _alone(given, console)
    state, until = State.read(given.state, given.seed), time.monotonic() + 60 * given.minutes
    meter = Meter(state, given.steps)
    batches = soaking.batches(given.seed, state.waiting(), given.jobs)
    with suppress(KeyboardInterrupt), closing(batches), _shown(meter, console) as show:
        while state.steps < given.steps and time.monotonic() < until:
            batch = next(batches)
            state.take(batch)
            state.write(given.state)
            meter.take(batch)
            show()
            if batch.alarm is not None:
                break
    console.print(meter.line(), highlight=False, soft_wrap=True)
    return _finish(state, given, console)


def _alone(given: argparse.Namespace, console: Console) -> int:
    soaking.single_thread()
    batch = soaking.run_batch(given.seed, given.batch)
    found = batch.found
    console.print(f"batch {batch.number}: revision {batch.revision}, {found.problems} problems, {found.steps} steps")
    if batch.alarm is None:
        return HOLDS
    _print_alarm({"batch": batch.number, "revision": batch.revision, **vars(batch.alarm)}, console)
    return FAILS


def _finish(state: State, given: argparse.Namespace, console: Console) -> int:
    soak_state.write_json(given.out, soak_state.result(state, [made.capabilities for made in surveying.own()]))
    console.print(f"  {given.state}\n  {given.out}", highlight=False)
    for alarm in state.open_alarms:
        _print_alarm(alarm, console)
    return FAILS if state.open_alarms else HOLDS


def _print_alarm(alarm: dict[str, Any], console: Console) -> None:
    place = f"batch {alarm['batch']}, revision {alarm['revision']}, {alarm['kind']} {alarm['t']}"
    lines = (
        f"ALARM in {place}: {alarm['detail']}",
        f"undecided guards: {', '.join(alarm['open_guards']) or 'none'}",
        json.dumps(alarm["problem"]),
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


# ------------------------------------------------------------------------------------------------------------- progress


class Meter:
    """How far a soak is, and how fast it goes.

    Args:
        state: where it starts.
        goal: steps to reach.
    """

    def __init__(self, state: State, goal: int) -> None:
        total = state.total()
        self.goal, self.steps, self.done = goal, total.steps, 0
        self.elements, self.undecided = total.elements, total.undecided
        self.alarms = len(state.open_alarms)
        self.worst = max(total.worst.values(), default=0.0)
        self.started = time.monotonic()

    def take(self, batch: Batch) -> None:
        """Count a batch."""
        if batch.alarm is not None:
            self.alarms += 1
            return
        self.steps, self.done = self.steps + batch.found.steps, self.done + batch.found.steps
        self.elements, self.undecided = self.elements + batch.found.elements, self.undecided + batch.found.undecided
        self.worst = max(self.worst, *batch.found.worst.values(), 0.0)

    def facts(self) -> str:
        """Rate, alarms, undecided share, closest approach to a bound."""
        rate = self.done / max(time.monotonic() - self.started, 1e-9)
        share = self.undecided / max(self.elements, 1)
        return f"{rate:.0f} steps/s  alarms {self.alarms}  undecided {share:.2%}  worst ratio {self.worst:.3f}"

    def line(self) -> str:
        """All of it on a line."""
        rate = self.done / max(time.monotonic() - self.started, 1e-9)
        left = timedelta(seconds=round(max(self.goal - self.steps, 0) / rate)) if rate else "unknown"
        return f"{self.steps:,} of {self.goal:,} steps  {self.facts()}  left {left}"


@contextmanager
def _shown(meter: Meter, console: Console) -> Iterator[Callable[[], None]]:
    """Something to call after each batch: moves a bar on a terminal, else prints a line now and then."""
    if console.is_terminal:
        columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(meter.facts(), total=meter.goal, completed=meter.steps)
            yield lambda: progress.update(task, completed=meter.steps, description=meter.facts())
        return
    last = float("-inf")

    def line() -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY:
            console.print(meter.line(), highlight=False, soft_wrap=True)
            last = time.monotonic()

    yield line
