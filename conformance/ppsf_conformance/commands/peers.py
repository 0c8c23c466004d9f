"""``peers``: list the releases that can be judged side by side, or install them."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from ppsf_conformance import peers
from ppsf_conformance.commands.common import HOLDS


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("peers", help="list the releases that can be judged side by side, or install them")
    command.add_argument(
        "--install", action="store_true", help="install those that are missing, each in its own folder"
    )


def run(given: argparse.Namespace, console: Console) -> int:
    """Install what is missing, if asked to, and list what there is."""
    for release in [release for release in peers.known() if given.install and not release.installed]:
        console.print(f"installing {release}", highlight=False, markup=False, soft_wrap=True)
        peers.install(release)
    for release, cls in peers.known().items():
        state = "installed" if release.installed else "missing"
        console.print(f"{state:9}  {cls}@{release}", highlight=False, markup=False, soft_wrap=True)
    return HOLDS
