"""``mutants``: count the wrong laws that the suite notices."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from ppsf_conformance import killing
from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import FAILS, HOLDS, add_seed
from ppsf_conformance.mutants import MUTANTS


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("mutants", help="count the wrong laws that the suite notices")
    command.add_argument("--examples", type=int, default=250, help="problems per revision (default: %(default)s)")
    add_seed(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Hold every mutant against recorded transitions of our own classes."""
    with console.status("recording a lawful implementation"):
        corpus = surveying.recorded(given.examples, given.seed)
    killed = 0
    for outcome in killing.kill(MUTANTS, corpus, surveying.own()):
        killed += outcome.killed
        mark = f"killed by {outcome.by}" if outcome.killed else "SURVIVED"
        console.print(f"{outcome.mutant.identifier}: {mark}", highlight=False, markup=False)
    console.print(f"{killed} of {len(MUTANTS)} mutants killed", highlight=False)
    return HOLDS if killed == len(MUTANTS) else FAILS
