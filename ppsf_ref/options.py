"""Options of an optimizer and the revision they are read under (``spec/options.toml``, ``spec/revisions.toml``)."""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parent / "_spec"
#: The law's data: inside an installed wheel, or beside the package in a checkout.
SPEC = SHIPPED if SHIPPED.is_dir() else Path(__file__).parent.parent / "spec"


@dataclass(frozen=True)
class Options:
    """Options of one parameter group, of all revisions, with the defaults of 1.9.

    A revision has some of them, and defaults of its own (:class:`Revision`).
    """

    lr: float = 1.0
    betas: tuple[float, float] = (0.9, 0.99)
    beta3: float | None = None
    beta4: float | None = 0.0
    weight_decay: float = 0.0
    weight_decay_by_lr: bool = True
    decouple: bool = True
    use_bias_correction: bool = False
    warmup_steps: int = 0
    d0: float = 1e-6
    d_coef: float = 1.0
    d_limiter: bool = False
    growth_rate: float = math.inf
    safeguard_warmup: bool = False
    fsdp_in_use: bool = False
    amplify_gradients: bool = False
    slice_p: int = 11
    prodigy_steps: int = 0
    cosine_decay: bool = False
    peak_patience: int = 50
    total_training_steps: int | None = None
    use_speed: bool = False
    eps: float | None = 1e-8
    factored: bool = True
    factored_fp32: bool = True
    bf16_state: bool = False
    use_schedulefree: bool = True
    schedulefree_c: float = 0.0
    r: float = 0.0
    weight_lr_power: float = 2.0
    use_stableadamw: bool = True
    use_muon_pp: bool = False
    use_cautious: bool = False
    use_grams: bool = False
    use_adopt: bool = False
    use_orthograd: bool = False
    use_focus: bool = False
    stochastic_rounding: bool = True


@dataclass(frozen=True)
class Revision:
    """One published form as data: its constants, the variants of the formulas it uses, its options and defaults.

    The fields up to ``decay`` are those of ``spec/revisions.toml``, which names the clause behind each value.
    ``scalars`` are the numbers a group stores, besides ``k``; ``options`` those it may be given; ``defaults`` the
    values of all options, also of those it does not have, where they are not the ones of :class:`Options`.
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
    second_moment: str
    unit: str
    atan2_scale: float
    clipping: str
    averaging_weight: str
    without_evidence: str
    ceiling: str
    speed: str
    needs: frozenset[str]
    scalars: tuple[str, ...]
    options: frozenset[str]
    defaults: Mapping[str, Any]


@dataclass(frozen=True)
class Config:
    """Everything a step needs besides state and gradients.

    ``dtypes`` names, per group and parameter, the format of the parameter ("float32" or "bfloat16").
    """

    groups: tuple[Options, ...]
    dtypes: tuple[tuple[str, ...], ...]
    revision: Revision
    split_groups: bool = True
    split_groups_mean: bool = True
    rounding_seed: int = 0
    fused_back_pass: bool = False


#: Options that belong to the whole optimizer.
WHOLE_OPTIMIZER = ("split_groups", "split_groups_mean", "rounding_seed", "fused_back_pass")


def options_of(revision: Revision, **given: Any) -> Options:
    """Options of a group under a revision; what is not given has the revision's default."""
    own = {name: value for name, value in revision.defaults.items() if name not in WHOLE_OPTIMIZER}
    return Options(**{**own, **given})


def whole_options(revision: Revision, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the whole optimizer, for :class:`Config`."""
    values = {**revision.defaults, **given}
    return {name: values[name] for name in WHOLE_OPTIMIZER if name in values}


@functools.cache
def load_revision(name: str) -> Revision:
    """Read one revision from ``spec/revisions.toml``.

    Raises:
        ValueError: there is no such revision.

    Example:
        >>> load_revision("1.9").estimate, load_revision("prodigy").estimate
        ('atan2', 'ratio')
    """
    table = _revisions()
    if name not in table:
        raise ValueError(f"unknown revision {name!r}; there are {', '.join(map(repr, table))}")
    fields = {key: table[name][key] for key in Revision.__dataclass_fields__ if key != "name"}
    defaults = {option: _as_python(value) for option, value in fields.pop("defaults").items()}
    fields |= {key: frozenset(fields[key]) for key in ("options", "needs")}
    fields |= {"scalars": tuple(fields["scalars"]), "defaults": defaults}
    return Revision(name=name, **fields)


def revision_names() -> tuple[str, ...]:
    """The revisions there are."""
    return tuple(_revisions())


def _revisions() -> dict[str, dict[str, Any]]:
    return dict(tomllib.loads((SPEC / "revisions.toml").read_text("utf-8"))["revisions"])


def _as_python(value: Any) -> Any:
    """TOML has neither None nor tuples."""
    return None if value == "None" else tuple(value) if isinstance(value, list) else value
