"""The command ``ppsf-conformance``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from ppsf_conformance.commands import COMMANDS
from ppsf_conformance.commands.common import MISUSED, STOPPED

EXIT_CODES = """exit codes:
  0    everything that was judged holds, or departs as an erratum says
  1    something does not hold, or was not reached
  2    the request makes no sense; the message says what to do
  130  stopped by the user; `run` and `audit` leave a report of what was found until then

docs/tool.md shows every command with what it prints.
"""


def version() -> str:
    """The version of the kit, where it is installed."""
    try:
        return metadata.version("ppsf")
    except metadata.PackageNotFoundError:
        return "from a checkout"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="ppsf-conformance",
        description="Judge implementations of Prodigy + Schedule-Free, clause by clause.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"%(prog)s {version()}")
    commands = root.add_subparsers(dest="command", required=True, metavar="command")
    for command in COMMANDS.values():
        command.add(commands)
    for own in commands.choices.values():
        own.epilog, own.formatter_class = EXIT_CODES, argparse.RawDescriptionHelpFormatter
        own.add_argument("--quiet", action="store_true", help="print the result only: no progress, no tables")
        own.add_argument("--no-color", action="store_true", help="no colours (the variable NO_COLOR does the same)")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    given = parser().parse_args(arguments)
    sys.path.insert(0, str(Path.cwd()))
    colors: dict[str, Any] = {"no_color": True} if given.no_color else {}
    try:
        return COMMANDS[given.command].run(given, Console(**colors))
    except (ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True, **colors).print(
            f"ppsf-conformance: {error}", style="red", highlight=False, markup=False
        )
        return MISUSED
    except KeyboardInterrupt:
        Console(stderr=True, **colors).print("ppsf-conformance: stopped", style="red")
        return STOPPED
