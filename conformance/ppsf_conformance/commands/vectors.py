"""``vectors``: write the test vectors, hold them against the reference, or list them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import jsonschema
from rich.console import Console
from rich.table import Table

from ppsf_conformance.commands.common import FAILS, HOLDS
from ppsf_conformance.vectors import files

#: In a checkout.
FOLDER = Path("conformance/vectors/v1")


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("vectors", help="test vectors for implementations in any language")
    command.add_argument(
        "what", choices=("generate", "check", "list"), help="write them, hold them against the reference, or list them"
    )
    command.add_argument("--folder", type=Path, default=FOLDER, help="where they are (default: %(default)s)")
    command.add_argument(
        "--anew", action="store_true", help="generate: also change cases that are there, before a release"
    )


def run(given: argparse.Namespace, console: Console) -> int:
    """Carry out one of the three."""
    return {"generate": _generate, "check": _check, "list": _list}[given.what](given, console)


def _generate(given: argparse.Namespace, console: Console) -> int:
    made = files.generated()
    files.write(given.folder, made, given.anew)
    console.print(f"{_cases(made)} cases in {len(made)} files under {given.folder}", highlight=False, soft_wrap=True)
    return HOLDS


def _cases(made: files.Files) -> int:
    return int(json.loads(made[files.INDEX])["cases"])


def _check(given: argparse.Namespace, console: Console) -> int:
    made = files.generated()
    found = files.differences(given.folder, made) + invalid(made)
    for line in found:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if found:
        console.print("ppsf-conformance vectors generate writes them afresh", highlight=False)
        return FAILS
    console.print(f"{_cases(made)} cases: each is what the reference gives, byte for byte", highlight=False)
    return HOLDS


def invalid(made: files.Files) -> list[str]:
    """What does not follow its schema, a line each."""
    found = []
    for path, content in made.items():
        schema = {"clauses": "clause", "steps": "step"}.get(path.split("/")[0])
        if schema:
            validator = jsonschema.Draft202012Validator(json.loads(made[f"schema/{schema}.schema.json"]))
            found += [
                f"{path}: {error.json_path}: {error.message}" for error in validator.iter_errors(json.loads(content))
            ]
    return found


def _list(given: argparse.Namespace, console: Console) -> int:
    index = json.loads((given.folder / files.INDEX).read_text("utf-8"))
    table = Table("file", "cases", "flags")
    for path, count in index["files"].items():
        content = json.loads((given.folder / path).read_text("utf-8"))
        table.add_row(path, str(count), " ".join(content["flags"]))
    console.print(table)
    for clause, reason in index["without"].items():
        console.print(f"{clause} has none: {reason}", highlight=False, soft_wrap=True)
    console.print(f"{index['cases']} cases", highlight=False)
    return HOLDS
