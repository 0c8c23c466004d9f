"""What stays the same for a group during a step: its options, lifted into the number type, and its place."""

from __future__ import annotations

from dataclasses import dataclass

from ppsf_ref.clauses.distance import NO_WINDOW, Window, window
from ppsf_ref.clauses.modifiers import corrected_beta2
from ppsf_ref.clauses.options import correction, resolved_beta3, resolved_beta4
from ppsf_ref.numbers import Number, Numbers
from ppsf_ref.options import Config, Options, Revision
from ppsf_ref.state import GroupState


@dataclass(frozen=True)
class Frame:
    """One group in one step.

    ``beta2`` is the coefficient of the second moment in this step, ``given_beta2`` the one in the options; ``first``
    is the index of the group's first parameter among those of all groups.
    """

    options: Options
    dtypes: tuple[str, ...]
    first: int
    seed: int
    revision: Revision
    window: Window
    numbers: Numbers
    lr: Number
    beta1: Number
    beta2: Number
    given_beta2: Number
    beta3: Number
    beta4: Number
    weight_decay: Number
    d0: Number
    d_coef: Number
    eps: Number | None

    @property
    def averages(self) -> bool:
        """Whether weights are averaged."""
        return self.options.use_schedulefree

    @property
    def averages_moment(self) -> bool:
        """Whether a first moment takes the place of the gradient."""
        return not self.options.use_schedulefree and self.options.betas[0] > 0


def frames(config: Config, groups: tuple[GroupState, ...], numbers: Numbers) -> list[Frame]:
    """One frame per group."""
    made, first = [], 0
    for options, dtypes, group in zip(config.groups, config.dtypes, groups, strict=True):
        made.append(_frame(config, options, dtypes, first, group.k, numbers))
        first += len(dtypes)
    return made


def _frame(config: Config, options: Options, dtypes: tuple[str, ...], first: int, k: int, numbers: Numbers) -> Frame:
    beta1, beta2 = map(numbers.scalar, options.betas)
    beta3 = None if options.beta3 is None else numbers.scalar(options.beta3)
    revision = config.revision
    kind = correction(revision.bias_correction, options.use_schedulefree)  # O-011
    corrects = options.use_bias_correction and kind == "radam_in_moment"
    estimates = revision.estimate != "none"
    return Frame(
        options=options,
        dtypes=dtypes,
        first=first,
        seed=config.rounding_seed,
        revision=revision,
        window=window(k, options.prodigy_steps) if estimates else NO_WINDOW,  # D-008
        numbers=numbers,
        lr=numbers.scalar(options.lr),
        beta1=beta1,
        beta2=corrected_beta2(beta2, k) if corrects else beta2,  # M-004
        given_beta2=beta2,
        beta3=resolved_beta3(beta3, beta2),  # O-001
        beta4=numbers.scalar(resolved_beta4(options.beta4, options.betas[1])),  # O-010
        weight_decay=numbers.scalar(options.weight_decay),
        d0=numbers.scalar(options.d0),
        d_coef=numbers.scalar(options.d_coef),
        eps=None if options.eps is None else numbers.scalar(options.eps),
    )
