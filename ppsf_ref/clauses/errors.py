"""Area X: what is refused. Each function raises, before anything has changed, or returns None."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ppsf_ref.clauses.options import resolved_beta3
from ppsf_ref.law import clause
from ppsf_ref.options import Options

EXTENSIONS = frozenset(
    {
        "use_bias_correction",
        "use_speed",
        "fused_back_pass",
        "use_muon_pp",
        "use_cautious",
        "use_grams",
        "use_adopt",
        "use_orthograd",
        "use_focus",
    }
)
SHARED = ("d0", "d_coef", "beta3", "prodigy_steps")
WHOLE_OPTIMIZER = frozenset({"split_groups", "split_groups_mean", "rounding_seed"})


def _real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _boolean(value: object) -> bool:
    return isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _real(value) and value > 0


def _nonnegative(value: Any) -> bool:
    return _real(value) and value >= 0


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _fraction(value: Any) -> bool:
    return _real(value) and 0 <= value < 1


def _betas(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and _positive(value[0]) and all(map(_fraction, value))


def _or_none(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or test(value)


DOMAINS: Mapping[str, Callable[[Any], bool]] = {
    "lr": _positive,
    "betas": _betas,
    "beta3": _or_none(_fraction),
    "weight_decay": _nonnegative,
    "weight_decay_by_lr": _boolean,
    "d0": _positive,
    "d_coef": _positive,
    "prodigy_steps": _count,
    "eps": _or_none(_positive),
    "factored": _boolean,
    "factored_fp32": _boolean,
    "use_stableadamw": _boolean,
    "stochastic_rounding": _boolean,
    "split_groups": _boolean,
    "split_groups_mean": _boolean,
    "rounding_seed": _count,
}


@clause("PPSF-X-001", "c864b8d0")
def refuse_unknown(name: str) -> None:
    """An option that does not exist."""
    if name not in DOMAINS and name not in EXTENSIONS:
        raise TypeError(f"unknown option {name!r}")


@clause("PPSF-X-002", "b277d08a")
def refuse_outside(name: str, value: object, at_step: bool = False) -> None:
    """A value outside the domain of its option; at a step lr may be 0 as well."""
    allowed = _nonnegative if name == "lr" and at_step else DOMAINS[name]
    if not allowed(value):
        raise ValueError(f"{name}={value!r} is outside its domain")


@clause("PPSF-X-003", "03e4f846")
def refuse_forbidden(groups: Sequence[Options], split_groups: bool, given_in_groups: Collection[str] = ()) -> None:
    """Options that cannot go together."""
    if misplaced := WHOLE_OPTIMIZER.intersection(given_in_groups):
        raise ValueError(f"{', '.join(sorted(misplaced))} belong to the whole optimizer, not to a group")
    if split_groups or not groups:
        return
    first = _shared(groups[0])
    if any(_shared(group) != first for group in groups):
        raise ValueError(f"without split_groups all groups need the same {', '.join(SHARED)}")


def _shared(options: Options) -> tuple[float, ...]:
    return (
        options.d0,
        options.d_coef,
        resolved_beta3(options.beta3, options.betas[1]),
        options.prodigy_steps,
    )


@clause("PPSF-X-004", "b423316a")
def refuse_eval_mode(train_mode: bool) -> None:
    """A step in eval mode."""
    if not train_mode:
        raise RuntimeError("step() in eval mode: call train() first")


@clause("PPSF-X-005", "bc6b446f")
def refuse_gradient(layout: str, is_complex: bool) -> None:
    """Sparse and complex gradients."""
    if layout != "strided" or is_complex:
        raise TypeError("gradients have to be dense and real")


@clause("PPSF-X-006", "89ee2f3e")
def refuse_parameter(dtype: str) -> None:
    """Parameters of other types than float32 and bfloat16."""
    if dtype not in {"float32", "bfloat16"}:
        raise TypeError(f"parameters have to be float32 or bfloat16, not {dtype}")


@clause("PPSF-X-007", "93e5e925")
def refuse_unserved(name: str, value: object, served: Collection[str] = ()) -> None:
    """Options of the revision that an implementation knows but does not serve."""
    if name not in served and value is not False:
        raise NotImplementedError(f"{name}={value!r} is not served; leave it False")
