"""why(): each reason is shown by a run in which it is the case, in every revision that can have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.reasons import REASONS
from tests.fast.conftest import Line
from tests.fast.helpers import parameters, train
from tests.fast.revised import CASES, build

ESTIMATING = ("1.9", "2.0", "update3", "prodigy")
ROOT = Path(__file__).resolve().parents[2]
Run = Callable[[Any, Sequence[Tensor]], None]


def made(revision: str, params: Sequence[Tensor], **options: Any) -> Any:
    if revision == "prodigy":
        return Prodigy(params, **options)
    if revision == "schedulefree":
        return AdamWScheduleFree(params, **options)
    return ProdigyPlusScheduleFree(params, revision=revision, **options)


def steps(count: int) -> Run:
    """So many steps on a quadratic, on which the estimate grows."""
    return lambda optimizer, params: train(optimizer, params, range(count))


def along(*signs: float) -> Run:
    """Steps with constant gradients of these signs: the numerator rises with the same sign and falls with the other."""

    def run(optimizer: Any, params: Sequence[Tensor]) -> None:
        for sign in signs:
            for param in params:
                param.grad = torch.full_like(param, sign)
            optimizer.step()

    return run


def edited(**entries: Any) -> Run:
    return lambda optimizer, _: optimizer.param_groups[0].update(entries)


def both(*runs: Run) -> Run:
    def run(optimizer: Any, params: Sequence[Tensor]) -> None:
        for each in runs:
            each(optimizer, params)

    return run


def rows(text: str, revisions: Sequence[str], run: Run, **options: Any) -> list[Any]:
    ids = "-".join(map(str, [*options.items()]))
    return [pytest.param(text, each, run, options, id=f"{text}-{each}-{ids}") for each in revisions]


WINDOWED = ("1.9", "2.0", "update3")
NAN, ZERO = along(float("nan")), along(0.0)
SPEED = {"use_speed": True, "d0": 1e-4}
#: An estimate that no candidate reaches, since lr is small; the largest candidate is that of revision prodigy.
FROM_ABOVE = both(edited(d=1.0, d_max=1.0), along(*[1.0] * 4))
CASES_OF_REASONS = [
    *rows("nothing is estimated", ["schedulefree"], steps(2)),
    *rows("lr is 0", ESTIMATING, both(steps(3), edited(lr=0.0))),
    *rows("no gradient yet", WINDOWED, steps(0)),
    *rows("no finite gradient yet", WINDOWED, both(NAN, NAN)),
    *rows("no finite gradient other than 0 yet", ["prodigy"], steps(0)),
    *rows("no finite gradient other than 0 yet", ["prodigy"], both(NAN, ZERO)),
    *rows("window closed (prodigy_steps)", WINDOWED, steps(5), prodigy_steps=4),
    *rows("growing", WINDOWED, steps(4), prodigy_steps=4),
    *rows("growing", ESTIMATING, steps(8)),
    *rows("growing", ["prodigy"], steps(8), growth_rate=1.01),
    *rows("growing", ["1.9", "2.0"], along(*[1.0] * 6), **SPEED),
    *rows("falling (beta4)", WINDOWED, FROM_ABOVE, beta4=0.5, lr=1e-3),
    *rows("falling (beta4)", WINDOWED, FROM_ABOVE, beta4=-0.5, lr=1e-3),
    *rows("at the ceiling, 2**40", ["2.0"], both(edited(d=2.0**40), ZERO)),
    *rows("no gradient has counted yet", WINDOWED, ZERO),
    *rows("numerator not above 0", ESTIMATING, along(1.0)),
    *rows("numerator not above 0", ["2.0"], along(1.0), **SPEED),
    *rows("numerator below its peak", ["2.0"], along(*[1.0] * 6, -1.0, -1.0), **SPEED),
    *rows("numerator not yet above 0 twice", ["2.0"], along(1.0, 1.0), **SPEED),
    *rows("d_coef is below 1", ["2.0"], along(*[1.0] * 6), d_coef=1e-9, **SPEED),
    *rows("growth_rate is 1", ["prodigy"], steps(8), growth_rate=1.0),
    *rows("candidate below d0", ESTIMATING, along(*[1.0] * 4), lr=1e-3, d0=0.1),
    *rows("candidate below d", ESTIMATING, FROM_ABOVE, lr=1e-3),
    *rows("d is 1 or more (use_speed)", ["1.9"], both(edited(d=1.25), along(*[1.0] * 9)), use_speed=True, d_coef=1e9),
    *rows("edited since the last step", ["1.9"], both(steps(8), edited(d=1e-6, d_prev=1e-6))),
]


@pytest.mark.need(2)
@pytest.mark.parametrize(("text", "revision", "run", "options"), CASES_OF_REASONS)
def test_the_reason_of_a_run(text: str, revision: str, run: Run, options: dict[str, Any]) -> None:
    params = parameters(shapes=[(40, 12), (7,)])
    optimizer = made(revision, params, **options)
    run(optimizer, params)
    assert optimizer.why() == [text], optimizer.metrics()


def test_every_reason_is_shown_by_a_run_and_explained() -> None:
    texts = [reason.text for reason in REASONS]
    assert len(set(texts)) == len(texts)
    assert {case.values[0] for case in CASES_OF_REASONS} == set(texts)
    page = (ROOT / "docs" / "guides" / "seeing.md").read_text("utf-8")
    assert re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE) == texts


def test_the_clauses_of_the_reasons_exist() -> None:
    law = "".join(path.read_text("utf-8") for path in (ROOT / "spec" / "clauses").glob("*.md"))
    named = {clause for reason in REASONS for clause in reason.clauses}
    assert all(f":id: PPSF-{clause}\n" in law for clause in named)


@pytest.mark.parametrize("case", CASES)
def test_growth_is_named_in_the_steps_in_which_d_grows_and_in_no_other(case: str) -> None:
    params = parameters()
    optimizer = build(case, params)
    if "d" not in optimizer.param_groups[0]:
        assert optimizer.why() == ["nothing is estimated"] * 2
        return
    for step in range(40):
        before = [group["d"] for group in optimizer.param_groups]
        train(optimizer, params, [step])
        grew = [group["d"] > old for group, old in zip(optimizer.param_groups, before, strict=True)]
        assert [text == "growing" for text in optimizer.why()] == grew


def test_groups_have_reasons_of_their_own_or_share_one() -> None:
    first, second = parameters(shapes=[(7,), (3,)])
    apart = ProdigyPlusScheduleFree([{"params": [first]}, {"params": [second]}])
    train(apart, [first], range(4))
    assert apart.why()[1] == "no gradient yet" != apart.why()[0]
    together = ProdigyPlusScheduleFree([{"params": [first]}, {"params": [second], "lr": 0.5}], split_groups=False)
    together.param_groups[0]["lr"] = 0.0
    train(together, [first, second], range(4))
    assert len(set(together.why())) == 1 != together.why().count("lr is 0")


@pytest.mark.need(17)
def test_metrics_stay_numbers() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(2))
    assert all(isinstance(value, int | float) for row in optimizer.metrics() for value in row.values())


def test_the_reason_is_that_of_the_last_step_on_an_accelerator_too(accelerator: Line) -> None:
    params = parameters(shapes=[(40, 12), (7,)])
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(8))
    assert optimizer.param_groups[0]["k"] == 1
    assert optimizer.why() == ["growing"]
    assert accelerator.awaited > 0
