"""How releases read options: the constructor settles conflicts among its arguments alone, and groups inherit that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ppsf_conformance.overrides.rules import Table, instead
from ppsf_ref import Options
from ppsf_ref.law import Rule


def _inherits(normalised: Callable[[Options], Options]) -> Callable[[Rule], Rule]:
    """An override of PPSF-O-003 under which groups inherit what the constructor has made of its options."""

    def override(base: Rule) -> Rule:
        def rule(defaults: Options, given: Mapping[str, Any]) -> Options:
            read: Options = base(normalised(defaults), given)
            return read

        return rule

    return override


def _unclipped_angle(options: Options) -> Options:
    """Adam-atan2 in the constructor switches its clipping off."""
    return replace(options, use_stableadamw=False) if options.eps is None else options


def _beta3_found(options: Options) -> Options:
    """The constructor's beta3 follows from the constructor's betas."""
    return replace(options, beta3=options.betas[1] ** 0.5) if options.beta3 is None else options


def _factored_dropped(options: Options) -> Options:
    """FOCUS in the constructor switches factoring off."""
    return replace(options, factored=False) if options.use_focus else options


def _grams_dropped(options: Options) -> Options:
    """Of the constructor's cautious and grams only cautious is kept."""
    return replace(options, use_grams=False) if options.use_cautious else options


def _muon_dropped(options: Options) -> Options:
    """FOCUS in the constructor switches Muon off."""
    return replace(options, use_muon_pp=False) if options.use_focus else options


TABLE: Table = {
    "atan2_group_keeps_clipping": {
        "PPSF-O-002": instead(lambda use_stableadamw, eps: use_stableadamw),
        "PPSF-O-003": _inherits(_unclipped_angle),
    },
    "beta3_from_constructor_betas": {"PPSF-O-003": _inherits(_beta3_found)},
    "factored_dropped_by_constructor": {"PPSF-O-003": _inherits(_factored_dropped)},
    "grams_dropped_by_constructor": {"PPSF-O-003": _inherits(_grams_dropped)},
    "muon_dropped_by_constructor": {"PPSF-O-003": _inherits(_muon_dropped)},
}
