"""Area O: how options are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ppsf_ref import numbers
from ppsf_ref.law import clause
from ppsf_ref.numbers import Number
from ppsf_ref.options import Options


@clause("PPSF-O-001", "ed25292b")
def resolved_beta3(beta3: Number | None, beta2: Number) -> Number:
    """beta3, or sqrt(beta2) of the same group."""
    return numbers.sqrt(beta2) if beta3 is None else beta3


@clause("PPSF-O-002", "f4e9a388")
def clips(use_stableadamw: bool, eps: float | None) -> bool:
    """Adam-atan2 (eps=None) switches the RMS clipping off."""
    return use_stableadamw and eps is not None


@clause("PPSF-O-004", "bc701ced")
def applies_grams(use_grams: bool, use_cautious: bool) -> bool:
    """Of the two only one applies."""
    return use_grams and not use_cautious


@clause("PPSF-O-005", "935b06a7")
def factors(factored: bool, use_focus: bool) -> bool:
    """FOCUS keeps an average of the weights, which does not factor."""
    return factored and not use_focus


@clause("PPSF-O-006", "45c20495")
def applies_muon(use_muon_pp: bool, use_focus: bool) -> bool:
    """FOCUS and Muon do not go together."""
    return use_muon_pp and not use_focus


@clause("PPSF-O-003", "5dad351e")
def group_options(defaults: Options, given: Mapping[str, Any]) -> Options:
    """Options of a group: the constructor's, replaced by the group's own; keys of other people are ignored."""
    return replace(defaults, **{name: given[name] for name in given if name in Options.__dataclass_fields__})


@clause("PPSF-O-011", "318efa59")
def correction(own: str, averages: bool) -> str:
    """Which bias correction applies: the revision's own with Schedule-Free, Adam's without it."""
    return own if averages else "adam"


@clause("PPSF-O-010", "772fc1a3")
def resolved_beta4(beta4: float | None, beta2: float) -> float:
    """beta4, or beta2 of the same group."""
    return beta2 if beta4 is None else beta4
