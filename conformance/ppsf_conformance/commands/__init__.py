"""The commands of ``ppsf-conformance``, one module each: ``add`` declares its arguments, ``run`` carries it out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console

from ppsf_conformance.commands import (
    audit,
    compare,
    explain,
    follow,
    judge,
    lives,
    mutants,
    peers,
    replay,
    shrink,
    soak,
    vectors,
    verdicts,
)


class Command(Protocol):
    """What each module here has."""

    def add(self, commands: Any) -> None:
        """Declare the arguments; ``commands`` is what :meth:`argparse.ArgumentParser.add_subparsers` returns."""
        ...

    def run(self, given: argparse.Namespace, console: Console) -> int:
        """Carry the command out; returns the exit code."""
        ...


#: By name, in the order in which help lists them.
COMMANDS: Mapping[str, Command] = {
    "run": judge,
    "compare": compare,
    "explain": explain,
    "replay": replay,
    "shrink": shrink,
    "audit": audit,
    "mutants": mutants,
    "peers": peers,
    "follow": follow,
    "soak": soak,
    "vectors": vectors,
    "lives": lives,
    "verdicts": verdicts,
}
