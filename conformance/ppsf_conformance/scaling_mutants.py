"""Wrong laws of what is not finite, and of scaled gradients."""

from __future__ import annotations

import math

from ppsf_conformance.mutant import Mutant

SCALING_MUTANTS = (
    Mutant("adapts by anything", clause="PPSF-D-033", kind="condition", rule=lambda numerator, denominator: True),
    Mutant(
        "only the denominator counts",
        clause="PPSF-D-033",
        kind="operand",
        rule=lambda numerator, denominator: math.isfinite(denominator),
    ),
    Mutant(
        "only NaN counts",
        clause="PPSF-D-033",
        kind="dropped",
        rule=lambda numerator, denominator: not math.isnan(numerator) and not math.isnan(denominator),
    ),
    Mutant("scaled as they are", clause="PPSF-L-012", kind="dropped", rule=lambda gradient, scale: gradient),
    Mutant(
        "scaled once more",
        clause="PPSF-L-012",
        kind="formula",
        rule=lambda gradient, scale: gradient if scale is None else gradient * scale,
    ),
    Mutant("nothing is left out", clause="PPSF-L-013", kind="condition", rule=lambda found_inf: False),
    Mutant("everything is left out", clause="PPSF-L-013", kind="condition", rule=lambda found_inf: True),
    Mutant("left out where it is 1", clause="PPSF-L-013", kind="constant", rule=lambda found_inf: found_inf == 1),
)
