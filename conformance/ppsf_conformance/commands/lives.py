"""``lives``: sequences of events, and metamorphic laws."""

from __future__ import annotations

import argparse
import warnings
from typing import Any

from rich.console import Console

from ppsf_conformance import events
from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import FAILS, HOLDS, add_seed, add_targets
from ppsf_conformance.laws import LAWS
from ppsf_conformance.published import Published


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("lives", help="try a class on sequences of events and on metamorphic laws")
    add_targets(command, "target")
    command.add_argument("--revision", default="", help="revision to judge by (default: that of the class)")
    command.add_argument("--profile", choices=events.PROFILES, default="standard", help="how many sequences")
    add_seed(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Draw sequences until one deviates, try every law, and show what was found."""
    implementation = surveying.implementation_for(given.target, given.map, given.revision)
    if implementation.names.framework != "torch":
        raise ValueError(f"{given.target!r} is no torch optimizer: it has not the events that are drawn")
    found = [*_deviations(implementation, given, console), *_broken(implementation)]
    for line in found:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not found:
        console.print("no sequence of events deviates, and every law holds")
    return FAILS if found else HOLDS


def _deviations(implementation: Published, given: argparse.Namespace, console: Console) -> list[str]:
    profile = events.PROFILES[given.profile]
    with console.status(f"{profile.examples} sequences of {profile.length} events"):
        deviation = events.search(implementation, profile, given.seed)
    return [] if deviation is None else [str(deviation)]


def _broken(implementation: Published) -> list[str]:
    lines = []
    for name, law in LAWS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            messages = [finding.message for finding in law.check(implementation) if not finding.ok]
        if messages:
            lines.append(f"law of {name} ({', '.join(law.clauses)}): {messages[0]}; {len(messages)} such findings")
    return lines
