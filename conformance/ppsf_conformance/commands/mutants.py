"""``mutants``: count the wrong laws that the suite notices."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.console import Console

from ppsf_conformance import killing
from ppsf_conformance import run as surveying
from ppsf_conformance.commands.common import FAILS, HOLDS, add_seed, bars
from ppsf_conformance.killing import Outcome
from ppsf_conformance.mutant import EQUIVALENT, KINDS, quick
from ppsf_conformance.mutants import MUTANTS


def add(commands: Any) -> None:
    """Declare the arguments."""
    command = commands.add_parser("mutants", help="count the wrong laws that the suite notices")
    command.add_argument("--examples", type=int, default=250, help="problems per revision (default: %(default)s)")
    command.add_argument("--quick", action="store_true", help="one mutant for each clause and kind")
    add_seed(command)


def run(given: argparse.Namespace, console: Console) -> int:
    """Hold every mutant against recorded transitions of our own classes."""
    chosen = quick(MUTANTS) if given.quick else MUTANTS
    with console.status("recording a lawful implementation"):
        corpus = surveying.recorded(given.examples, given.seed)
    outcomes = []
    with bars(console) as shown:
        advance = shown("mutants")
        for outcome in killing.kill(chosen, corpus, surveying.own()):
            outcomes.append(outcome)
            advance("killed", len(outcomes), len(chosen))
    for line in lines(outcomes):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return HOLDS if all(outcome.killed for outcome in outcomes) else FAILS


def lines(outcomes: list[Outcome]) -> Iterator[str]:
    """By clause how each mutant was noticed, by kind how many there are, and the count of the killed last."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.mutant.clause)
    for clause, group in groupby(ordered, key=lambda outcome: outcome.mutant.clause):
        yield clause
        for outcome in group:
            yield f"  {outcome.mutant.what} ({outcome.mutant.kind}): {_how(outcome)}"
    counts = Counter(outcome.mutant.kind for outcome in outcomes)
    yield "by kind"
    yield from (f"  {counts[kind]:4} {kind}: {meaning}" for kind, meaning in KINDS.items())
    yield "equivalent, and therefore not among them"
    yield from (f"  {clause}: {what}; {why}" for clause, what, why in EQUIVALENT)
    yield f"{sum(outcome.killed for outcome in outcomes)} of {len(outcomes)} mutants killed"


def _how(outcome: Outcome) -> str:
    if not outcome.killed:
        return f"SURVIVED {outcome.tried} transitions"
    if outcome.way == "check":
        return f"killed by the check of {outcome.mutant.clause} on {outcome.where}"
    return f"killed by lockstep in {outcome.where}" + (f", transition {outcome.tried}" if outcome.tried > 1 else "")
