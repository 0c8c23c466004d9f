"""What several commands share: exit codes, arguments, progress bars, and the end of a report."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from ppsf_conformance import run
from ppsf_conformance.matrix import Matrix
from ppsf_conformance.report import Report, terminal

#: Exit codes: every clause holds; some do not, or were not reached; the request makes no sense.
HOLDS, FAILS, MISUSED = 0, 1, 2


def add_targets(command: argparse.ArgumentParser, name: str, **how_many: Any) -> None:
    """Declare the classes that a command takes, and the name map for them."""
    what = (
        "a torch optimizer class on the Python path, or module:Class@distribution==version for a release that "
        "`peers` lists"
    )
    command.add_argument(name, metavar="module:Class", help=what, **how_many)
    command.add_argument("--map", type=Path, help="name map of the class (TOML); its parent's is used otherwise")


def add_report(command: argparse.ArgumentParser) -> None:
    """Declare how hard to look, and where the report goes."""
    command.add_argument("--profile", choices=run.PROFILES, default="standard", help="how hard to look")
    command.add_argument("--out", type=Path, default=Path("report"), help="folder of the report")


def add_seed(command: argparse.ArgumentParser) -> None:
    """Declare the seed."""
    command.add_argument("--seed", type=int, default=0, help="seed of the problems (default: %(default)s)")


def finish(report: Report, given: argparse.Namespace, console: Console, published: Sequence[Matrix] = ()) -> int:
    """Write a report, beside stored verdicts if there are any to show, and print it; returns the exit code."""
    paths = run.write(report, given.out, published)
    terminal.print_report(report, console, run.entries())
    for path in paths:
        console.print(f"  {path}", highlight=False)
    if run.unreached(report) and given.profile != "nightly":
        console.print("Some clauses were not reached: look harder with a larger --profile", highlight=False)
    return HOLDS if run.passed(report) else FAILS


@contextmanager
def bars(console: Console) -> Iterator[Callable[[str], Callable[[str, int, int], None]]]:
    """A progress bar for each phase of each implementation."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with ExitStack() as shown:
        progress = Progress(*columns, console=console)

        def start(name: str) -> Callable[[str, int, int], None]:
            if not progress.live.is_started:  # nothing is drawn before there is something to show
                shown.enter_context(progress)
            tasks: dict[str, Any] = {}

            def advance(phase: str, done: int, total: int) -> None:
                if phase not in tasks:
                    tasks[phase] = progress.add_task(f"{name}: {phase}", total=total)
                progress.update(tasks[phase], completed=done)

            return advance

        yield start
