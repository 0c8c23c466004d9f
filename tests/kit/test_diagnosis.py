"""The clause that is wrong is the one that is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppsf_conformance import lockstep
from ppsf_conformance.diagnosis import Deviation, causes
from ppsf_conformance.mutants import MUTANTS
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_ref import clause_functions
from ppsf_ref.law import Rule
from tests.kit.stub import CAPABILITIES, StubImplementation

GROUPS = (GroupSpec((ParamSpec((5,)),)), GroupSpec((ParamSpec((12,)),), {"weight_decay": 0.3}))
PROBLEM = Problem({"d0": 1e-3}, GROUPS, "growth", steps=4, switches=True)
#: One mutant each.
FAULTS = (
    "PPSF-D-003: no decay",
    "PPSF-G-004: lr off by 2**-20",
    "PPSF-V-001: 1 - beta2 missing",
    "PPSF-W-001: sign flipped",
    "PPSF-Z-002: new z",
    "PPSF-Z-004: z itself",
    "PPSF-L-002: not counted",
)


def diagnosed(rules: dict[str, Rule]) -> list[tuple[str, str]]:
    """Clause and manner of each cause that is found for a stub under these rules."""
    deviations, agreeing = [], dict.fromkeys(clause_functions(), 0)
    for transition in lockstep.play(StubImplementation(rules), PROBLEM):
        verdict = lockstep.judge(transition, CAPABILITIES)
        if not verdict.ok:
            deviations.append(Deviation(transition, verdict))
            break
        for clause in verdict.clauses:
            agreeing[clause] += 1
    assert deviations
    return [(cause.clause, cause.what) for cause in causes(deviations, CAPABILITIES, {}, agreeing)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_known_fault_is_recognised(fault: str) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.identifier == fault)
    assert diagnosed({mutant.clause: mutant.rule})[0] == (mutant.clause, mutant.what)


def test_an_unknown_fault_is_booked_to_the_clause_that_does_not_fit() -> None:
    law = clause_functions()["PPSF-Z-005"]
    found = diagnosed({"PPSF-Z-005": lambda x, z, beta1: law(x, z, 0.7 * beta1)})
    assert found == [("PPSF-Z-005", "")]


def test_a_rounding_is_not_named_where_what_is_stored_is_no_neighbour() -> None:
    """All that is stored is rounded: were a rounding free to give anything, it would explain everything."""
    transition = next(t for t in lockstep.play(StubImplementation({}), PROBLEM) if t.kind == "eval")
    groups = transition.after.state.groups
    (first,) = groups[0].params
    moved = replace(groups[0], params=(replace(first, y=1.1 * np.asarray(first.y)),))
    after = replace(transition.after, state=replace(transition.after.state, groups=(moved, *groups[1:])))
    wrong = replace(transition, after=after)
    deviation = Deviation(wrong, lockstep.judge(wrong, CAPABILITIES))
    agreeing = {"PPSF-Z-004": 100, "PPSF-R-002": 1}
    (cause,) = causes([deviation], CAPABILITIES, {}, agreeing)
    assert cause.clause == "PPSF-Z-004"


def test_without_deviations_there_is_no_cause() -> None:
    assert causes([], CAPABILITIES, {}, {}) == []


def test_of_clauses_nearly_as_suspicious_the_one_that_leaves_least_open_is_named() -> None:
    """z alone is wrong: the update, which would explain it, would make y anything as well."""
    law = clause_functions()["PPSF-Z-003"]
    stub = StubImplementation({"PPSF-Z-003": lambda z, u, dlr: law(z, u, dlr * (1 + 1e-6))})
    transition = next(iter(lockstep.play(stub, PROBLEM)))
    deviation = Deviation(transition, lockstep.judge(transition, CAPABILITIES))
    for more, named in ((11, "PPSF-Z-003"), (30, "PPSF-U-002")):
        agreeing = {**dict.fromkeys(clause_functions(), 10), "PPSF-Z-003": more, "PPSF-U-002": 9}
        assert [cause.clause for cause in causes([deviation], CAPABILITIES, {}, agreeing)] == [named]


def test_what_raises_the_same_is_one_cause() -> None:
    raising = [t for t in lockstep.play(StubImplementation(raises=0), PROBLEM) if t.raised]
    other = [t for t in lockstep.play(StubImplementation(raises=0), replace(PROBLEM, seed=1)) if t.raised]
    found = [Deviation(t, lockstep.judge(t, CAPABILITIES)) for t in (*raising, *other)]
    (cause,) = causes(found, CAPABILITIES, {}, dict.fromkeys(clause_functions(), 0))
    assert (cause.clause, len(cause.deviations)) == ("PPSF-L-001", 2)
