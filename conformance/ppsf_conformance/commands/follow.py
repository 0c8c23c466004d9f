"""``follow``: compare a release with the reference, its errata switched on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from ppsf_conformance import following
from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import FAILS, HOLDS, add_seed, add_targets, bars


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("follow", help="compare a release with the reference, its errata switched on")
    add_targets(command, "target")
    command.add_argument("--combinations", type=int, default=500, help="options tried (default: %(default)s)")
    command.add_argument("--out", type=Path, help="file for the result (JSON)")
    add_seed(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Follow the release, and show what was found."""
    with bars(console, given.quiet) as shown:
        implementation = surveying.implementation_for(given.target, given.map)
        found = following.follow(implementation, given.combinations, given.seed, shown(implementation.target))
    for line in following.lines(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if given.out:
        following.write(found, given.out)
    return HOLDS if found.holds else FAILS
