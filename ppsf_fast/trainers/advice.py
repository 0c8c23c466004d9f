"""What goes wrong where these optimizers are used, and what to do instead."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer, lr_scheduler

Group = dict[str, Any]
#: Steps after which an estimate that has never grown is a reason to look.
PATIENCE = 100


@dataclass(frozen=True, slots=True)
class Situation:
    """How an optimizer is used; see :func:`check`."""

    groups: list[Group]
    schedulers: tuple[Any, ...] = ()
    max_grad_norm: float | None = None
    warmup_steps: int = 0
    total_steps: int | None = None
    accumulation_steps: int = 1
    saving: bool = False

    @property
    def first(self) -> Group:
        """The first group: what belongs to the whole optimizer is read there."""
        return self.groups[0]

    @property
    def estimates(self) -> bool:
        """Whether the step size is estimated."""
        return "d" in self.first and "d0" in self.first

    @property
    def averages(self) -> bool:
        """Whether weights are averaged, so that there is an eval mode."""
        # Not by `train_mode`: Prodigy of this package has it too, and nothing changes there.
        return "weight_sum" in self.first and bool(self.first.get("use_schedulefree", True))

    @property
    def clips(self) -> bool:
        """Whether gradients need no clipping outside, since updates are limited inside."""
        return any(group.get("use_stableadamw") or group.get("eps", 0) is None for group in self.groups)


@dataclass(frozen=True, slots=True)
class Rule:
    """A pitfall. `found` tells what was found, or None; `sentences` are rows of spec/sentences that name it, or else
    there is another `source`."""

    id: str
    found: Callable[[Situation], str | None]
    todo: str
    sentences: tuple[str, ...] = ()
    source: str = "OneTrainer's page"


@dataclass(frozen=True, slots=True)
class Advice:
    """A rule that applies."""

    rule: str
    message: str
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.message} [{', '.join((self.rule, *self.sentences))}]"


class AdviceWarning(UserWarning):
    """What :func:`check` warns with."""


def _rates(situation: Situation) -> list[float]:
    return [float(group["initial_lr"] if "initial_lr" in group else group["lr"]) for group in situation.groups]


def _lr(situation: Situation) -> str | None:
    off = [rate for rate in _rates(situation) if rate not in (0.0, 1.0)]  # 0 pauses a group
    return f"lr is {off[0]:g}, and multiplies the estimated step size" if situation.estimates and off else None


def _lr_differs(situation: Situation) -> str | None:
    rates = sorted(set(_rates(situation)) - {0.0})
    differ = situation.estimates and len(rates) > 1
    return f"the groups have different lr, {', '.join(f'{rate:g}' for rate in rates)}" if differ else None


def _clipping(situation: Situation) -> str | None:
    norm = situation.max_grad_norm or 0
    if norm > 0 and situation.estimates and situation.clips:
        return f"gradients are clipped outside to {norm:g}, which disturbs the estimate"
    return None


def _restarts(situation: Situation) -> str | None:
    if not situation.estimates or situation.first.get("safeguard_warmup"):
        return None
    for scheduler in situation.schedulers:
        if _climbs(scheduler, situation.total_steps):
            return f"{type(scheduler).__name__} raises the learning rate again"
    return None


def _climbs(scheduler: Any, total: int | None) -> bool:
    if isinstance(scheduler, lr_scheduler.CosineAnnealingLR):
        return total is not None and scheduler.T_max < total
    if isinstance(scheduler, lr_scheduler.CosineAnnealingWarmRestarts | lr_scheduler.CyclicLR):
        return True
    return any("restart" in getattr(each, "__qualname__", repr(each)) for each in getattr(scheduler, "lr_lambdas", ()))


def _two_decays(situation: Situation) -> str | None:
    both = situation.first.get("cosine_decay") and any(map(_moves, situation.schedulers))
    return "the built-in cosine decay and a scheduler both lower the learning rate" if both else None


def _schedule(situation: Situation) -> str | None:
    moving = [scheduler for scheduler in situation.schedulers if _moves(scheduler)]
    if situation.averages and moving:
        return (
            f"{type(moving[0]).__name__} changes the learning rate, and the average already does the work of a schedule"
        )
    return None


def _cycled(situation: Situation) -> str | None:
    cycling = [each for each in situation.schedulers if getattr(each, "cycle_momentum", False)]
    if not (situation.averages and cycling):
        return None
    return f"{type(cycling[0]).__name__} moves betas[0], by which the average follows from the weights"


def _moves(scheduler: Any) -> bool:
    if isinstance(scheduler, lr_scheduler.LambdaLR):  # so trainers write a constant too
        return any(share(step) != share(0) for share in scheduler.lr_lambdas for step in (1, 10, 100, 1000))
    return not isinstance(scheduler, lr_scheduler.ConstantLR) or scheduler.factor != 1


def _warmup(situation: Situation) -> str | None:
    if not situation.estimates or situation.first.get("safeguard_warmup"):
        return None
    warms = situation.warmup_steps > 0 or any(
        isinstance(each, lr_scheduler.LinearLR) and each.start_factor < each.end_factor for each in situation.schedulers
    )
    return "the learning rate is warmed up, after which the estimate can come out too high" if warms else None


def _mode(situation: Situation) -> str | None:
    training = situation.averages and any(group.get("train_mode", True) for group in situation.groups)
    return (
        "weights are about to be saved in train mode, and are not the average"
        if situation.saving and training
        else None
    )


def _stuck(situation: Situation) -> str | None:
    if not situation.estimates:
        return None
    for group in situation.groups:
        steps = int(group.get("k", 0))
        if steps >= PATIENCE and float(group["d"]) <= group["d0"]:
            name = group.get("name", "a group")
            return f"the estimate of {name} is still d0={group['d0']:g} in step {steps}"
    return None


def _accumulation(situation: Situation) -> str | None:
    both = situation.accumulation_steps > 1 and any(group.get("fused_back_pass") for group in situation.groups)
    return (
        "the step inside the backward pass uses each gradient at once, and gradients are accumulated" if both else None
    )


RULES = (
    Rule(
        "lr-not-1", _lr,
        "Leave lr at 1; to move the estimate, change d_coef.",
        ("S-001-44", "S-001-103", "S-002-23", "S-002-25"),
    ),
    Rule("lr-differs", _lr_differs, "Give all networks lr=1; to steer one, give its group another d_coef."),
    Rule(
        "clipping-outside", _clipping,
        "Switch clipping off in the trainer, or inside with use_stableadamw=False and an eps.",
        ("S-000-19", "S-001-31", "S-001-45", "S-001-109"),
    ),
    Rule(
        "restarts", _restarts,
        "Use no scheduler, or a cosine over exactly as many steps as it is called; Prodigy has safeguard_warmup=True.",
        ("S-000-18", "S-001-43", "S-002-36", "S-002-37"),
    ),
    Rule("two-decays", _two_decays, "Keep one of them.", ("S-002-38",)),
    Rule("schedule-and-average", _schedule, "Use a constant learning rate.", ("S-001-24", "S-001-41")),
    Rule("betas-move", _cycled, "Give it cycle_momentum=False.", source="PPSF-Z-005"),
    Rule(
        "warmup", _warmup,
        "Leave the warmup out; Prodigy can have safeguard_warmup=True instead.",
        ("S-002-39", "S-002-40"),
    ),
    Rule(
        "saving-in-train-mode", _mode,
        "Call optimizer.eval() before, and optimizer.train() after.",
        ("S-000-17", "S-001-25"),
    ),
    Rule(
        "estimate-stuck", _stuck,
        "Is lr 1, and nothing clips outside? Then try a smaller d0 (1e-7), or, if larger steps would do, a larger one "
        "(1e-5, 1e-4), or d_coef=2.",
        ("S-001-102", "S-001-105", "S-001-107", "S-002-45", "S-002-46"),
    ),
    Rule(
        "fused-accumulation", _accumulation,
        "Put all passes but the last into accumulating() of fuse_backward(), or switch one of them off.",
    ),
)  # fmt: skip


def check(
    optimizer: Optimizer,
    *,
    scheduler: Any = None,
    max_grad_norm: float | None = None,
    warmup_steps: int = 0,
    total_steps: int | None = None,
    accumulation_steps: int = 1,
    saving: bool = False,
    warn: bool = True,
) -> tuple[Advice, ...]:
    """Look for the known pitfalls; each one found is returned, and warned of unless `warn` is False.

    Call it when all is set up, now and then in training (d that does not move), and with `saving` before weights are
    saved. It changes nothing; it reads what the groups hold, so the same classes of other packages are served too.

    Args:
        optimizer: also a wrapped one, if it shows `param_groups`.
        scheduler: of the learning rate, if there is one.
        max_grad_norm: to which the trainer clips gradients; None or 0: it does not.
        warmup_steps: of the trainer.
        total_steps: how often the scheduler will be called.
        accumulation_steps: how many batches one step has.
        saving: whether weights are saved or evaluated next.
        warn: False: only return.
    """
    situation = Situation(
        list(optimizer.param_groups), tuple(_all(scheduler)), max_grad_norm, warmup_steps, total_steps,
        accumulation_steps, saving,
    )  # fmt: skip
    found = tuple(_apply(situation))
    for advice in found if warn else ():
        warnings.warn(str(advice), AdviceWarning, stacklevel=2)
    return found


def _apply(situation: Situation) -> Iterator[Advice]:
    for rule in RULES:
        message = rule.found(situation)
        if message is not None:
            yield Advice(rule.id, f"{message[0].upper()}{message[1:]}. {rule.todo}", rule.sentences)


def _all(scheduler: Any) -> Iterator[Any]:
    """A scheduler, or those that it is made of; accelerate's wrapper holds one in `scheduler`."""
    scheduler = getattr(scheduler, "scheduler", scheduler)
    parts = getattr(scheduler, "_schedulers", None)
    if parts is not None:
        for part in parts:
            yield from _all(part)
    elif scheduler is not None:
        yield scheduler
