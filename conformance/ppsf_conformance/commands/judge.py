"""``run``: judge one class, or several side by side."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from typing import Any

from rich.console import Console

from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import (
    add_json,
    add_report,
    add_seed,
    add_targets,
    bars,
    finish,
    made_folder,
    silent,
)
from ppsf_conformance.expecting import expected
from ppsf_conformance.patience import PATIENCE, set_patience


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("run", help="judge one class, or several side by side")
    add_targets(command, "targets", nargs="+")
    command.add_argument("--revision", default="", help="revision to judge by (default: that of the class)")
    command.add_argument(
        "--xfail", type=Path, metavar="FILE", help="errata whose deviations are expected (TOML: [[expected]])"
    )
    command.add_argument(
        "--patience",
        type=_seconds,
        default=PATIENCE,
        metavar="SECONDS",
        help="how long one call of the class may take; 0: as long as it likes (default: %(default)g)",
    )
    add_report(command)
    add_json(command)
    add_seed(command)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"has to be a number of seconds, 0 or more, not {text}")
    return seconds


def run(given: argparse.Namespace, console: Console) -> int:
    """Judge, and write the report."""
    errata = expected(given.xfail) if given.xfail else ()
    made_folder(given.out)  # now rather than after the work
    set_patience(given.patience)
    request = surveying.Request(tuple(given.targets), given.revision, given.profile, given.seed, given.map, errata)
    with bars(console, silent(given)) as shown:
        report = surveying.judged(request, shown)
    return finish(report, given, console)
