"""The step vectors to be made: for each revision what is set, who takes part, and how many steps lead up to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ppsf_conformance.problems import values_of
from ppsf_ref import Revision, load_revision

Call = Literal["step", "eval", "train"]


@dataclass(frozen=True)
class Param:
    """One parameter."""

    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Scene:
    """One step vector: a state that ``lead`` steps have made, and one call from there.

    Attributes:
        options: for all groups; ``own`` those of each group.
        gradients: how they come about (:data:`ppsf_conformance.vectors.trajectory.GRADIENTS`).
        absent: places of parameters without a gradient in the last step.
    """

    comment: str
    revision: str
    flags: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[tuple[Param, ...], ...] = ((Param((3,)),),)
    own: Sequence[Mapping[str, Any]] = ()
    lead: int = 3
    gradients: str = "steady"
    absent: tuple[tuple[int, int], ...] = ()
    call: Call = "step"


VECTOR, MATRIX = ((Param((3,)),),), ((Param((2, 3)),),)
FACTORED = ((Param((2, 32)),),)
BF16 = ((Param((5,), "bfloat16"),),)
PAIR = ((Param((3,)),), (Param((2,)),))

#: Options for which a plain vector would show nothing.
GROUPS_FOR: Mapping[str, Any] = {
    "use_muon_pp": MATRIX,
    "factored": MATRIX,
    "factored_fp32": ((Param((32, 2), "bfloat16"),),),
    "stochastic_rounding": BF16,
    "rounding_seed": BF16,
    "bf16_state": ((Param((12,)),),),
    "use_cautious": MATRIX,
    "use_grams": MATRIX,
    "slice_p": ((Param((5,)),),),
    "split_groups": PAIR,
    "split_groups_mean": PAIR,
}
#: What goes with an option so that it shows.
WITH: Mapping[str, Mapping[str, Any]] = {
    "peak_patience": {"cosine_decay": True, "total_training_steps": 9},
    "cosine_decay": {"peak_patience": 0, "total_training_steps": 9},
    "total_training_steps": {"cosine_decay": True, "peak_patience": 0},
    "weight_decay_by_lr": {"weight_decay": 0.3},
    "decouple": {"weight_decay": 0.3},
    "safeguard_warmup": {"lr": 0.5},
}
#: A first estimate with which steps are long enough for every part of them to be seen in float32.
LARGE = 2.0**-7
#: Options that matter where gradients have changed their sign.
TURNING = frozenset({"use_cautious", "use_grams", "use_speed", "beta4"})
#: Options whose effect comes later or from other gradients than the rest.
LEAD: Mapping[str, int] = {
    "use_bias_correction": 6,
    "prodigy_steps": 2,
    "use_speed": 4,
    "use_cautious": 4,
    "use_grams": 4,
    "beta4": 5,
}
#: What needs several processes, and what has no effect on one step.
LEFT_OUT = frozenset({"fsdp_in_use", "fused_back_pass"})


def _for_option(name: str, value: Any, revision: Revision) -> Scene:
    large = {"d0": LARGE} if "d0" in revision.options else {}
    options = {**large, **WITH.get(name, {}), name: value}
    flags = ("Factored",) if name == "factored" and value else ()
    groups = GROUPS_FOR.get(name, VECTOR)
    shown = "None" if value is None else value
    gradients = "turning" if name in TURNING else "steady"
    return Scene(f"{name} {shown}", revision.name, flags, options, groups, (), LEAD.get(name, 3), gradients)


def _of_options(revision: Revision) -> list[Scene]:
    scenes = []
    for name in sorted(revision.options - LEFT_OUT):
        default = {"lr": 1.0, **revision.defaults}.get(name)
        values = [v for v in values_of(name, revision) if v != default][:2]
        scenes += [_for_option(name, v, revision) for v in values if _allowed(name, v, revision)]
    return scenes


def _allowed(name: str, value: Any, revision: Revision) -> bool:
    averages = revision.defaults.get("use_schedulefree", True)
    return not (name == "betas" and averages and value[0] == 0)


def _common(name: str) -> list[Scene]:
    """What every revision is shown with its defaults."""
    fewer = ("FirstStep", "DefaultOptions")
    return [
        Scene("the first step", name, fewer, lead=0),
        Scene("the second step", name, ("DefaultOptions",), lead=1),
        Scene("the eighth step, gradients that agree", name, ("DefaultOptions",), lead=7),
        Scene("gradients that change their sign", name, ("DefaultOptions",), lead=4, gradients="turning"),
        Scene("gradients of zeros from the start", name, (*fewer, "ZeroGradient"), lead=0, gradients="zero"),
        Scene("gradients of zeros later", name, ("DefaultOptions", "ZeroGradient"), lead=3, gradients="ceasing"),
        Scene("tiny gradients", name, ("DefaultOptions",), gradients="tiny"),
        Scene("gradients of all sizes", name, ("DefaultOptions", "WideMagnitudes"), gradients="wide"),
        Scene("a number without dimensions", name, ("DefaultOptions", "Edge"), groups=((Param(()),),)),
        Scene(
            "a parameter without elements beside another",
            name,
            ("DefaultOptions", "Edge"),
            groups=((Param((0,)), Param((2,))),),
        ),
        Scene(
            "one parameter has no gradient",
            name,
            ("DefaultOptions",),
            groups=((Param((2,)), Param((3,))),),
            absent=((0, 1),),
        ),
        Scene(
            "one parameter comes late",
            name,
            ("DefaultOptions",),
            groups=((Param((2,)), Param((3,))),),
            gradients="late",
        ),
        Scene("no gradient at all", name, ("DefaultOptions", "Edge"), absent=((0, 0),)),
        Scene(
            "a NaN in one gradient: nothing changes",
            name,
            ("DefaultOptions", "NonFinite"),
            groups=((Param((2,)), Param((3,))),),
            gradients="nan",
        ),
        Scene("one group is switched off by lr 0", name, ("Zero",), groups=PAIR, own=({}, {"lr": 0.0})),
        Scene("three dimensions", name, ("DefaultOptions",), groups=((Param((2, 3, 2)),),)),
        Scene("bfloat16", name, ("DefaultOptions",), groups=BF16, lead=4),
    ]


def _modes(name: str) -> list[Scene]:
    return [
        Scene("to eval mode: x from y and z", name, ("DefaultOptions",), lead=4, call="eval"),
        Scene("to eval mode, bfloat16", name, ("DefaultOptions",), groups=BF16, lead=4, call="eval"),
        Scene("to eval mode before the first step", name, ("DefaultOptions", "Edge"), lead=0, call="eval"),
        Scene("back to train mode: y from x and z", name, ("DefaultOptions",), lead=4, call="train"),
        Scene("back to train mode, bfloat16", name, ("DefaultOptions",), groups=BF16, lead=4, call="train"),
    ]


def _own(name: str) -> list[Scene]:
    """What one revision alone has."""
    return {
        "1.9": [
            Scene("factored, the row is the longer axis", name, ("DefaultOptions", "Factored"), groups=FACTORED),
            Scene("factored, bfloat16", name, ("DefaultOptions", "Factored"), groups=((Param((32, 2), "bfloat16"),),)),
            Scene("Adam-atan2, first step: bound 50", name, ("FirstStep",), {"eps": None}, lead=0),
            Scene("cautious and Grams: cautious wins", name, (), {"use_cautious": True, "use_grams": True}),
            Scene("ADOPT, first step: fills only", name, ("FirstStep",), {"use_adopt": True}, lead=0),
            Scene("ADOPT with Adam-atan2", name, (), {"use_adopt": True, "eps": None}),
            Scene("FOCUS and Muon: FOCUS wins", name, (), {"use_focus": True, "use_muon_pp": True}, MATRIX),
            Scene("Muon beside a vector", name, (), {"use_muon_pp": True}, ((Param((2, 3)), Param((3,))),)),
            Scene(
                "decay beside the update, cautious",
                name,
                (),
                {"weight_decay": 0.3, "weight_decay_by_lr": False, "use_cautious": True},
            ),
            Scene("three groups, one of them new", name, (), groups=(*PAIR, (Param((2,)),)), gradients="late"),
            Scene("SPEED, groups in one pool", name, (), {"use_speed": True, "split_groups": False}, PAIR),
            Scene("the first step after the window", name, (), {"prodigy_steps": 3}),
            Scene("the estimate had grown: memory is rescaled", name, (), {"d0": 1e-3}, lead=5),
            Scene("the last step of the window", name, (), {"prodigy_steps": 4}),
            Scene("stochastic rounding of two parameters", name, (), TWO_ROUNDED, (BF16[0] * 2,), lead=4),
            Scene("Muon, not clipped", name, (), {"use_muon_pp": True, "use_stableadamw": False, "d0": LARGE}, MATRIX),
            Scene("Muon of a tensor", name, (), {"use_muon_pp": True, "d0": LARGE}, ((Param((2, 3, 2)),),)),
            Scene("FOCUS of a factored group", name, (), {"use_focus": True, "d0": LARGE}, FACTORED),
            Scene(
                "cautious and Grams, signs that disagree",
                name,
                (),
                {"use_cautious": True, "use_grams": True, "d0": LARGE},
                MATRIX,
                lead=4,
                gradients="turning",
            ),
            Scene("ADOPT, a parameter comes late", name, (), {"use_adopt": True, "d0": LARGE}, PAIR, gradients="late"),
            Scene("amplified, moving estimate", name, (), {"amplify_gradients": True, "beta4": 0.9}),
            Scene(
                "a NaN in a fused step: one parameter sits out",
                name,
                ("NonFinite",),
                {"fused_back_pass": True},
                ((Param((2,)), Param((3,))),),
                gradients="nan",
            ),
            Scene("float16", name, ("DefaultOptions",), groups=((Param((5,), "float16"),),), lead=4),
        ],
        "2.0": [
            Scene("factored", name, ("DefaultOptions", "Factored"), groups=FACTORED),
            Scene("stochastic rounding of two parameters", name, (), TWO_ROUNDED, (BF16[0] * 2,), lead=4),
            Scene(
                "SPEED off its peak",
                name,
                (),
                {"use_speed": True, "d0": LARGE, "d_coef": 2.0},
                lead=6,
                gradients="turning",
            ),
            Scene("Adam-atan2", name, (), {"eps": None, "d0": LARGE}),
            Scene("refined averaging, cut", name, (), {"schedulefree_c": 50.0, "d0": LARGE}, lead=1),
            Scene("SPEED without averaging", name, (), {"use_speed": True, "use_schedulefree": False}, lead=5),
            Scene(
                "cautious, without averaging",
                name,
                (),
                {"use_cautious": True, "use_schedulefree": False, "d0": LARGE},
                MATRIX,
                lead=4,
                gradients="turning",
            ),
            Scene(
                "Grams, without averaging",
                name,
                (),
                {"use_grams": True, "use_schedulefree": False, "d0": LARGE},
                MATRIX,
                lead=4,
                gradients="turning",
            ),
            Scene("ADOPT, without averaging", name, (), {"use_adopt": True, "use_schedulefree": False}, lead=4),
            Scene(
                "bias correction, without averaging", name, (), {"use_bias_correction": True, "use_schedulefree": False}
            ),
            Scene("bias correction, with averaging", name, (), {"use_bias_correction": True}, lead=7),
            Scene("decay without averaging", name, (), {"weight_decay": 0.3, "use_schedulefree": False}),
            Scene(
                "whole decay without averaging",
                name,
                (),
                {"weight_decay": 0.3, "weight_decay_by_lr": False, "use_schedulefree": False},
            ),
            Scene("no first moment", name, (), {"betas": (0.0, 0.95), "use_schedulefree": False}),
            Scene("no limiter", name, (), {"d_limiter": False, "d_coef": 2.0}, lead=5),
            Scene("the first step after the window", name, (), {"prodigy_steps": 3}),
            Scene("the ceiling of the estimate", name, ("WideMagnitudes",), {"d0": 2.0**40, "lr": 2.0**-60}),
            Scene("groups with their harmonic mean", name, (), {"split_groups_mean": True}, PAIR),
        ],
        "update3": [
            Scene("factored, a small matrix", name, ("Factored",), {"factored": True}, MATRIX),
            Scene("factored, a column of three", name, ("Factored",), {"factored": True}, ((Param((3, 2, 2)),),)),
            Scene("in warm-up with bias correction", name, (), {"warmup_steps": 9, "use_bias_correction": True}),
            Scene("not amplified", name, (), {"amplify_gradients": False}, lead=5),
            Scene("falling estimate", name, (), {"beta4": -0.9, "d0": 1e-3}, lead=5, gradients="turning"),
            Scene("decay", name, (), {"weight_decay": 0.3}, MATRIX),
        ],
        "prodigy": [
            Scene(
                "in the decay", name, (), {"cosine_decay": True, "peak_patience": 1, "total_training_steps": 9}, lead=6
            ),
            Scene(
                "beyond the decay",
                name,
                ("Edge",),
                {"cosine_decay": True, "peak_patience": 1, "total_training_steps": 3, "safeguard_warmup": True},
                lead=7,
                gradients="turning",
            ),
            Scene("length of training not given", name, (), {"cosine_decay": True, "peak_patience": 0}, lead=6),
            Scene("bias correction", name, (), {"use_bias_correction": True}, lead=6),
            Scene("no first moment", name, (), {"betas": (0.0, 0.95)}),
            Scene("growth capped from d0", name, (), {"growth_rate": 1.02}, lead=1),
            Scene("coupled decay", name, (), {"decouple": False, "weight_decay": 0.3}, MATRIX),
            Scene("two groups, one estimate", name, ("DefaultOptions",), groups=PAIR, lead=5),
        ],
        "schedulefree": [
            Scene("rectified", name, (), {"use_bias_correction": True}, lead=7),
            Scene("not yet rectified: no step", name, ("Zero",), {"use_bias_correction": True}, lead=2),
            Scene("in warm-up", name, (), {"warmup_steps": 9}),
            Scene(
                "weights by k and by the root of the step size", name, (), {"r": 1.0, "weight_lr_power": 0.5}, lead=5
            ),
            Scene("decay", name, (), {"weight_decay": 0.3}, MATRIX),
        ],
    }[name]


#: Steps long enough that the random bits decide.
TWO_ROUNDED: Mapping[str, Any] = {"d0": LARGE, "rounding_seed": 7}


def scenes(name: str) -> list[Scene]:
    """All of a revision. New ones are added at the end of their list: the order numbers the cases."""
    revision = load_revision(name)
    modes = _modes(name) if revision.defaults.get("use_schedulefree", True) else []
    return [*_common(name), *modes, *_own(name), *_of_options(revision)]
