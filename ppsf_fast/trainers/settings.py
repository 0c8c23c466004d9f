"""The settings of trainers: what values each one takes, whichever optimizer has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppsf_fast.domains import Check, count, flag, not_negative, number, positive, refusal
from ppsf_fast.options import OPTIONS

_SHARE = number("a number with 0 <= value < 1", lambda value: 0 <= value < 1)
_SHARE_OR_NONE = number("null or a number with 0 <= value < 1", lambda value: 0 <= value < 1, none=True)


def _tri(name: str, value: Any) -> bool | None:
    if value is None:
        return None
    return bool(flag(name, value))


def _betas(name: str, value: Any) -> tuple[float, ...]:
    allowed = "a list of two numbers, or three for Adan, each with 0 <= value < 1"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(refusal(name, value, allowed))
    if len(value) not in (2, 3) or any(isinstance(one, bool) or not isinstance(one, int | float) for one in value):
        raise TypeError(refusal(name, value, allowed))
    if not all(0 <= one < 1 for one in value):
        raise ValueError(refusal(name, value, allowed))
    return tuple(float(one) for one in value)


def _bits(name: str, value: Any) -> int:
    if isinstance(value, bool) or value not in (8, 32):
        raise ValueError(refusal(name, value, "8 or 32"))
    return int(value)


def _only(kept: object, why: str) -> Check:
    def check(name: str, value: Any) -> Any:
        if type(value) is not type(kept) or value != kept:
            raise ValueError(refusal(name, value, f"{kept!r}: {why}"))
        return value

    return check


SETTINGS: dict[str, Check] = {
    "lr": positive,
    "betas": _betas,
    "beta1": _SHARE_OR_NONE,
    "beta2": _SHARE,
    "beta3": _SHARE_OR_NONE,
    "eps": number("a finite number > 0", lambda value: value > 0, none=True),
    "eps2": positive,
    "weight_decay": not_negative,
    "adam_w_mode": flag,
    "alpha": _SHARE,
    "amsgrad": flag,
    "bias_correction": flag,
    "block_wise": _only(True, "bitsandbytes always works in blocks since 0.50"),
    "capturable": flag,
    "centered": flag,
    "clip_threshold": positive,
    "d0": positive,
    "d_coef": positive,
    "dampening": not_negative,
    "decay_rate": number("a number < 0", lambda value: value < 0),
    "decouple": flag,
    "differentiable": flag,
    "foreach": _tri,
    "fsdp_in_use": flag,
    "fused": _tri,
    "fused_back_pass": flag,
    "growth_rate": number("a number >= 1, or inf", lambda value: value >= 1, finite=False),
    "initial_accumulator_value": not_negative,
    "is_paged": flag,
    "log_every": count(),
    "lr_decay": not_negative,
    "max_unorm": not_negative,
    "maximize": flag,
    "min_8bit_size": count(),
    "momentum": _SHARE,
    "nesterov": flag,
    "no_prox": flag,
    "optim_bits": _bits,
    "percentile_clipping": _only(100, "bitsandbytes has no clipping by percentiles since 0.50, and 100 is none"),
    "relative_step": flag,
    "safeguard_warmup": flag,
    "scale_parameter": flag,
    "stochastic_rounding": flag,
    "use_bias_correction": flag,
    "use_triton": flag,
    "warmup_init": flag,
}

_OPTIONS = {option.name: option.check for option in OPTIONS}


def check_setting(name: str) -> Check:
    """The check of a setting of any trainer, or of an option of our own classes."""
    return SETTINGS.get(name) or _OPTIONS.get(name, lambda _, value: value)
