"""``replay``: run exactly one problem again, as a report or `shrink` left it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from ppsf_conformance import deviating, diagnosis, lockstep, scripts
from ppsf_conformance import run as surveying
from ppsf_conformance.checks import CHECKS
from ppsf_conformance.commands.common import FAILS, HOLDS, add_map, print_plain
from ppsf_conformance.diagnosis import Cause, Deviation
from ppsf_conformance.errata import KnownDeviations
from ppsf_conformance.problem_files import Stored, read
from ppsf_conformance.problems import Problem
from ppsf_conformance.published import Published, errata_for
from ppsf_conformance.survey import Survey
from ppsf_conformance.verdicts import clause_titles


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("replay", help="run exactly one problem of a report again")
    command.add_argument(
        "problem", type=Path, metavar="PROBLEM.json", help="a file from the folder problems/ of a report"
    )
    command.add_argument("--target", default="", metavar="module:Class", help="another class than the file names")
    add_map(command)
    add_script(command)


def add_script(command: argparse.ArgumentParser) -> None:
    """Declare where the script goes."""
    command.add_argument(
        "--script", type=Path, metavar="FILE.py", help="write a script that shows it with torch and the class alone"
    )


def run(given: argparse.Namespace, console: Console) -> int:
    """Run it, and say what deviates."""
    stored = read(given.problem)
    implementation = implementation_of(given.target or stored.target, given.map, stored)
    known = known_of(implementation)
    if stored.problem is None:
        return _check(implementation, known, stored, console)
    try:
        found = list(deviating.deviations(implementation, known, stored.problem))
    except lockstep.Refused as refusal:
        print_plain(console, f"{implementation.target}: {refusal}")
        return FAILS
    if not found:
        print_plain(console, f"{implementation.target} agrees with the law in all of {described(stored.problem)}")
        return HOLDS
    show(implementation, known, found, console, given.script)
    return FAILS


def implementation_of(target: str, name_map: Path | None, stored: Stored) -> Published:
    """The class that a problem is run on, judged by the problem's revision."""
    if not target:
        raise ValueError("the file names no class: give one with --target module:Class")
    return surveying.implementation_for(target, name_map, stored.problem.revision if stored.problem else "")


def known_of(implementation: Published) -> KnownDeviations:
    """The errata of a release."""
    return KnownDeviations(errata_for(implementation))


def _check(implementation: Published, known: KnownDeviations, stored: Stored, console: Console) -> int:
    survey = Survey(implementation, known)
    survey.check_clause(stored.check, CHECKS[stored.check])
    tally = survey.clauses[stored.check]
    print_plain(console, f"{stored.check} {clause_titles()[stored.check]}: {tally.checks} things looked at")
    for message in [*tally.failures, *([tally.broken] if tally.broken else [])]:
        print_plain(console, f"  {message}")
    return FAILS if tally.failures or tally.broken else HOLDS


def show(
    implementation: Published,
    known: KnownDeviations,
    found: list[Deviation],
    console: Console,
    script: Path | None,
) -> None:
    """Say which clause is broken and what deviates, and write the script if one is wanted."""
    causes = diagnosis.causes(found, implementation.capabilities, known.rules, {})
    for line in _lines(implementation, causes):
        print_plain(console, line)
    if script is not None:
        if not scripts.fits(implementation):
            raise ValueError(f"{implementation.target} is no torch optimizer: there is no script for it")
        cause = causes[0]
        title, detail = clause_titles()[cause.clause], cause.deviations[0].verdict.witness.detail
        text = scripts.told(implementation.target, cause.clause, title, detail)
        script.write_text(scripts.script_of(implementation, cause.deviations[0], text, known.rules), "utf-8")
        print_plain(console, f"written: {script}")


def _lines(implementation: Published, causes: list[Cause]) -> Iterator[str]:
    yield f"{implementation.target} leaves the law"
    for cause in causes:
        yield f"{cause.clause} {clause_titles()[cause.clause]}" + (f"; as if: {cause.what}" if cause.what else "")
        for deviation in cause.deviations:
            kind, number = deviation.transition.kind, deviation.transition.t + 1
            yield f"  step {number}" if kind == "step" else f"  {kind}() after step {number}"
            yield from (f"    {c.detail}" for c in deviation.verdict.comparisons if not c.ok)


def described(problem: Problem) -> str:
    """A problem in a few words."""
    shapes = ", ".join(f"{param.dtype} {list(param.shape)}" for group in problem.groups for param in group.params)
    options = ", ".join(f"{name}={value!r}" for name, value in problem.options.items()) or "default options"
    return f"{problem.steps} steps of {shapes} with {options} ({problem.regime}, seed {problem.seed})"
