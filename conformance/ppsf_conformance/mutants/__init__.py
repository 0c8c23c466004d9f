"""Wrong laws: one small fault each. The suite has to notice every one of them, or a test is missing.

A mutant replaces the reference function of its clause. An implementation that follows the law must then be found
outside the bounds, on some input that the regimes of :mod:`ppsf_conformance.problems` or the checks produce. There is a
module for each area of the specification, or two that belong together.
"""

from __future__ import annotations

from ppsf_conformance.mutant import Mutant
from ppsf_conformance.mutants.averaging import AVERAGING
from ppsf_conformance.mutants.distance import DISTANCE
from ppsf_conformance.mutants.errors import ERRORS
from ppsf_conformance.mutants.groups import GROUPS
from ppsf_conformance.mutants.lifecycle import LIFECYCLE
from ppsf_conformance.mutants.modifiers import MODIFIERS
from ppsf_conformance.mutants.moments import MOMENTS
from ppsf_conformance.mutants.rounding import ROUNDING
from ppsf_conformance.mutants.updates import UPDATES

#: Every mutant; each clause has at least one.
MUTANTS: tuple[Mutant, ...] = (
    *GROUPS, *DISTANCE, *MOMENTS, *UPDATES, *MODIFIERS, *AVERAGING, *ROUNDING, *LIFECYCLE, *ERRORS,
)  # fmt: skip
