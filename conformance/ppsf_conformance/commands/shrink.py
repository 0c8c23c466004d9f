"""``shrink``: make a problem as small as it can be while the class still deviates in the same output."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from ppsf_conformance import deviating, problem_files
from ppsf_conformance.commands.common import FAILS, HOLDS, add_targets, bars, print_plain
from ppsf_conformance.commands.replay import add_script, described, implementation_of, known_of, show
from ppsf_conformance.problem_files import Stored
from ppsf_conformance.shrinking import MOST_SECONDS, MOST_TRIED, smallest


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("shrink", help="find the smallest problem on which a class still deviates")
    add_targets(command, "target")
    command.add_argument(
        "problem", type=Path, metavar="PROBLEM.json", help="a problem, as reports and `replay` have it"
    )
    command.add_argument("--out", type=Path, metavar="FILE.json", help="write the smallest problem there")
    command.add_argument(
        "--seconds", type=float, default=MOST_SECONDS, help="time to spend at most (default: %(default)s)"
    )
    add_script(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Shrink the problem, print it as data, and say what deviates in it."""
    stored = problem_files.read(given.problem)
    if stored.problem is None:
        raise ValueError(f"{given.problem} names a check, which has inputs of its own and cannot be made smaller")
    implementation = implementation_of(given.target, given.map, stored)
    known = known_of(implementation)
    outputs = deviating.first_outputs(implementation, known, stored.problem)
    if not outputs:
        print_plain(console, f"{implementation.target} agrees with the law in all of {described(stored.problem)}")
        return HOLDS
    with bars(console, given.quiet) as shown:
        advance = shown("shrinking")
        found = smallest(
            stored.problem,
            lambda candidate: outputs[0] in deviating.first_outputs(implementation, known, candidate),
            lambda tried, _: advance("problems tried", tried, MOST_TRIED),
            given.seconds,
        )
    text = problem_files.text_of(Stored(found, target=given.target, clause=stored.clause, message=stored.message))
    console.file.write(text)
    if given.out:
        given.out.write_text(text, "utf-8")
    if outputs[0] != deviating.REFUSED:
        show(implementation, known, list(deviating.deviations(implementation, known, found)), console, given.script)
    return FAILS
