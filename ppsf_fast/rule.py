"""What the options of one group mean in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter, is_, itemgetter
from typing import Any

from ppsf_fast.options import all_options, correction_of, resolved_beta3, resolved_beta4
from ppsf_fast.revisions import Revision

#: Every option whose value is read as it stands, by the name of the field that holds it.
_AS_GIVEN = {
    "lr": "lr",
    "weight_decay": "weight_decay",
    "weight_decay_by_lr": "weight_decay_by_lr",
    "decouple": "decouple",
    "bias_correction": "use_bias_correction",
    "warmup_steps": "warmup_steps",
    "d0": "d0",
    "d_coef": "d_coef",
    "d_limiter": "d_limiter",
    "growth_rate": "growth_rate",
    "safeguard_warmup": "safeguard_warmup",
    "sums_processes": "fsdp_in_use",
    "amplifies": "amplify_gradients",
    "stride": "slice_p",
    "prodigy_steps": "prodigy_steps",
    "cosine_decay": "cosine_decay",
    "peak_patience": "peak_patience",
    "total_steps": "total_training_steps",
    "eps": "eps",
    "cautious": "use_cautious",
    "speed": "use_speed",
    "adopt": "use_adopt",
    "orthograd": "use_orthograd",
    "focus": "use_focus",
    "factored_fp32": "factored_fp32",
    "bf16_state": "bf16_state",
    "averages": "use_schedulefree",
    "schedulefree_c": "schedulefree_c",
    "r": "r",
    "weight_lr_power": "weight_lr_power",
    "stochastic_rounding": "stochastic_rounding",
    "rounding_seed": "rounding_seed",
    "split": "split_groups",
    "split_mean": "split_groups_mean",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What the options of one group mean in one step; read anew in every step, since trainers edit groups.

    Attributes:
        stride: every how manieth element enters the statistics.
        clip: whether the root mean square of the update is limited.
        averages: whether weights are averaged.
        keeps_moment: whether a first moment takes the place of the gradient.

    The others are options under their own names or shorter ones.
    """

    revision: Revision
    lr: float
    beta1: float
    beta2: float
    beta3: float
    beta4: float
    weight_decay: float
    weight_decay_by_lr: bool
    decouple: bool
    bias_correction: bool
    warmup_steps: int
    d0: float
    d_coef: float
    d_limiter: bool
    growth_rate: float
    safeguard_warmup: bool
    sums_processes: bool
    amplifies: bool
    stride: int
    prodigy_steps: int
    cosine_decay: bool
    peak_patience: int
    total_steps: int | None
    eps: float | None
    clip: bool
    cautious: bool
    grams: bool
    speed: bool
    adopt: bool
    orthograd: bool
    focus: bool
    muon: bool
    factored: bool
    factored_fp32: bool
    bf16_state: bool
    averages: bool
    keeps_moment: bool
    schedulefree_c: float
    r: float
    weight_lr_power: float
    stochastic_rounding: bool
    rounding_seed: int
    split: bool
    split_mean: bool

    @staticmethod
    def of(group: Mapping[str, Any], revision: Revision) -> Rule:
        """The rule of a group that has all options of the revision."""
        options = all_options(group, revision)
        betas = options["betas"]
        return Rule(
            revision=revision,
            beta1=betas[0],
            beta2=betas[1],
            beta3=resolved_beta3(options),
            beta4=resolved_beta4(options),
            clip=options["use_stableadamw"] and options["eps"] is not None,
            # clause: PPSF-O-004 bc701ced
            grams=options["use_grams"] and not options["use_cautious"],
            # clause: PPSF-O-006 45c20495
            muon=options["use_muon_pp"] and not options["use_focus"],
            # clause: PPSF-O-005 935b06a7
            factored=options["factored"] and not options["use_focus"],
            keeps_moment=not options["use_schedulefree"] and betas[0] > 0,
            **{field: options[name] for field, name in _AS_GIVEN.items()},
        )

    @property
    def correction(self) -> str:
        """Which bias correction applies where one does."""
        return correction_of(self.revision, self.averages)

    @property
    def by_signs(self) -> bool:
        """Whether SPEED makes the statistics of signs."""
        return self.speed and self.revision.speed == "signs"

    @property
    def by_displacement(self) -> bool:
        """Whether SPEED makes the statistics of displacements, without a gradient sum."""
        return self.speed and self.revision.speed == "displacement"

    @property
    def decays(self) -> bool:
        """Whether weights decay, apart from the gradient."""
        return self.weight_decay != 0 and self.decouple

    @property
    def penalizes(self) -> bool:
        """Whether the gradient is that of the loss with an l2 penalty."""
        return self.weight_decay != 0 and not self.decouple


#: Numbers that schedules move: nothing that is laid out for a step depends on them.
_MOVING = frozenset(("lr", "weight_decay", "beta1", "beta2", "beta3", "beta4"))
_lasting = attrgetter(*(entry.name for entry in fields(Rule) if entry.name not in _MOVING))


def alike(one: Rule, other: Rule) -> bool:
    """Whether two rules differ in numbers at most that a schedule moves."""
    return one is other or bool(_lasting(one) == _lasting(other))


#: Kinds of values that cannot be changed in place.
_PLAIN = frozenset((bool, int, float, str, type(None)))


class Rulebook:
    """The rules of an optimizer's groups: the same objects for as long as the options have the same values."""

    def __init__(self, revision: Revision) -> None:
        self._revision = revision
        self._options = itemgetter(*(name for name in revision.options if name != "betas"))
        self._known: dict[int, tuple[tuple[object, ...], Rule]] = {}

    def of(self, groups: Sequence[Mapping[str, Any]]) -> list[Rule]:
        """The rules of groups that have all options of the revision."""
        return [self._of(place, group) for place, group in enumerate(groups)]

    def _of(self, place: int, group: Mapping[str, Any]) -> Rule:
        values = (*self._options(group), *group["betas"])
        known = self._known.get(place)
        if known is not None and known[0] == values:
            return known[1]
        rule = Rule.of(group, self._revision)
        if _PLAIN.issuperset(map(type, values)):  # what can be changed in place would equal itself afterwards
            self._known[place] = values, rule
        return rule


def same(some: Sequence[Rule], others: Sequence[Rule]) -> bool:
    """Whether rules are the same objects: nothing has changed then, though if not, nothing need have."""
    return len(some) == len(others) and all(map(is_, some, others))
