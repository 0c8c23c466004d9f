"""``audit``: judge ppsf_fast and the published package, and train with both."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from rich.console import Console

from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import add_json, add_report, add_seed, bars, finish, made_folder, silent
from ppsf_conformance.matrix import matrices
from ppsf_conformance.stored import all_stored, published


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("audit", help="judge ppsf_fast and the published package, and train with both")
    add_report(command)
    add_json(command)
    add_seed(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Judge, train, and write the report."""
    made_folder(given.out)
    request = surveying.Request(surveying.AUDITED, profile=given.profile, seed=given.seed)
    with bars(console, silent(given)) as shown:
        report = surveying.judged(request, shown)
        if report.run.interrupted:
            return finish(report, given, console)
        epochs = shown("training on digits")
        done: list[Any] = []

        def progress(epoch: Any) -> None:
            done.append(epoch)
            epochs("epochs", len(done), len(surveying.AUDITED) * 3 * epoch.epochs)

        report = replace(report, training=surveying.trained(surveying.AUDITED, progress))
    return finish(report, given, console, matrices(all_stored(published())))
