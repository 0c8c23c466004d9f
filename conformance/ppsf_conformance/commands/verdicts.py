"""``verdicts``: reach the stored verdicts on published classes again, or write them."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from ppsf_conformance import following, peers, stored
from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import FAILS, HOLDS, bars
from ppsf_conformance.verdicts import implementation_report


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser(
        "verdicts", help="reach the stored verdicts on published classes again, or write them"
    )
    command.add_argument(
        "targets", metavar="module:Class@distribution==version", nargs="*", help="which ones (default: all)"
    )
    command.add_argument("--write", action="store_true", help="store what is found, and follow each class as well")


def run(given: argparse.Namespace, console: Console) -> int:
    """Judge, and compare or write."""
    contradicted = False
    for target in given.targets or peers.targets():
        with bars(console) as shown:
            implementation = surveying.implementation_for(target)
            progress = shown(target)
            survey = surveying.survey_of(implementation, surveying.PROFILES[stored.PROFILE], stored.SEED, progress)
            judged = implementation_report(survey)
            followed = None
            if given.write:
                followed = following.follow(implementation, stored.COMBINATIONS, stored.SEED, progress)
        if given.write:
            stored.write(
                [stored.made(implementation, judged, followed)],
                lambda path: console.print(f"  {path}", highlight=False),
            )
            continue
        found = list(stored.differences(stored.read(target), judged))
        contradicted |= bool(found)
        for line in [f"{target}: {'differs' if found else 'as stored'}", *found]:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return FAILS if contradicted else HOLDS
