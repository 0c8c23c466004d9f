"""Options of an optimizer and the revision they are read under (``spec/options.toml``, ``spec/revisions.toml``)."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path(__file__).parent / "_spec"
#: The law's data: inside an installed wheel, or beside the package in a checkout.
SPEC = SHIPPED if SHIPPED.is_dir() else Path(__file__).parent.parent / "spec"


@dataclass(frozen=True)
class Options:
    """Options of one parameter group, with the defaults of revision 1.9."""

    lr: float = 1.0
    betas: tuple[float, float] = (0.9, 0.99)
    beta3: float | None = None
    weight_decay: float = 0.0
    weight_decay_by_lr: bool = True
    use_bias_correction: bool = False
    d0: float = 1e-6
    d_coef: float = 1.0
    prodigy_steps: int = 0
    use_speed: bool = False
    eps: float | None = 1e-8
    factored: bool = True
    factored_fp32: bool = True
    use_stableadamw: bool = True
    use_cautious: bool = False
    use_grams: bool = False
    use_adopt: bool = False
    use_orthograd: bool = False
    use_focus: bool = False
    stochastic_rounding: bool = True


@dataclass(frozen=True)
class Revision:
    """The variants of the formulas that a published form uses, as data."""

    name: str
    sample_stride: int
    factored_min_dim: int
    bound_at_start: float
    bound_later: float


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


@functools.cache
def load_revision(name: str) -> Revision:
    """Read one revision from ``spec/revisions.toml``.

    Raises:
        ValueError: there is no such revision.
    """
    table = tomllib.loads((SPEC / "revisions.toml").read_text("utf-8"))["revisions"]
    if name not in table:
        raise ValueError(f"unknown revision {name!r}; there are {', '.join(map(repr, table))}")
    fields = {key: table[name][key] for key in Revision.__dataclass_fields__ if key != "name"}
    return Revision(name=name, **fields)
