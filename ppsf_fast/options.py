"""The options: what values each one takes, what it is if nobody gives it, and what excludes what."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppsf_fast.domains import Check, count, flag, not_negative, number, pair_of_betas, positive, refusal
from ppsf_fast.rectification import LEAST_BETA2
from ppsf_fast.revisions import REVISIONS, Revision

Group = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `check(name, value)` returns the value as it is kept, or raises; `default` is that of 1.9."""

    name: str
    check: Check
    default: Any
    per_group: bool = True


OPTIONS = (
    Option("lr", positive, 1.0),
    Option("betas", pair_of_betas, (0.9, 0.99)),
    Option("beta3", number("None or a number with 0 <= beta3 < 1", lambda value: 0 <= value < 1, none=True), None),
    Option("weight_decay", not_negative, 0.0),
    Option("weight_decay_by_lr", flag, True),
    Option("use_bias_correction", flag, False),
    Option("d0", positive, 1e-6),
    Option("d_coef", positive, 1.0),
    Option("prodigy_steps", count(), 0),
    Option("use_speed", flag, False),
    Option("eps", number("None or a finite number > 0", lambda value: value > 0, none=True), 1e-8),
    Option("split_groups", flag, True, per_group=False),
    Option("split_groups_mean", flag, True, per_group=False),
    Option("factored", flag, True),
    Option("factored_fp32", flag, True),
    Option("fused_back_pass", flag, False, per_group=False),
    Option("use_stableadamw", flag, True),
    Option("use_muon_pp", flag, False),
    Option("use_cautious", flag, False),
    Option("use_grams", flag, False),
    Option("use_adopt", flag, False),
    Option("use_orthograd", flag, False),
    Option("use_focus", flag, False),
    Option("stochastic_rounding", flag, True),
    Option("rounding_seed", count(), 0, per_group=False),
    Option("beta4", number("None or a number with -1 < beta4 < 1", lambda value: -1 < value < 1, none=True), 0.0),
    Option("amplify_gradients", flag, False),
    Option("use_schedulefree", flag, True),
    Option("schedulefree_c", not_negative, 0.0),
    Option("d_limiter", flag, False),
    Option("slice_p", count(1), 11),
    Option("warmup_steps", count(), 0),
    Option("bf16_state", flag, False),
    Option("decouple", flag, True),
    Option("safeguard_warmup", flag, False),
    Option("growth_rate", number("a number >= 1, or inf", lambda value: value >= 1, finite=False), math.inf),
    Option("fsdp_in_use", flag, False),
    Option("cosine_decay", flag, False),
    Option("peak_patience", count(), 50),
    Option("total_training_steps", count(1, none=True), None),
    Option("r", not_negative, 0.0),
    Option("weight_lr_power", not_negative, 2.0),
)
OPTION_NAMES = tuple(option.name for option in OPTIONS)
SHARED_NAMES = tuple(option.name for option in OPTIONS if not option.per_group)


def revision_of(name: object, offered: Collection[str]) -> Revision:
    """The revision of that name; raises NotImplementedError unless it is among those `offered`."""
    if not isinstance(name, str) or name not in offered:
        raise NotImplementedError(
            f"revision={name!r} is not served: allowed is one of {', '.join(map(repr, offered))}. "
            "Leave revision out to get the default."
        )
    return REVISIONS[name]


def defaults_of(revision: Revision) -> dict[str, Any]:
    """The value of every option where it is not given, also of those that the revision does not have."""
    return {option.name: revision.defaults.get(option.name, option.default) for option in OPTIONS}


def refuse_foreign(given: Mapping[str, Any], revision: Revision) -> None:
    """Raise TypeError for an option of other revisions among what is `given`; other keys are left alone."""
    # clause: PPSF-X-001 80b73f96
    for name in OPTION_NAMES:
        if name in given and name not in revision.options:
            having = ", ".join(other.name for other in REVISIONS.values() if name in other.options)
            raise TypeError(
                f"{name}={given[name]!r}: revision {revision.name} has no option {name}; it is one of revision "
                f"{having}. Leave {name} out, or choose another revision."
            )


def checked(values: Mapping[str, Any], revision: Revision) -> dict[str, Any]:
    """The options of a revision among `values`, as they are kept; raises for the first one outside its domain."""
    named = [option for option in OPTIONS if option.name in revision.options and option.name in values]
    return {option.name: _checked(option, values[option.name], revision) for option in named}


def _checked(option: Option, value: Any, revision: Revision) -> Any:
    if value is None and option.name in revision.needs:
        raise TypeError(refusal(option.name, value, f"a number in revision {revision.name}"))
    return option.check(option.name, value)


def check_lr(lr: object) -> None:
    """Raise unless `lr` can be used in a step: schedulers may bring it down to 0, which pauses the group."""
    not_negative("lr", lr)


