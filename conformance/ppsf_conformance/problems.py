"""Problems: options, parameters and a stream of gradients, drawn by Hypothesis and replayable from their data alone.

Values come from generators whose seed is part of the problem, so that a failing problem shrinks in its structure
(options, shapes, steps) and prints on a few lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ppsf_conformance.adapter import Array, Gradients, Group, Snapshot, Weights
from ppsf_ref.clauses.errors import LEAST_RECTIFIED
from ppsf_ref.formats import FORMATS, nearest
from ppsf_ref.options import Revision, load_revision, options_of, whole_options

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class ParamSpec:
    """One parameter. ``start`` names its initial weights (:data:`STARTS`)."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    start: str = "normal"
    layout: str = "contiguous"


@dataclass(frozen=True)
class GroupSpec:
    """One parameter group and the options given for it alone."""

    params: tuple[ParamSpec, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """A whole run.

    Attributes:
        options: what the constructor is given.
        regime: which gradients are fed (:data:`REGIMES`).
        scale: their size.
        missing: share of gradients that are absent.
        pauses: share of steps in which a group's lr is 0.
        switches: whether eval() and train() are called between steps.
        revision: what the run is judged by.
    """

    options: Mapping[str, Any]
    groups: tuple[GroupSpec, ...]
    regime: str = "noise"
    scale: float = 1.0
    steps: int = 4
    seed: int = 0
    missing: float = 0.0
    pauses: float = 0.0
    switches: bool = False
    revision: str = "1.9"

    def as_data(self) -> dict[str, Any]:
        """Plain data for reports."""
        return asdict(self)


_TWO = (GroupSpec((ParamSpec((40,)), ParamSpec((3, 4)))),)
_FACTORED = (GroupSpec((ParamSpec((12, 33), "bfloat16", "zero"),)),)
_ONE = (GroupSpec((ParamSpec((5,)),)),)
_WIDE = (GroupSpec((ParamSpec((34, 40)),)),)
_MASKED = {"use_schedulefree": False, "d0": 1e-2}
_DECAYS = {"cosine_decay": True, "peak_patience": 1, "total_training_steps": 6}
#: What drawing seldom meets: SPEED of 2.0 with a numerator that falls, where d_coef alone would raise the estimate;
#: gradients of 0 where the first moment is masked or turned; a decay that begins late in a short training; factors
#: whose means differ, as both are rounded to bfloat16; a mask that keeps fewer elements than it counts at
#: least; ADOPT, unclipped, in the step after a growth; SPEED from d = 1 on, above which its cap lies below d;
#: decay in steps that are otherwise of length 0; factors whose mean a constant beside it would hide.
RARE = (
    Problem({"use_speed": True, "d_coef": 10.0, "d0": 1e-3, "beta3": 0.9}, _TWO, "turning", steps=8, revision="2.0"),
    Problem({**_MASKED, "use_cautious": True}, _TWO, "sparse", revision="2.0"),
    Problem({**_MASKED, "use_grams": True}, _TWO, "sparse", revision="2.0"),
    Problem(_DECAYS, _TWO, "noise", steps=8, revision="prodigy"),
    Problem({"factored_fp32": False, "d0": 1.0}, _FACTORED, "growth"),
    Problem({"use_adopt": True, "use_stableadamw": False, "d_coef": 10.0, "d0": 1e-3}, _TWO, "growth", steps=6),
    Problem({"use_speed": True, "d_coef": 10.0, "d0": 1.0}, _ONE, "growth", steps=3),
    Problem({"use_bias_correction": True, "weight_decay": 0.1, "weight_decay_by_lr": False}, _ONE, steps=3),
    Problem({"eps": None}, _WIDE, "tiny gradient"),
    Problem({"use_cautious": True}, _WIDE, "lone element"),
    Problem({"use_cautious": True}, _WIDE, "lone element", revision="2.0"),
    Problem({**_MASKED, "use_cautious": True}, _WIDE, "lone element", revision="2.0"),
)


#: Shapes of parameters that may be worked on piece by piece.
LARGE: Mapping[str, tuple[int, ...]] = {"float32": (600, 500), "bfloat16": (300, 500), "float16": (300, 500)}


def large(dtypes: tuple[str, ...], options: frozenset[str], revision: str) -> tuple[Problem, ...]:
    """A large parameter of each dtype, with and without eps: what small ones do not show."""
    given = {"d0": 1e-2} if "d0" in options else {}
    angle = "eps" in options and None in values_of("eps", load_revision(revision))
    return tuple(
        Problem({**given, **own}, (GroupSpec((ParamSpec(LARGE[dtype], dtype),)),), "pull", steps=2, revision=revision)
        for dtype in dtypes
        for own in ({}, {"eps": None})[: 1 + angle]
    )


def rare(
    dtypes: tuple[str, ...],
    options: frozenset[str],
    revision: str,
    always: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Problem, ...]:
    """Those of :data:`RARE` that an implementation takes."""
    return tuple(
        replace(problem, options={**problem.options, **always})
        for problem in RARE
        if problem.revision == revision
        and set(problem.options) <= options
        and all(spec.dtype in dtypes for group in problem.groups for spec in group.params)
    )


def of_dtype(dtype: str, revision: str = "1.9") -> Problem:
    """The plainest problem with a parameter of this dtype."""
    return Problem(options={}, groups=(GroupSpec((ParamSpec((5,), dtype),)),), revision=revision)


# ------------------------------------------------------------------------------------------------------------- weights


def _zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return np.zeros(shape)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.normal(size=shape)


def _small(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return 1e-4 * rng.normal(size=shape)


def _dyadic(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.integers(-8, 9, size=shape) / 8.0


STARTS: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Any]] = {
    "normal": _normal,
    "zero": _zeros,
    "small": _small,
    "dyadic": _dyadic,
}


def weights(problem: Problem) -> list[list[Weights]]:
    """Initial weights, per group and parameter."""
    rng = np.random.default_rng([problem.seed, 1])

    def one(spec: ParamSpec) -> Weights:
        values = nearest(STARTS[spec.start](rng, spec.shape), FORMATS[spec.dtype])
        return Weights(values, spec.dtype, "transposed" if spec.layout == "transposed" else "contiguous")

    return [[one(spec) for spec in group.params] for group in problem.groups]


def constructor_groups(problem: Problem) -> list[Group]:
    """Groups as handed to a constructor."""
    rows = zip(weights(problem), problem.groups, strict=True)
    return [Group(tuple(row), dict(spec.options)) for row, spec in rows]


# ----------------------------------------------------------------------------------------------------------- gradients

#: (generator of this step, generator that is the same in every step, present weights, step number) -> gradient
Regime = Callable[[np.random.Generator, np.random.Generator, Array, int], Any]


def _noise(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return now.normal(size=y.shape)


def _growth(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return always.normal(size=y.shape) * (1 + 0.1 * now.normal(size=y.shape))


def _turn(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    """Three steps one way, then back: the numerator rises and falls."""
    return always.normal(size=y.shape) * (1 if t < 3 else -1) * (1 + 0.1 * now.normal(size=y.shape))


def _pull(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return y - always.normal(size=y.shape)


def _cancel(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return always.normal(size=y.shape) * (-1) ** t * (1 + 1e-3 * now.normal(size=y.shape))


def _wide(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return now.choice([-1.0, 1.0], size=y.shape) * 10 ** now.uniform(-10, 1, size=y.shape)


def _sparse(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return now.normal(size=y.shape) * (now.random(size=y.shape) < 0.2)


def _zero(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return np.zeros(y.shape)


def _dyadic_gradient(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return now.integers(-4, 5, size=y.shape) / 4.0


def _tiny(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return 1e-14 * now.normal(size=y.shape)


def _huge(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    return 1e9 * now.normal(size=y.shape)


def _underflow(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    """Sums of |s| at the edge of zero: the guard of PPSF-D-006 within its error bound."""
    return 2.0 ** now.integers(-149, -130, size=y.shape) * now.integers(0, 2, size=y.shape)


def _along(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    """Nearly parallel to the weights: OrthoGrad on both sides of its smallest component, and on the way between."""
    aside = 2.0 ** now.uniform(-11, -3)
    return now.normal() * y + aside * np.abs(y).max(initial=0.0) * now.normal(size=y.shape)


def _rank_one(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    """All slices alike but for their size: as a matrix of rank one."""
    return np.multiply.outer(now.normal(size=y.shape[:1]), now.normal(size=y.shape[1:]))


def _lone(now: np.random.Generator, always: np.random.Generator, y: Array, t: int) -> Any:
    """One element and no other."""
    gradient = np.zeros(y.shape)
    gradient.flat[: min(1, y.size)] = always.normal()
    return gradient


#: Regimes of which problems are drawn.
REGIMES: Mapping[str, Regime] = {
    "noise": _noise,
    "growth": _growth,
    "pull": _pull,
    "turning": _turn,
    "cancelling numerator": _cancel,
    "wide magnitudes": _wide,
    "sparse": _sparse,
    "zero gradient": _zero,
    "dyadic": _dyadic_gradient,
    "tiny gradient": _tiny,
    "huge gradient": _huge,
    "near guard": _underflow,
    "along weights": _along,
    "rank one": _rank_one,
}


#: All regimes: those, and the ones that only :data:`RARE` has.
ALL_REGIMES: Mapping[str, Regime] = {**REGIMES, "lone element": _lone}

#: Regimes in which d grows, drawn more often: most clauses show their faults only then.
GROWING = ("growth", "pull", "growth", "pull")


def gradients(problem: Problem, t: int, before: Snapshot) -> Gradients:
    """Gradients of step ``t`` (from 0), exact in the dtype of their parameter; None where one is missing."""
    regime = ALL_REGIMES[problem.regime]
    absent = np.random.default_rng([problem.seed, 2, t])
    rows: list[list[Array | None]] = []
    for i, (group, spec) in enumerate(zip(before.state.groups, problem.groups, strict=True)):
        row: list[Array | None] = []
        for j, (param, one) in enumerate(zip(group.params, spec.params, strict=True)):
            now, always = (np.random.default_rng([problem.seed, *key]) for key in ((3, t, i, j), (4, i, j)))
            gradient = nearest(problem.scale * regime(now, always, np.asarray(param.y), t), FORMATS[one.dtype])
            row.append(None if absent.random() < problem.missing else gradient)
        rows.append(row)
    return rows


def learning_rates(problem: Problem, t: int, given: tuple[float, ...]) -> tuple[float, ...]:
    """Each group's lr in step ``t``: the one given, or 0 while it pauses."""
    draws = np.random.default_rng([problem.seed, 5, t]).random(len(given))
    return tuple(0.0 if draw < problem.pauses else lr for draw, lr in zip(draws, given, strict=True))


# ------------------------------------------------------------------------------------------------------------- drawing

SHAPES: tuple[tuple[int, ...], ...] = (
    (5,), (3, 4), (), (1,), (11,), (12,), (23,), (33,), (0,), (32, 3), (3, 32), (31, 2), (34, 40), (40, 34), (33, 33),
    (2, 3, 4), (33, 3, 2), (2, 33, 3), (3, 2, 34), (4, 33, 33), (2, 3, 4, 5), (32, 2, 3, 2),
    (2, 3, 2, 33), (0, 33), (33, 0), (1, 32), (64, 1),
)  # fmt: skip

#: Values tried for each option; the first is what a shrunk problem has.
OPTION_VALUES: Mapping[str, tuple[Any, ...]] = {
    "lr": (1.0, 0.1, 2.0, 0.03),
    "betas": ((0.9, 0.99), (0.95, 0.999), (0.5, 0.9), (0.9, 0.0), (0.98, 0.95), (0.0, 0.95)),
    "beta3": (None, 0.0, 0.9, 0.999),
    "weight_decay": (0.0, 0.01, 0.3),
    "weight_decay_by_lr": (True, False),
    "use_bias_correction": (False, True, False),
    "d0": (1e-6, 1e-3, 1e-2, 1.0, 1e-8, 2.0),
    "d_coef": (1.0, 0.5, 2.0, 10.0),
    "prodigy_steps": (0, 1, 2, 3),
    "eps": (1e-8, None, 1e-3, 1e-12),
    "factored": (True, False),
    "factored_fp32": (True, False),
    "use_stableadamw": (True, False),
    "use_cautious": (False, True),
    "use_grams": (False, True),
    "use_adopt": (False, True, False),
    "use_speed": (False, True, False),
    "use_orthograd": (False, True, False),
    "use_focus": (False, True, False),
    "use_muon_pp": (False, True, False),
    "stochastic_rounding": (True, False),
    "split_groups": (True, False),
    "split_groups_mean": (True, False),
    "rounding_seed": (0, 1, 2**32 - 1),
    "fused_back_pass": (False, True),
    "beta4": (0.0, None, 0.9, -0.9, 0.99),
    "amplify_gradients": (False, True),
    "d_limiter": (True, False),
    "schedulefree_c": (0.0, 8.0, 50.0),
    "use_schedulefree": (True, False),
    "slice_p": (1, 11, 3),
    "bf16_state": (False, True),
    "warmup_steps": (0, 3, 6),
    "decouple": (True, False),
    "safeguard_warmup": (False, True),
    "fsdp_in_use": (False, True),
    "growth_rate": (math.inf, 1.02, 2.0),
    "cosine_decay": (False, True),
    "peak_patience": (50, 1, 0, 2),
    "total_training_steps": (None, 4, 6, 1),
    "r": (0.0, 1.0, 0.5),
    "weight_lr_power": (2.0, 0.0, 1.0),
}
#: Options a group may give for itself, and those it may only when it is a pool of its own.
IN_ANY_GROUP = (
    "lr", "weight_decay", "eps", "use_stableadamw", "factored", "use_cautious", "use_grams", "use_adopt",
    "use_orthograd", "use_focus", "use_muon_pp", "use_schedulefree", "slice_p", "r", "weight_lr_power",
)  # fmt: skip
IN_OWN_POOL = ("betas", "d0", "d_coef", "prodigy_steps", "use_speed", "warmup_steps", "d_limiter", "beta4")


def _some_of(draw: Draw, names: Iterable[str], have: frozenset[str], revision: Revision) -> dict[str, Any]:
    chosen = [name for name in names if name in have & revision.options and draw(st.booleans())]
    return {name: draw(st.sampled_from(values_of(name, revision))) for name in chosen}


def values_of(name: str, revision: Revision) -> tuple[Any, ...]:
    """Values of an option that a revision allows."""
    values = [value for value in OPTION_VALUES[name] if value is not None or name not in revision.needs]
    averages = options_of(revision).use_schedulefree
    return tuple(value for value in values if name != "betas" or value[0] > 0 or not averages)


def without_refused(given: dict[str, Any], overrides: dict[str, Any], revision: Revision) -> dict[str, Any]:
    """Options of a group less a beta2 that PPSF-X-008 refuses."""
    betas = overrides.get("betas", given.get("betas"))
    rectified = given.get("use_bias_correction", False) and revision.bias_correction != "adam"
    refused = rectified and betas is not None and betas[1] <= LEAST_RECTIFIED
    return {**overrides, "betas": OPTION_VALUES["betas"][0]} if refused else overrides


@st.composite
def problems(
    draw: Draw,
    dtypes: tuple[str, ...],
    options: frozenset[str],
    regime: str = "",
    revision: str = "1.9",
    always: Mapping[str, Any] = MappingProxyType({}),
    limits: frozenset[str] = frozenset(),
    shapes: tuple[tuple[int, ...], ...] = SHAPES,
) -> Problem:
    """Problems of one regime, or of any, for an implementation that takes these dtypes and has these options.

    Args:
        always: options that every problem has.
        limits: what no problem has, of :data:`ppsf_conformance.adapter.LIMITS`.
        shapes: of its parameters.
    """
    law = load_revision(revision)
    given = {**_some_of(draw, OPTION_VALUES, options, law), **always}
    given = without_refused(given, given, law)
    split = whole_options(law, given).get("split_groups", True)
    own = IN_ANY_GROUP + (IN_OWN_POOL if split else ())
    layouts = draw(st.sampled_from((("contiguous",), ("contiguous", "transposed"))))
    groups = []
    for _ in range(1 if "own_options" in limits else draw(st.integers(1, 3))):
        params = draw(
            st.lists(
                st.builds(
                    ParamSpec,
                    shape=st.sampled_from(shapes),
                    dtype=st.sampled_from(dtypes),
                    start=st.sampled_from(tuple(STARTS)),
                    layout=st.sampled_from(layouts),
                ),
                min_size=1,
                max_size=3,
            )
        )
        overrides = _some_of(draw, own, options, law) if draw(st.booleans()) else {}
        overrides = {} if "own_options" in limits else overrides
        groups.append(GroupSpec(tuple(params), without_refused(given, overrides, law)))
    return Problem(
        options=given,
        groups=tuple(groups),
        revision=revision,
        regime=regime or draw(st.sampled_from(tuple(REGIMES))),
        scale=draw(st.sampled_from((1.0, 1e-3, 30.0))),
        steps=draw(st.integers(3, 8)),
        seed=draw(st.integers(0, 2**32 - 1)),
        missing=0.0 if "missing_gradients" in limits else draw(st.sampled_from((0.0, 0.3))),
        pauses=0.0 if "changing_lr" in limits else draw(st.sampled_from((0.0, 0.0, 0.2))),
        switches=draw(st.booleans()),
    )
