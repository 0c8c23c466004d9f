"""Where a field of the revision or a switch of a group decides which clause applies.

Each function here makes one choice. What it chooses from are clauses; what it asks are data, never a revision's name.

==============  =====================================================================================
``sizes``       how far a group steps, what the average takes of it, what the built-in decay counts
``moments``     what a parameter keeps, what its second moment sees, what is divided by
``movers``      what moves the weights: gradient, first moment, or Muon's matrix
``estimates``   what a parameter says of the estimate, and what a pool makes of it
``weights``     the update, its bound, and what step and decay make of the weights
==============  =====================================================================================
"""

from ppsf_ref.variants.estimates import estimate, numerator, statistic_weights, statistics
from ppsf_ref.variants.moments import (
    average_of_weights,
    created,
    decayed_gradient,
    divisor,
    factored_axes,
    filled,
    only_fills,
    second_moment,
    seen,
    uses_muon,
)
from ppsf_ref.variants.movers import Moved, Mover, by_moments, by_muon, mover, steered
from ppsf_ref.variants.sizes import StepSize, averaged, counted, step_size
from ppsf_ref.variants.weights import bound, clipped, decayed, decaying, direction, divided, next_y

__all__ = [
    "Moved",
    "Mover",
    "StepSize",
    "average_of_weights",
    "averaged",
    "bound",
    "by_moments",
    "by_muon",
    "clipped",
    "counted",
    "created",
    "decayed",
    "decayed_gradient",
    "decaying",
    "direction",
    "divided",
    "divisor",
    "estimate",
    "factored_axes",
    "filled",
    "mover",
    "next_y",
    "numerator",
    "only_fills",
    "second_moment",
    "seen",
    "statistic_weights",
    "statistics",
    "steered",
    "step_size",
    "uses_muon",
]
