"""The revisions of the specification as data: constants, formulas, options and defaults of each published form.

A step reads these fields and never asks which revision it runs. They say the same as `spec/revisions.toml`, which
names the clause behind each value; a test holds the two together, since the specification is not there at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Revision:
    """One published form.

    Attributes:
        name: what the argument `revision` calls it.
        needs: options that are never None.
        scalars: the numbers that a group stores, besides k.
        options: the options it has.
        defaults: the values of all options, also of those it does not have, where they differ from those of 1.9.

    The other fields choose between the formulas of the specification.
    """

    name: str
    factored_axes: str
    factored_min_dim: int
    bound_at_start: float
    bound_later: float
    bias_correction: str
    statistic_weight: str
    statistic_point: str
    numerator: str
    estimate: str
    growth: str
    ceiling: str
    speed: str
    second_moment: str
    unit: str
    atan2_scale: float
    clipping: str
    averaging_weight: str
    without_evidence: str
    needs: tuple[str, ...]
    scalars: tuple[str, ...]
    options: tuple[str, ...]
    defaults: Mapping[str, Any]


_JANUARY_2025 = Revision(
    name="1.9",
    factored_axes="largest_two",
    factored_min_dim=32,
    bound_at_start=50.0,
    bound_later=1.0,
    bias_correction="radam_in_moment",
    statistic_weight="sqrt_d",
    statistic_point="y",
    numerator="gated_add",
    estimate="atan2",
    growth="max",
    ceiling="none",
    speed="signs",
    second_moment="rescaled",
    unit="g",
    atan2_scale=1.0,
    clipping="bounded",
    averaging_weight="dlr_squared",
    without_evidence="moves",
    needs=(),
    scalars=("d", "d_prev", "d_numerator", "d_denom", "weight_sum"),
    options=(
        "lr", "betas", "beta3", "weight_decay", "weight_decay_by_lr", "use_bias_correction", "d0", "d_coef",
        "prodigy_steps", "use_speed", "eps", "split_groups", "split_groups_mean", "factored", "factored_fp32",
        "fused_back_pass", "use_stableadamw", "use_muon_pp", "use_cautious", "use_grams", "use_adopt", "use_orthograd",
        "use_focus", "stochastic_rounding", "rounding_seed", "beta4", "amplify_gradients",
    ),
    defaults={},
)  # fmt: skip

_TWO = replace(
    _JANUARY_2025,
    name="2.0",
    bound_at_start=1.0,
    statistic_weight="d_squared",
    statistic_point="z",
    estimate="ratio",
    ceiling="d",
    speed="displacement",
    second_moment="weighted",
    unit="d",
    atan2_scale=1.2732395,
    clipping="soft",
    scalars=("d", "d_prev", "d_numerator", "d_denom", "n_max", "weight_sum"),
    options=(
        "lr", "betas", "beta3", "weight_decay", "weight_decay_by_lr", "d0", "d_coef", "d_limiter", "prodigy_steps",
        "schedulefree_c", "eps", "split_groups", "split_groups_mean", "factored", "factored_fp32",
        "use_bias_correction", "use_stableadamw", "use_schedulefree", "use_speed", "stochastic_rounding",
        "fused_back_pass", "use_cautious", "use_grams", "use_adopt", "use_orthograd", "use_focus", "rounding_seed",
        "beta4", "amplify_gradients",
    ),
    defaults={"d_limiter": True, "split_groups_mean": False},
)  # fmt: skip

_UPDATE_3 = replace(
    _JANUARY_2025,
    name="update3",
    factored_axes="last_two",
    factored_min_dim=1,
    bound_at_start=1.0,
    bias_correction="adam",
    statistic_weight="share",
    numerator="add",
    second_moment="weighted",
    unit="new_d",
    clipping="none",
    speed="none",
    averaging_weight="largest",
    scalars=("d", "d_numerator", "d_denom", "weight_sum", "lr_max"),
    options=(
        "lr", "betas", "beta3", "beta4", "weight_decay", "use_bias_correction", "d0", "d_coef", "prodigy_steps",
        "warmup_steps", "split_groups", "slice_p", "factored", "bf16_state", "amplify_gradients",
    ),
    defaults={
        "split_groups_mean": False,
        "eps": None,
        "factored": False,
        "use_stableadamw": False,
        "stochastic_rounding": False,
        "amplify_gradients": True,
    },
)  # fmt: skip

_PRODIGY = replace(
    _JANUARY_2025,
    name="prodigy",
    factored_axes="none",
    bound_at_start=1.0,
    bias_correction="adam",
    statistic_weight="prodigy",
    numerator="add",
    estimate="ratio",
    growth="capped",
    second_moment="weighted",
    unit="new_d",
    clipping="none",
    averaging_weight="none",
    speed="none",
    without_evidence="rests",
    needs=("eps",),
    scalars=("d", "d_max", "d_numerator", "d_denom"),
    options=(
        "lr", "betas", "beta3", "eps", "weight_decay", "decouple", "use_bias_correction", "safeguard_warmup", "d0",
        "d_coef", "growth_rate", "fsdp_in_use", "slice_p", "cosine_decay", "peak_patience", "total_training_steps",
    ),
    defaults={
        "betas": (0.9, 0.999),
        "slice_p": 1,
        "split_groups": False,
        "split_groups_mean": False,
        "factored": False,
        "use_schedulefree": False,
        "use_stableadamw": False,
        "stochastic_rounding": False,
    },
)  # fmt: skip

_SCHEDULE_FREE = replace(
    _JANUARY_2025,
    name="schedulefree",
    factored_axes="none",
    statistic_weight="none",
    statistic_point="none",
    growth="none",
    clipping="none",
    speed="none",
    bound_at_start=1.0,
    bias_correction="radam",
    numerator="none",
    estimate="none",
    second_moment="corrected",
    averaging_weight="largest",
    needs=("eps",),
    scalars=("weight_sum", "lr_max"),
    options=(
        "lr", "betas", "eps", "weight_decay", "warmup_steps", "r", "weight_lr_power", "use_bias_correction",
    ),
    defaults={
        "lr": 0.0025,
        "betas": (0.9, 0.999),
        "d0": 1.0,
        "split_groups_mean": False,
        "factored": False,
        "use_stableadamw": False,
        "stochastic_rounding": False,
    },
)  # fmt: skip

REVISIONS: Mapping[str, Revision] = {
    revision.name: revision for revision in (_UPDATE_3, _JANUARY_2025, _TWO, _PRODIGY, _SCHEDULE_FREE)
}
DEFAULT = _JANUARY_2025.name
