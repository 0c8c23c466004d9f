"""The options: what values each one takes, what excludes what, and what they mean for one group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ppsf_fast.rectification import LEAST_BETA2

Group = dict[str, Any]
Check = Callable[[str, Any], Any]

REVISIONS = ("1.9",)


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `check(name, value)` returns the value as it is kept, or raises."""

    name: str
    check: Check
    per_group: bool = True


def _refusal(name: str, value: object, allowed: str) -> str:
    return f"{name}={value!r} is not allowed: {name} must be {allowed}. Pass such a value or leave {name} out."


# clause: PPSF-X-002 b277d08a
def _number(allowed: str, inside: Callable[[float], bool], none: bool = False) -> Check:
    """A check for finite numbers; they are kept as floats."""

    def check(name: str, value: Any) -> float | None:
        if none and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(_refusal(name, value, allowed))
        number = _as_float(value)
        if not (math.isfinite(number) and inside(number)):
            raise ValueError(_refusal(name, value, allowed))
        return number

    return check


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond the largest float
        return math.inf


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(_refusal(name, value, "an int >= 0"))
    if value < 0:
        raise ValueError(_refusal(name, value, "an int >= 0"))
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(_refusal(name, value, "True or False"))
    return value


_beta1 = _number("a number with 0 < betas[0] < 1", lambda value: 0 < value < 1)
_beta2 = _number("a number with 0 <= betas[1] < 1", lambda value: 0 <= value < 1)


def _betas(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, (tuple, list)):
        raise TypeError(_refusal(name, value, "a pair of numbers"))
    if len(value) != 2:
        raise ValueError(_refusal(name, value, "a pair of numbers"))
    return _beta1(f"{name}[0]", value[0]), _beta2(f"{name}[1]", value[1])


# clause: PPSF-X-007 d06e115f
def _unserved(name: str, value: Any) -> bool:
    if value is not False:
        raise NotImplementedError(
            f"{name}={value!r}: this option of revision 1.9 is known but not yet served, only False is "
            f"accepted. Leave {name} out."
        )
    return False


def check_revision(revision: object) -> None:
    """Raise NotImplementedError for a revision of the specification that is not served."""
    if revision not in REVISIONS:
        raise NotImplementedError(
            f"revision={revision!r} is not served: allowed is one of {', '.join(map(repr, REVISIONS))}. "
            "Leave revision out to get the default."
        )


_positive = _number("a finite number > 0", lambda value: value > 0)
_not_negative = _number("a finite number >= 0", lambda value: value >= 0)

OPTIONS = (
    Option("lr", _positive),
    Option("betas", _betas),
    Option("beta3", _number("None or a number with 0 <= beta3 < 1", lambda value: 0 <= value < 1, none=True)),
    Option("weight_decay", _not_negative),
    Option("weight_decay_by_lr", _flag),
    Option("use_bias_correction", _flag),
    Option("d0", _positive),
    Option("d_coef", _positive),
    Option("prodigy_steps", _count),
    Option("use_speed", _flag),
    Option("eps", _number("None or a finite number > 0", lambda value: value > 0, none=True)),
    Option("split_groups", _flag, per_group=False),
    Option("split_groups_mean", _flag, per_group=False),
    Option("factored", _flag),
    Option("factored_fp32", _flag),
    Option("fused_back_pass", _unserved),
    Option("use_stableadamw", _flag),
    Option("use_muon_pp", _flag),
    Option("use_cautious", _flag),
    Option("use_grams", _flag),
    Option("use_adopt", _flag),
    Option("use_orthograd", _flag),
    Option("use_focus", _flag),
    Option("stochastic_rounding", _flag),
    Option("rounding_seed", _count, per_group=False),
)
OPTION_NAMES = tuple(option.name for option in OPTIONS)
SHARED_NAMES = tuple(option.name for option in OPTIONS if not option.per_group)


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options among `values`, as they are kept; raises for the first value outside its domain."""
    return {option.name: option.check(option.name, values[option.name]) for option in OPTIONS if option.name in values}


def check_lr(lr: object) -> None:
    """Raise unless `lr` can be used in a step: schedulers may bring it down to 0, which pauses the group."""
    _not_negative("lr", lr)


def options_of_group(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one group: its own values first, then the optimizer's.

    Args:
        given: the group as the user wrote it; keys that are no options are ignored here.
        defaults: a value for every option.

    Raises:
        TypeError, ValueError, NotImplementedError: a value outside its domain, or an option that belongs to
            the whole optimizer.
    """
    misplaced = [name for name in SHARED_NAMES if name in given]
    if misplaced:
        raise ValueError(
            f"{', '.join(misplaced)} given in a parameter group: this belongs to the whole optimizer, so all "
            "groups share one value. Pass it to the constructor."
        )
    # clause: PPSF-O-003 14e6fd7e
    options = checked({**defaults, **given})
    # clause: PPSF-O-002 715a4cbc
    if options["eps"] is None:
        options["use_stableadamw"] = False
    # clause: PPSF-X-008 104364ac
    if options["use_bias_correction"] and options["betas"][1] <= LEAST_BETA2:
        raise ValueError(
            f"use_bias_correction with betas={options['betas']}: betas[1] must be > {LEAST_BETA2}, or the step size "
            "would be 0 for ever. Raise betas[1] or leave use_bias_correction out."
        )
    return options


