"""``compare``: two implementations in lockstep, from the same states."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import FAILS, HOLDS, add_json, add_seed, bars, print_plain, silent
from ppsf_conformance.comparing import Comparing, compare

WHO = {"first": "A follows the law", "second": "B follows the law", "neither": "neither follows the law"}


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("compare", help="two classes in lockstep: where they differ, and which is right")
    for name in ("first", "second"):
        command.add_argument(
            name, metavar=f"module:{'A' if name == 'first' else 'B'}", help="a class, as `run` takes it"
        )
        command.add_argument(
            f"--map-{'a' if name == 'first' else 'b'}", type=Path, help=f"name map of the {name} (TOML)"
        )
    command.add_argument("--revision", default="", help="revision that both follow (default: that of each)")
    command.add_argument("--problems", type=int, default=60, help="problems played (default: %(default)s)")
    command.add_argument("--out", type=Path, metavar="FILE.json", help="file for the result")
    add_json(command)
    add_seed(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Compare, and show what was found."""
    first = surveying.implementation_for(given.first, given.map_a, given.revision)
    second = surveying.implementation_for(given.second, given.map_b, given.revision)
    with bars(console, silent(given)) as shown:
        found = compare(first, second, given.problems, given.seed, shown(f"{first.name} and {second.name}"))
    text = json.dumps(found.as_data(), indent=1, ensure_ascii=False) + "\n"
    if given.out:
        given.out.write_text(text, "utf-8")
    if given.json:
        console.file.write(text)
    else:
        for line in [_result(found)] if given.quiet else lines(found):
            print_plain(console, line)
    return HOLDS if found.same else FAILS


def lines(found: Comparing) -> Iterator[str]:
    """What was found, in words."""
    yield f"A  {found.targets[0]}"
    yield f"B  {found.targets[1]}"
    yield f"revision {found.revision}, {found.problems} problems, {found.steps} steps, {found.together} from one state"
    for reason, times in found.kept.most_common():
        yield f"  not from one state in {times} steps: {reason}"
    if found.differences:
        yield from ("", "First differing outputs")
    for one in found.differences:
        yield f"  {one.event}, {one.output} of {one.where}: {WHO[one.follows]}"
        yield f"    A: {one.first}"
        yield f"    B: {one.second}"
    if found.clauses:
        yield from ("", "By clause (deviations of A, of B)")
    for row in found.clauses:
        who = "both leave the law" if row.follows == "neither" else WHO[row.follows]
        yield f"  {row.clause}  {row.title}: {who} ({row.first}, {row.second})"
        yield f"    {row.example}"
    yield from ("", _result(found))


def _result(found: Comparing) -> str:
    if found.same:
        return "No difference beyond rounding."
    first, second = ([row.clause for row in found.clauses if getattr(row, name)] for name in ("first", "second"))
    told = "; ".join(
        f"{name} leaves {', '.join(clauses)}" for name, clauses in (("A", first), ("B", second)) if clauses
    )
    return f"They differ: {told}."
