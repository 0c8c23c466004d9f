"""Each pitfall is noticed, and its remedy is not."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prodigyopt
import pytest
import torch
from torch.optim import lr_scheduler

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.trainers import AdviceWarning, Schedule, check
from ppsf_fast.trainers.advice import RULES

SENTENCES = Path(__file__).resolve().parents[2] / "spec" / "sentences"
Case = tuple[str, Callable[[], tuple[Any, dict[str, Any]]], Callable[[], tuple[Any, dict[str, Any]]]]


def groups(*lrs: float) -> list[dict[str, Any]]:
    return [{"params": [torch.nn.Parameter(torch.ones(3))], "lr": lr} for lr in lrs]


def ppsf(*lrs: float, **options: Any) -> Any:
    return ProdigyPlusScheduleFree(groups(*(lrs or (1.0,))), **options)


def prodigy(*lrs: float, **options: Any) -> Any:
    return Prodigy(groups(*(lrs or (1.0,))), **options)


def driven(optimizer: Any, make: Callable[[Any], Any], **rest: Any) -> tuple[Any, dict[str, Any]]:
    return optimizer, {"scheduler": make(optimizer), **rest}


def evaluated(optimizer: Any) -> Any:
    optimizer.eval()
    return optimizer


def after(steps: int, slope: float) -> Any:
    """With a gradient of `slope` everywhere; where there is none, the estimate has nothing to go by."""
    optimizer = ppsf()
    param = optimizer.param_groups[0]["params"][0]
    for _ in range(steps):
        param.grad = torch.full((3,), slope)
        optimizer.step()
    return optimizer


def restarting(each: Any) -> Any:
    return lr_scheduler.CosineAnnealingWarmRestarts(each, 5)


def cosine(each: Any) -> Any:
    return lr_scheduler.CosineAnnealingLR(each, 10)


def warming(each: Any) -> Any:
    return lr_scheduler.SequentialLR(each, [lr_scheduler.LinearLR(each, 0.1), lr_scheduler.ConstantLR(each, 1.0)], [5])


def one_cycle(momentum: bool) -> Callable[[Any], Any]:
    return lambda each: lr_scheduler.OneCycleLR(each, 1.0, total_steps=10, cycle_momentum=momentum)


CASES: list[Case] = [
    ("lr-not-1", lambda: (prodigy(0.1), {}), lambda: (AdamWScheduleFree(groups(0.1)), {})),
    ("lr-not-1", lambda: (prodigyopt.Prodigy(groups(1e-4)), {}), lambda: (prodigyopt.Prodigy(groups(1.0)), {})),
    ("lr-differs", lambda: (ppsf(1.0, 0.5), {}), lambda: (ppsf(1.0, 1.0), {})),
    (
        "clipping-outside",
        lambda: (ppsf(), {"max_grad_norm": 1.0}),
        lambda: (ppsf(use_stableadamw=False), {"max_grad_norm": 1.0}),
    ),
    ("clipping-outside", lambda: (ppsf(eps=None), {"max_grad_norm": 1.0}), lambda: (ppsf(), {"max_grad_norm": 0})),
    ("restarts", lambda: driven(prodigy(), restarting), lambda: driven(prodigy(safeguard_warmup=True), restarting)),
    (
        "restarts",
        lambda: driven(prodigy(), cosine, total_steps=40),
        lambda: driven(prodigy(), cosine, total_steps=10),
    ),
    ("two-decays", lambda: driven(prodigy(cosine_decay=True), cosine), lambda: driven(prodigy(), cosine)),
    ("schedule-and-average", lambda: driven(ppsf(), cosine), lambda: driven(ppsf(), Schedule().attach)),
    ("betas-move", lambda: driven(ppsf(), one_cycle(True)), lambda: driven(ppsf(), one_cycle(False))),
    ("betas-move", lambda: driven(ppsf(), one_cycle(True)), lambda: driven(prodigy(), one_cycle(True))),
    ("warmup", lambda: driven(prodigy(), warming), lambda: driven(prodigy(safeguard_warmup=True), warming)),
    ("warmup", lambda: (ppsf(), {"warmup_steps": 10}), lambda: (ppsf(), {"warmup_steps": 0})),
    (
        "saving-in-train-mode",
        lambda: (ppsf(), {"saving": True}),
        lambda: (evaluated(ppsf()), {"saving": True}),
    ),
    ("saving-in-train-mode", lambda: (ppsf(), {"saving": True}), lambda: (prodigy(), {"saving": True})),
    ("estimate-stuck", lambda: (after(100, 0.0), {}), lambda: (after(100, 1.0), {})),
    ("estimate-stuck", lambda: (after(100, 0.0), {}), lambda: (after(98, 0.0), {})),
    (
        "fused-accumulation",
        lambda: (ppsf(fused_back_pass=True), {"accumulation_steps": 2}),
        lambda: (ppsf(fused_back_pass=True), {}),
    ),
]


def noticed(case: tuple[Any, dict[str, Any]]) -> set[str]:
    optimizer, rest = case
    return {advice.rule for advice in check(optimizer, warn=False, **rest)}


@pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")
@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)])
def test_a_pitfall_is_noticed_and_its_remedy_is_not(case: Case) -> None:
    rule, bad, good = case
    assert rule in noticed(bad())
    assert rule not in noticed(good())


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in CASES} == {rule.id for rule in RULES}


@pytest.mark.parametrize("make", [ppsf, prodigy, lambda: AdamWScheduleFree(groups(0.0025))])
def test_nothing_is_said_of_what_is_right(make: Callable[[], Any]) -> None:
    assert check(make()) == ()  # warnings are errors here


def test_it_warns_and_names_the_sentences() -> None:
    with pytest.warns(AdviceWarning, match=r"Lr is 0\.5, .*Leave lr at 1.*S-002-23"):
        check(prodigy(0.5))


def said() -> Iterator[str]:
    for path in SENTENCES.glob("*.toml"):
        yield from (row["id"] for row in tomllib.loads(path.read_text(encoding="utf-8"))["rows"])


def test_the_sentences_exist() -> None:
    assert {sentence for rule in RULES for sentence in rule.sentences} <= set(said())
