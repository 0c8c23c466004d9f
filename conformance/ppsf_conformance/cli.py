"""The command ``ppsf-conformance``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ppsf_conformance.commands import COMMANDS
from ppsf_conformance.commands.common import MISUSED


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="ppsf-conformance",
        description="Judge implementations of Prodigy + Schedule-Free, clause by clause.",
    )
    commands = root.add_subparsers(dest="command", required=True)
    for command in COMMANDS.values():
        command.add(commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    given = parser().parse_args(arguments)
    sys.path.insert(0, str(Path.cwd()))
    try:
        return COMMANDS[given.command].run(given, Console())
    except (ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(
            f"ppsf-conformance: {error}", style="red", highlight=False, markup=False
        )
        return MISUSED


if __name__ == "__main__":
    sys.exit(main())
