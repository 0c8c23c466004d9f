"""Area X: what is refused. Each function raises, before anything has changed, or returns None."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ppsf_ref.clauses.options import resolved_beta3, resolved_beta4
from ppsf_ref.law import clause
from ppsf_ref.options import Options

SHARED = (
    "d0",
    "d_coef",
    "beta3",
    "beta4",
    "prodigy_steps",
    "use_speed",
    "d_limiter",
    "growth_rate",
    "fsdp_in_use",
    "cosine_decay",
    "peak_patience",
)
DTYPES = frozenset({"float32", "bfloat16", "float16"})
#: 2 / (1 - beta2) - 1 exceeds 4 only above it.
LEAST_RECTIFIED = 0.6
WHOLE_OPTIMIZER = frozenset({"split_groups", "split_groups_mean", "rounding_seed", "fused_back_pass"})


class Domain(NamedTuple):
    """Which types an option takes, and which of their values."""

    has_type: Callable[[Any], bool]
    holds: Callable[[Any], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_pair(value: object) -> bool:
    return isinstance(value, (tuple, list)) and all(map(_is_number, value))


def _or_none(domain: Domain) -> Domain:
    return Domain(*(lambda value, test=test: value is None or test(value) for test in domain))


POSITIVE = Domain(_is_number, lambda value: 0 < value < math.inf)
NONNEGATIVE = Domain(_is_number, lambda value: 0 <= value < math.inf)
FRACTION = Domain(_is_number, lambda value: 0 <= value < 1)
COUNT = Domain(_is_count, lambda value: value >= 0)
SWITCH = Domain(lambda value: isinstance(value, bool), lambda value: True)
BETAS = Domain(_is_pair, lambda value: len(value) == 2 and 0 <= value[0] < 1 and 0 <= value[1] < 1)

DOMAINS: Mapping[str, Domain] = {
    "lr": POSITIVE,
    "betas": BETAS,
    "beta3": _or_none(FRACTION),
    "weight_decay": NONNEGATIVE,
    "weight_decay_by_lr": SWITCH,
    "use_bias_correction": SWITCH,
    "d0": POSITIVE,
    "d_coef": POSITIVE,
    "prodigy_steps": COUNT,
    "eps": _or_none(POSITIVE),
    "factored": SWITCH,
    "factored_fp32": SWITCH,
    "use_stableadamw": SWITCH,
    "use_muon_pp": SWITCH,
    "use_cautious": SWITCH,
    "use_grams": SWITCH,
    "use_adopt": SWITCH,
    "use_speed": SWITCH,
    "use_orthograd": SWITCH,
    "use_focus": SWITCH,
    "stochastic_rounding": SWITCH,
    "beta4": _or_none(Domain(_is_number, lambda value: -1 < value < 1)),
    "amplify_gradients": SWITCH,
    "d_limiter": SWITCH,
    "schedulefree_c": NONNEGATIVE,
    "use_schedulefree": SWITCH,
    "slice_p": Domain(_is_count, lambda value: value >= 1),
    "bf16_state": SWITCH,
    "warmup_steps": COUNT,
    "decouple": SWITCH,
    "safeguard_warmup": SWITCH,
    "fsdp_in_use": SWITCH,
    "growth_rate": Domain(_is_number, lambda value: value >= 1),
    "cosine_decay": SWITCH,
    "peak_patience": COUNT,
    "total_training_steps": _or_none(Domain(_is_count, lambda value: value >= 1)),
    "r": NONNEGATIVE,
    "weight_lr_power": NONNEGATIVE,
    "split_groups": SWITCH,
    "split_groups_mean": SWITCH,
    "rounding_seed": COUNT,
    "fused_back_pass": SWITCH,
}


@clause("PPSF-X-001", "80b73f96")
def refuse_unknown(name: str, options: Collection[str]) -> None:
    """What is none of the revision's options."""
    if name not in options:
        raise TypeError(f"unknown option {name!r}")


@clause("PPSF-X-002", "a7edfc78")
def refuse_outside(name: str, value: object, at_step: bool = False, needs: Collection[str] = ()) -> None:
    """A value outside the domain of its option; at a step lr may be 0 as well, and some are needed: never None."""
    if value is None and name in needs:
        raise TypeError(f"{name} is needed")
    domain = NONNEGATIVE if name == "lr" and at_step else DOMAINS[name]
    if not domain.has_type(value):
        raise TypeError(f"{name}={value!r} is of the wrong type")
    if not domain.holds(value):
        raise ValueError(f"{name}={value!r} is outside its domain")


@clause("PPSF-X-003", "1dd8ba05")
def refuse_forbidden(groups: Sequence[Options], split_groups: bool, given_in_groups: Collection[str] = ()) -> None:
    """Options that cannot go together."""
    if misplaced := WHOLE_OPTIMIZER.intersection(given_in_groups):
        raise ValueError(f"{', '.join(sorted(misplaced))} belong to the whole optimizer, not to a group")
    if split_groups or not groups:
        return
    first = _shared(groups[0])
    if any(_shared(group) != first for group in groups):
        raise ValueError(f"without split_groups all groups need the same {', '.join(SHARED)}")


def _shared(options: Options) -> tuple[object, ...]:
    beta2 = options.betas[1]
    resolved = (resolved_beta3(options.beta3, beta2), resolved_beta4(options.beta4, beta2))
    return (*resolved, *(getattr(options, name) for name in SHARED if name not in ("beta3", "beta4")))


@clause("PPSF-X-004", "a7e60766")
def refuse_eval_mode(train_mode: bool) -> None:
    """A step in eval mode."""
    if not train_mode:
        raise RuntimeError("step() in eval mode: call train() first")


@clause("PPSF-X-005", "e8f013e5")
def refuse_gradient(layout: str, is_complex: bool) -> None:
    """Sparse and complex gradients."""
    if layout != "strided" or is_complex:
        raise TypeError("gradients have to be dense and real")


@clause("PPSF-X-006", "21269820")
def refuse_parameter(dtype: str, served: Collection[str] = DTYPES) -> None:
    """Parameters of other types than the law knows and an implementation serves."""
    if dtype not in DTYPES.intersection(served):
        raise TypeError(f"parameters have to be {', '.join(sorted(DTYPES.intersection(served)))}, not {dtype}")


@clause("PPSF-X-008", "11404e69")
def refuse_unrectifiable(use_bias_correction: bool, beta2: float, correction: str = "radam") -> None:
    """A rectification that would stay 0."""
    if use_bias_correction and correction != "adam" and beta2 <= LEAST_RECTIFIED:
        raise ValueError(f"use_bias_correction needs betas[1] > {LEAST_RECTIFIED}, not {beta2!r}")


@clause("PPSF-X-009", "cad78417")
def refuse_undivided(averages: bool, beta1: float) -> None:
    """An average that could not be formed."""
    if averages and beta1 == 0:
        raise ValueError("averaging divides by betas[0], which must be > 0")


@clause("PPSF-X-020", "e5c3628d")
def refuse_alone(fused_back_pass: bool, train_mode: bool, is_parameter: bool) -> None:
    """A parameter that cannot be stepped by itself."""
    if not fused_back_pass:
        raise RuntimeError("step_param() needs fused_back_pass=True")
    if not train_mode:
        raise RuntimeError("step_param() in eval mode: call train() first")
    if not is_parameter:
        raise ValueError("step_param() of a tensor that is none of the optimizer's parameters")
