"""What several commands share: exit codes, arguments, progress bars, and the end of a report."""

from __future__ import annotations

import argparse
import tempfile
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
from ppsf_conformance.report.view import PROBLEMS

#: Exit codes: every clause holds; some do not, or were not reached; the request makes no sense; stopped by the user.
HOLDS, FAILS, MISUSED, STOPPED = 0, 1, 2, 130


def add_targets(command: argparse.ArgumentParser, name: str, **how_many: Any) -> None:
    """Declare the classes that a command takes, and the name map for them."""
    what = (
        "a torch optimizer class on the Python path, or module:Class@distribution==version for a release that "
        "`peers` lists"
    )
    command.add_argument(name, metavar="module:Class", help=what, **how_many)
    add_map(command)


def add_map(command: argparse.ArgumentParser) -> None:
    """Declare the name map."""
    command.add_argument("--map", type=Path, help="name map of the class (TOML); its parent's is used otherwise")


def add_report(command: argparse.ArgumentParser) -> None:
    """Declare how hard to look, and where the report goes."""
    command.add_argument("--profile", choices=run.PROFILES, default="standard", help="how hard to look")
    command.add_argument("--out", type=Path, default=Path("report"), help="folder of the report")
    command.add_argument(
        "--format",
        type=_formats,
        default=tuple(run.FORMATS),
        metavar="NAME,...",
        help=f"what is written there, of {', '.join(run.FORMATS)} (default: all)",
    )


def made_folder(folder: Path) -> None:
    """Make the folder of a report.

    Raises:
        ValueError: it cannot be written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"cannot write into {folder} ({error.strerror}): name a folder that can be written, or made, with --out"
        ) from error


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in run.FORMATS]:
        raise argparse.ArgumentTypeError(f"there is {', '.join(run.FORMATS)}, not {', '.join(unknown)}")
    return names


def add_json(command: argparse.ArgumentParser) -> None:
    """Declare the form for programs."""
    command.add_argument("--json", action="store_true", help="write JSON, and nothing else, to the standard output")


def add_seed(command: argparse.ArgumentParser) -> None:
    """Declare the seed."""
    command.add_argument("--seed", type=int, default=0, help="seed of the problems (default: %(default)s)")


def print_plain(console: Console, text: str, **style: Any) -> None:
    """Print a line as it is: no markup, no wrapping."""
    console.print(text, highlight=False, markup=False, soft_wrap=True, **style)


def finish(report: Report, given: argparse.Namespace, console: Console, published: Sequence[Matrix] = ()) -> int:
    """Write a report, beside stored verdicts if there are any to show, and show it; returns the exit code."""
    paths = run.write(report, given.out, given.format, published)
    if given.json:
        console.file.write(report.to_json())
    elif given.quiet:
        for implementation in report.implementations:
            console.print(terminal.summary_line(implementation, console), soft_wrap=True)
    else:
        terminal.print_report(report, console, run.entries())
        _print_paths(paths, given, console)
        if run.unreached(report) and given.profile != "nightly" and not report.run.interrupted:
            console.print("Some clauses were not reached: look harder with a larger --profile", highlight=False)
    if report.run.interrupted:
        Console(stderr=True).print("Stopped before the end: the report holds what was found until then.")
        return STOPPED
    return HOLDS if run.passed(report) else FAILS


def _print_paths(paths: Any, given: argparse.Namespace, console: Console) -> None:
    problems = [path for path in paths if PROBLEMS in path.relative_to(given.out).parts]
    for path in (path for path in paths if path not in problems):
        print_plain(console, f"  {path}")
    if problems:
        print_plain(console, "Run exactly one of the smallest failing inputs again, or see it as a script:")
    mapped = f" --map {given.map}" if getattr(given, "map", None) else ""
    for path in problems:
        print_plain(console, f"  ppsf-conformance replay {path}{mapped}")


@contextmanager
def bars(console: Console, quiet: bool = False) -> Iterator[Callable[[str], Callable[[str, int, int], None]]]:
    """A progress bar for each phase of each implementation; none if it is to be quiet, or where nobody watches."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with ExitStack() as shown:
        progress = Progress(*columns, console=console, disable=quiet or not console.is_terminal)

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


def silent(given: argparse.Namespace) -> bool:
    """Whether nothing but the result may be printed."""
    return bool(given.quiet or getattr(given, "json", False))
