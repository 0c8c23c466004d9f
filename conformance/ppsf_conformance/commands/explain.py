"""``explain``: what there is to know of a clause, an erratum or an option."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console

from ppsf_conformance.commands.common import HOLDS, add_json, print_plain
from ppsf_conformance.explaining import data_of, identified, page_of
from ppsf_conformance.explaining.page import Kind, lines
from ppsf_conformance.report import text

STYLES: dict[Kind, str] = {"title": "bold", "heading": "bold cyan", "code": "green"}


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("explain", help="show a clause (PPSF-D-003), an erratum (ERR-0031) or an option")
    command.add_argument("names", nargs="+", metavar="ID", help="PPSF-D-003 or d-003, ERR-0031 or err-31, use_adopt")
    add_json(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Show each of them."""
    names = [identified(name) for name in given.names]
    if given.json:
        found = [data_of(name) for name in names]
        console.file.write(json.dumps(found[0] if len(found) == 1 else found, indent=1, ensure_ascii=False) + "\n")
        return HOLDS
    for number, name in enumerate(names):
        if number:
            print_plain(console, "")
        for kind, line in lines(page_of(name), console.width):
            shown = text.ascii(line) if console.options.ascii_only else line
            print_plain(console, shown, style=STYLES.get(kind, ""))
    return HOLDS
