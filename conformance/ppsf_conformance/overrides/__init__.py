"""What releases do instead of the law: one override per erratum that is a formula, under the name the erratum gives.

With all overrides of a release in force the reference follows that release in lockstep; what still disagrees is an
erratum not yet found. An override turns the rule it finds into another one, so that two of them may touch one clause.
It replaces clauses, the one that it is about first, and the places of the step where no clause says what a release
does (:func:`ppsf_ref.law.place`).
"""

from __future__ import annotations

from collections.abc import Iterable

from ppsf_conformance.overrides import (
    adopt,
    counting,
    estimates,
    focus,
    moment,
    moments,
    muon,
    options,
    orthograd,
    precision,
    shared_lr,
    weights,
    zero_lr,
)
from ppsf_conformance.overrides.exclusions import EXCLUDED, excluded
from ppsf_conformance.overrides.rules import Override, Table
from ppsf_ref import clause_functions
from ppsf_ref.law import Rule, places

__all__ = ["EXCLUDED", "OVERRIDES", "Override", "combined", "excluded"]

#: Innermost first where two of them touch one clause or place.
SUBJECTS = (
    precision,
    moments,
    estimates,
    weights,
    focus,
    orthograd,
    adopt,
    muon,
    options,
    zero_lr,
    counting,
    moment,
    shared_lr,
)

#: By name, innermost first where two touch one clause.
OVERRIDES: Table = {name: override for subject in SUBJECTS for name, override in subject.TABLE.items()}


def combined(names: Iterable[str]) -> dict[str, Rule]:
    """The rules under several overrides together.

    Raises:
        KeyError: an override does not exist.
    """
    wanted = set(names)
    if unknown := wanted - set(OVERRIDES):
        raise KeyError(f"no override named {', '.join(sorted(unknown))}")
    law, rules = {**clause_functions(), **places()}, dict[str, Rule]()
    for name in (name for name in OVERRIDES if name in wanted):
        for clause, override in OVERRIDES[name].items():
            rules[clause] = override(rules.get(clause, law[clause]))
    return rules