def options_of_group(given: Mapping[str, Any], defaults: Mapping[str, Any], revision: Revision) -> dict[str, Any]:
    """The options of one group: its own values first, then the optimizer's.

    Args:
        given: the group as the user wrote it; keys that are no options are ignored here.
        defaults: a value for every option of the revision.
        revision: of the optimizer.

    Raises:
        TypeError, ValueError: a value outside its domain, an option of other revisions, or
            one that belongs to the whole optimizer.
    """
    refuse_foreign(given, revision)
    misplaced = [name for name in SHARED_NAMES if name in given]
    if misplaced:
        raise ValueError(
            f"{', '.join(misplaced)} given in a parameter group: this belongs to the whole optimizer, so all "
            "groups share one value. Pass it to the constructor."
        )
    # clause: PPSF-O-003 5dad351e
    options = checked({**defaults, **given}, revision)
    # clause: PPSF-O-002 f4e9a388
    if "use_stableadamw" in options and options["eps"] is None:
        options["use_stableadamw"] = False
    _refuse_pairs(options, revision)
    return options


def _refuse_pairs(options: Mapping[str, Any], revision: Revision) -> None:
    """Raise ValueError for options of a group that exclude each other."""
    # clause: PPSF-X-008 11404e69
    averages = bool(option_of(options, "use_schedulefree", revision))
    rectified = options["use_bias_correction"] and correction_of(revision, averages) != "adam"
    if rectified and options["betas"][1] <= LEAST_BETA2:
        raise ValueError(
            f"use_bias_correction with betas={options['betas']}: betas[1] must be > {LEAST_BETA2}, or the step size "
            "would be 0 for ever. Raise betas[1] or leave use_bias_correction out."
        )
    # clause: PPSF-X-009 cad78417
    if averages and options["betas"][0] == 0:
        raise ValueError(
            f"betas={options['betas']}: betas[0] must be > 0 where weights are averaged, since averaging divides "
            "by it. Raise betas[0], or switch averaging off where the revision allows it."
        )


def check_edited(group: Group, before: Group, revision: Revision) -> None:
    """Raise for the first option of a group that was edited into something which the constructor would refuse.

    Args:
        group: has all options of the revision.
        before: the options that were found right, by the same objects; may lack any.
        revision: of the optimizer.

    Raises:
        TypeError, ValueError: as the constructor does.
    """
    missing = object()
    edited = {name: group[name] for name in revision.options if group[name] is not before.get(name, missing)}
    edited.pop("lr", None)  # which may be 0 here
    if edited:
        checked(edited, revision)
        _refuse_pairs(group, revision)


#: What the estimate of a pool depends on.
_OF_ESTIMATE = (
    "d0", "d_coef", "beta3", "prodigy_steps", "use_speed", "beta4", "d_limiter", "growth_rate", "fsdp_in_use",
    "cosine_decay",
    "peak_patience",
)  # fmt: skip


def check_groups(groups: Sequence[Group], revision: Revision) -> None:
    """Raise ValueError if groups that share one estimate disagree on what it depends on.

    Args:
        groups: all groups of the optimizer, each with all options of the revision.
        revision: of the optimizer.
    """
    # clause: PPSF-X-003 1dd8ba05
    for name in SHARED_NAMES:
        if name in revision.options and any(group[name] != groups[0][name] for group in groups):
            raise ValueError(
                f"the groups disagree on {name}: {[group[name] for group in groups]}. It belongs to the "
                "whole optimizer: give all groups the same value."
            )
    if option_of(groups[0], "split_groups", revision):
        return
    for name in _OF_ESTIMATE:
        if name not in revision.options:
            continue
        resolve = _RESOLVED.get(name)
        values = [resolve(group) if resolve else group[name] for group in groups]
        if any(value != values[0] for value in values):
            otherwise = ", or use split_groups=True" if "split_groups" in revision.options else ""
            raise ValueError(
                f"groups that share one estimate differ in {name}: {values}. They must have the same {name}: give it "
                f"to the constructor{otherwise}."
            )


def option_of(group: Mapping[str, Any], name: str, revision: Revision) -> Any:
    """The value of an option in a group, also of one that the revision does not have."""
    return group[name] if name in revision.options else _absent(revision.name)[name]


def all_options(group: Mapping[str, Any], revision: Revision) -> dict[str, Any]:
    """The values of all options in a group, as :func:`option_of` has each, and whatever else the group holds."""
    return {**group, **_absent(revision.name)}


@functools.cache
def _absent(name: str) -> dict[str, Any]:
    """The values of the options that a revision does not have."""
    revision = REVISIONS[name]
    return {option: value for option, value in defaults_of(revision).items() if option not in revision.options}


def correction_of(revision: Revision, averages: bool) -> str:
    """The kind of bias correction: that of the revision where weights are averaged, Adam's where they are not."""
    # clause: PPSF-O-011 318efa59
    return revision.bias_correction if averages else "adam"


def resolved_beta3(group: Mapping[str, Any]) -> float:
    """beta3 as it is used in a group: sqrt(beta2) unless given."""
    # clause: PPSF-O-001 ed25292b
    beta3: float | None = group["beta3"]
    return math.sqrt(group["betas"][1]) if beta3 is None else beta3


def resolved_beta4(group: Mapping[str, Any]) -> float:
    """beta4 as it is used in a group: beta2 where it is None."""
    # clause: PPSF-O-010 772fc1a3
    beta4: float | None = group["beta4"]
    return float(group["betas"][1]) if beta4 is None else beta4


_RESOLVED = {"beta3": resolved_beta3, "beta4": resolved_beta4}