def check_groups(groups: Sequence[Group]) -> None:
    """Raise ValueError if groups that share one estimate disagree on what it depends on.

    Args:
        groups: all groups of the optimizer, each with all options.
    """
    # clause: PPSF-X-003 58a82e9b
    for name in SHARED_NAMES:
        if any(group[name] != groups[0][name] for group in groups):
            raise ValueError(
                f"the groups disagree on {name}: {[group[name] for group in groups]}. It belongs to the "
                "whole optimizer: give all groups the same value."
            )
    if groups[0]["split_groups"]:
        return
    for name in ("d0", "d_coef", "beta3", "prodigy_steps", "use_speed"):
        values = [resolved_beta3(group) if name == "beta3" else group[name] for group in groups]
        if any(value != values[0] for value in values):
            raise ValueError(
                f"split_groups=False with groups that differ in {name}: {values}. Groups that share one "
                f"estimate must have the same {name}: give it to the constructor, or use split_groups=True."
            )


def resolved_beta3(group: Mapping[str, Any]) -> float:
    """beta3 as it is used in a group: sqrt(beta2) unless given."""
    # clause: PPSF-O-001 63359b8a
    beta3: float | None = group["beta3"]
    return math.sqrt(group["betas"][1]) if beta3 is None else beta3


@dataclass(frozen=True, slots=True)
class Rule:
    """What the options of one group mean in one step; read anew in every step, since trainers edit groups."""

    lr: float
    beta1: float
    beta2: float
    beta3: float
    weight_decay: float
    weight_decay_by_lr: bool
    d0: float
    d_coef: float
    prodigy_steps: int
    speed: bool
    eps: float | None
    clip: bool
    cautious: bool
    grams: bool
    adopt: bool
    orthograd: bool
    focus: bool
    muon: bool
    bias_correction: bool
    factored: bool
    factored_fp32: bool
    stochastic_rounding: bool
    rounding_seed: int

    @staticmethod
    def of(group: Mapping[str, Any]) -> Rule:
        """The rule of a group that has all options."""
        return Rule(
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            beta3=resolved_beta3(group),
            weight_decay=group["weight_decay"],
            weight_decay_by_lr=group["weight_decay_by_lr"],
            d0=group["d0"],
            d_coef=group["d_coef"],
            prodigy_steps=group["prodigy_steps"],
            speed=group["use_speed"],
            eps=group["eps"],
            clip=group["use_stableadamw"] and group["eps"] is not None,
            cautious=group["use_cautious"],
            bias_correction=group["use_bias_correction"],
            # clause: PPSF-O-004 86fa582f
            grams=group["use_grams"] and not group["use_cautious"],
            adopt=group["use_adopt"],
            orthograd=group["use_orthograd"],
            focus=group["use_focus"],
            # clause: PPSF-O-006 45c20495
            muon=group["use_muon_pp"] and not group["use_focus"],
            # clause: PPSF-O-005 0ba87f51
            factored=group["factored"] and not group["use_focus"],
            factored_fp32=group["factored_fp32"],
            stochastic_rounding=group["stochastic_rounding"],
            rounding_seed=group["rounding_seed"],
        )
