"""The command ``ppsf-conformance``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
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

from ppsf_conformance import following, killing, peers, run
from ppsf_conformance.mutants import MUTANTS
from ppsf_conformance.report import Report, terminal

#: Exit codes: every clause holds; some do not, or were not reached; the request makes no sense.
HOLDS, FAILS, MISUSED = 0, 1, 2


TARGET = (
    "a torch optimizer class on the Python path, or module:Class@distribution==version for a release that `peers` lists"
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="ppsf-conformance",
        description="Judge implementations of Prodigy + Schedule-Free, clause by clause.",
    )
    commands = root.add_subparsers(dest="command", required=True)
    judge = commands.add_parser("run", help="judge one class, or several side by side")
    judge.add_argument("targets", nargs="+", metavar="module:Class", help=TARGET)
    judge.add_argument("--map", type=Path, help="name map of the class (TOML); its parent's is used otherwise")
    judge.add_argument("--revision", default="", help="revision to judge by (default: that of the class)")
    audit = commands.add_parser("audit", help="judge ppsf_fast and the published package, and train with both")
    for command in (judge, audit):
        command.add_argument("--profile", choices=run.PROFILES, default="standard", help="how hard to look")
        command.add_argument("--out", type=Path, default=Path("report"), help="folder of the report")
    mutants = commands.add_parser("mutants", help="count the wrong laws that the suite notices")
    mutants.add_argument("--examples", type=int, default=250, help="problems per revision (default: %(default)s)")
    beside = commands.add_parser("peers", help="list the releases that can be judged side by side, or install them")
    beside.add_argument("--install", action="store_true", help="install those that are missing, each in its own folder")
    pursue = commands.add_parser("follow", help="compare a release with the reference, its errata switched on")
    pursue.add_argument("target", metavar="module:Class", help=TARGET)
    pursue.add_argument("--map", type=Path, help="name map of the class (TOML); its parent's is used otherwise")
    pursue.add_argument("--combinations", type=int, default=500, help="options tried (default: %(default)s)")
    pursue.add_argument("--out", type=Path, help="file for the result (JSON)")
    for command in (judge, audit, mutants, pursue):
        command.add_argument("--seed", type=int, default=0, help="seed of the problems (default: %(default)s)")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    given = parser().parse_args(arguments)
    sys.path.insert(0, str(Path.cwd()))
    try:
        return COMMANDS[given.command](given, Console())
    except (ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(
            f"ppsf-conformance: {error}", style="red", highlight=False, markup=False
        )
        return MISUSED


def _run(given: argparse.Namespace, console: Console) -> int:
    given.out.mkdir(parents=True, exist_ok=True)  # now rather than after the work
    request = run.Request(tuple(given.targets), given.revision, given.profile, given.seed, given.map)
    with _bars(console) as bars:
        report = run.judged(request, bars)
    return _finish(report, given, console)


def _audit(given: argparse.Namespace, console: Console) -> int:
    given.out.mkdir(parents=True, exist_ok=True)
    request = run.Request(run.AUDITED, profile=given.profile, seed=given.seed)
    with _bars(console) as bars:
        report = run.judged(request, bars)
        epochs = bars("training on digits")
        done: list[Any] = []

        def progress(epoch: Any) -> None:
            done.append(epoch)
            epochs("epochs", len(done), len(run.AUDITED) * 3 * epoch.epochs)

        report = replace(report, training=run.trained(run.AUDITED, progress))
    return _finish(report, given, console)


def _finish(report: Report, given: argparse.Namespace, console: Console) -> int:
    paths = run.write(report, given.out)
    terminal.print_report(report, console, run.entries())
    for path in paths:
        console.print(f"  {path}", highlight=False)
    if run.unreached(report) and given.profile != "nightly":
        console.print("Some clauses were not reached: look harder with a larger --profile", highlight=False)
    return HOLDS if run.passed(report) else FAILS


def _mutants(given: argparse.Namespace, console: Console) -> int:
    with console.status("recording a lawful implementation"):
        corpus = run.recorded(given.examples, given.seed)
    killed = 0
    for outcome in killing.kill(MUTANTS, corpus, run.own()):
        killed += outcome.killed
        mark = f"killed by {outcome.by}" if outcome.killed else "SURVIVED"
        console.print(f"{outcome.mutant.identifier}: {mark}", highlight=False, markup=False)
    console.print(f"{killed} of {len(MUTANTS)} mutants killed", highlight=False)
    return HOLDS if killed == len(MUTANTS) else FAILS


def _peers(given: argparse.Namespace, console: Console) -> int:
    for release in [release for release in peers.known() if given.install and not release.installed]:
        console.print(f"installing {release}", highlight=False, markup=False, soft_wrap=True)
        peers.install(release)
    for release, cls in peers.known().items():
        state = "installed" if release.installed else "missing"
        console.print(f"{state:9}  {cls}@{release}", highlight=False, markup=False, soft_wrap=True)
    return HOLDS


def _follow(given: argparse.Namespace, console: Console) -> int:
    with _bars(console) as bars:
        implementation = run.implementation_for(given.target, given.map)
        found = following.follow(implementation, given.combinations, given.seed, bars(implementation.target))
    for line in following.lines(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if given.out:
        following.write(found, given.out)
    return HOLDS if found.holds else FAILS


COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "run": _run,
    "audit": _audit,
    "mutants": _mutants,
    "peers": _peers,
    "follow": _follow,
}


@contextmanager
def _bars(console: Console) -> Iterator[Callable[[str], Callable[[str, int, int], None]]]:
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


if __name__ == "__main__":
    sys.exit(main())
