"""The cases of each clause, a file per area of the specification."""

from __future__ import annotations

from ppsf_conformance.vectors.catalogue.averaging import AVERAGING
from ppsf_conformance.vectors.catalogue.distance import DISTANCE
from ppsf_conformance.vectors.catalogue.groups import GROUPS
from ppsf_conformance.vectors.catalogue.lifecycle import LIFECYCLE
from ppsf_conformance.vectors.catalogue.modifiers import MODIFIERS
from ppsf_conformance.vectors.catalogue.moment import MOMENT
from ppsf_conformance.vectors.catalogue.muon import MUON
from ppsf_conformance.vectors.catalogue.notation import NOTATION
from ppsf_conformance.vectors.catalogue.options import OPTIONS
from ppsf_conformance.vectors.catalogue.rounding import ROUNDING
from ppsf_conformance.vectors.catalogue.speed import SPEED
from ppsf_conformance.vectors.catalogue.stepsize import STEP_SIZE
from ppsf_conformance.vectors.catalogue.update import UPDATE
from ppsf_conformance.vectors.model import Spec

#: By clause.
CATALOGUE: dict[str, Spec] = {
    spec.clause: spec
    for specs in (
        NOTATION, OPTIONS, DISTANCE, MOMENT, UPDATE, STEP_SIZE, MODIFIERS, MUON, SPEED, AVERAGING, GROUPS, ROUNDING,
        LIFECYCLE,
    )
    for spec in specs
}  # fmt: skip
