"""``verdicts``: reach the stored verdicts on our own and on published classes again, or write them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from ppsf_conformance import following, stored
from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import FAILS, HOLDS, bars
from ppsf_conformance.stored import Subject
from ppsf_conformance.verdicts import implementation_report


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser(
        "verdicts", help="reach the stored verdicts on our own and on published classes again, or write them"
    )
    command.add_argument(
        "targets",
        metavar="module:Class[@distribution==version]",
        nargs="*",
        help="which ones; of our own classes all revisions (default: all)",
    )
    command.add_argument("--write", action="store_true", help="store what is found, and follow each release as well")


def run(given: argparse.Namespace, console: Console) -> int:
    """Judge, and compare or write."""
    contradicted = False
    for subject in _chosen(given.targets):
        with bars(console) as shown:
            implementation = surveying.implementation_for(subject.target, revision=subject.revision)
            progress = shown(_name(subject))
            survey = surveying.survey_of(implementation, surveying.PROFILES[stored.PROFILE], stored.SEED, progress)
            judged = implementation_report(survey)
            followed = None
            if given.write and not subject.revision:  # what has no errata is the law in every step of the survey
                followed = following.follow(implementation, stored.COMBINATIONS, stored.SEED, progress)
        if given.write:
            stored.write(
                [stored.made(implementation, judged, followed)],
                lambda path: console.print(f"  {path}", highlight=False),
            )
            continue
        found = list(stored.differences(stored.read(subject), judged))
        contradicted |= bool(found)
        for line in [f"{_name(subject)}: {'differs' if found else 'as stored'}", *found]:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return FAILS if contradicted else HOLDS


def _chosen(targets: Sequence[str]) -> list[Subject]:
    """What is judged: all, or what targets name; a release that is not listed is one too."""
    known = [*stored.ours(), *stored.published()]
    if not targets:
        return known
    named = {target: [one for one in known if one.target == target] for target in targets}
    return [one for target, found in named.items() for one in found or [Subject(target)]]


def _name(subject: Subject) -> str:
    return f"{subject.target}, revision {subject.revision}" if subject.revision else subject.target
