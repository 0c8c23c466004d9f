"""Whatever happens to our optimizers, in any order, they do as the law says; and a class that does not is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pytest

from ppsf_conformance import events, problems
from ppsf_conformance.adapter import Eventful, Group, Weights, offers
from ppsf_conformance.events import (
    PROFILES,
    Accumulated,
    Added,
    Alone,
    Closure,
    Copied,
    Deviation,
    Disturbed,
    Edited,
    Elsewhere,
    End,
    Event,
    Frozen,
    Mode,
    Moved,
    Profile,
    Rate,
    Restore,
    Save,
    Scaled,
    Step,
    replay,
    search,
)
from ppsf_conformance.events.shrinking import deviation_of, shortest
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.run import OWN, implementation_for
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_fast import ProdigyPlusScheduleFree

from .faulty_lives import FAULTS, CannotBeLoaded, CastsState, ForgetsZ, SharesStorage

GROUPS = (
    GroupSpec((ParamSpec((5,)), ParamSpec((33, 2), "bfloat16"))),
    GroupSpec((ParamSpec((3, 4), "bfloat16"), ParamSpec((23,)))),
)

#: One life in which everything happens.
LIFE: tuple[Event, ...] = (
    Mode("train"), Mode("eval", 2), Mode("train"), Step(0), Step(1, missing=((0, 1), (1, 0))), Elsewhere(2), Save(),
    Step(3), Step(4, bad="nan", spoiled=((1, 1),)), Copied("saved"), Step(5), Rate(0, 0.0), Step(6), Added((4, 3),
    "bfloat16", 0.5), Rate(0, 1.0), Frozen((0, 0)), Step(0), Frozen((0, 0), False), Copied("deepcopy"), Step(1),
    Edited((0, 1)), Step(2), Edited((1, 0), "swap"), Disturbed(), Step(3), Moved("storage"), Accumulated(4),
    Moved("state_dict"), Closure(5), Save(), Step(6), Mode("eval"), Step(0), Copied("pickle"), Restore(), Elsewhere(1),
    Step(7, bad="-inf", spoiled=((2, 0),)), Step(2), Mode("eval", 2), Moved("state_dict"), Added((5,)),
    Mode("train", 2), Step(3), Scaled(4), Scaled(5, 4.0), Scaled(6, found=True), Scaled(7),
)  # fmt: skip

#: One life of an optimizer whose parameters are stepped one by one.
FUSED: tuple[Event, ...] = (
    Step(0), Alone((1, 1)), Alone((0, 0), 1), End(), End(), Alone((0, 1), 2), Alone((0, 1), 3), Alone((1, 0), 3),
    Save(), Alone((1, 0), 4), Alone((0, 0), 4, "inf"), Alone((0, 0), 5), Mode("train"), Mode("eval"), Alone((0, 0)),
    Mode("train"), Alone((1, 1), 6), Added((7,)), Alone((2, 0), 6), Rate(0, 0.0), Alone((0, 0), 6), Copied("pickle"),
    Rate(0, 1.0), Step(7), Alone((0, 1)), Closure(), Alone((0, 1), bad="nan"), End(), Alone((0, 0)),
    Moved("state_dict"), Alone((0, 0)), Elsewhere(2), Save(), Alone((1, 0), 3), Restore(), Step(4),
)  # fmt: skip


@pytest.mark.clause(
    "PPSF-L-003", "PPSF-L-004", "PPSF-L-005", "PPSF-L-006", "PPSF-L-007", "PPSF-L-012", "PPSF-L-013", "PPSF-G-001",
    "PPSF-R-004", "PPSF-X-004",
)  # fmt: skip
@pytest.mark.parametrize("revision", OWN)
def test_everything_may_happen(revision: str) -> None:
    problem = Problem({}, GROUPS, "pull", revision=revision)
    life = replay(implementation_for(OWN[revision], revision=revision), problem, LIFE)
    assert len(life.events) == len(LIFE)
    assert len(life.known) == 6


@pytest.mark.clause("PPSF-L-008", "PPSF-L-009", "PPSF-L-010", "PPSF-L-011", "PPSF-X-020")
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("revision", ["1.9", "2.0"])
def test_everything_may_happen_to_a_fused_optimizer(revision: str, split: bool) -> None:
    problem = Problem({"fused_back_pass": True, "split_groups": split}, GROUPS, "pull", revision=revision)
    life = replay(implementation_for(OWN[revision], revision=revision), problem, FUSED)
    assert len(life.events) == len(FUSED)
    assert len(life.known) == 5


@pytest.mark.parametrize("revision", OWN)
def test_no_sequence_deviates(revision: str) -> None:
    deviation = search(implementation_for(OWN[revision], revision=revision), PROFILES["quick"], seed=1)
    assert deviation is None, deviation


class Plain:
    """A session that has nothing beside what every session has."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def __getattr__(self, name: str) -> Any:
        if name in vars(Eventful):
            raise AttributeError(name)
        return getattr(self.session, name)

    def copied(self, how: Literal["saved", "deepcopy", "pickle"]) -> Plain:
        return Plain(self.session.copied(how))


class PlainImplementation:
    def __init__(self, made: TorchImplementation) -> None:
        self.made, self.capabilities = made, made.capabilities
        self.name, self.version, self.target = made.name, made.version, made.target

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> Plain:
        return Plain(self.made.new(groups, options))


def test_what_a_session_does_not_offer_is_not_asked_of_it(product: TorchImplementation) -> None:
    plain = PlainImplementation(product)
    assert not offers(plain.new([Group((Weights(np.ones(3)),), {})], {}), "edit")
    deviation = search(plain, Profile(8, 20))
    assert deviation is None, deviation


@pytest.mark.parametrize("cls", FAULTS, ids=lambda cls: cls.__name__)
def test_a_fault_is_found_and_told_in_a_few_lines(
    cls: type[ProdigyPlusScheduleFree], product: TorchImplementation
) -> None:
    faulty = TorchImplementation(cls, product.names)
    is_fused = cls.__name__ in ("CountsParameters", "ForgetsFused")
    problem = Problem({"fused_back_pass": is_fused, "split_groups": False}, GROUPS, "pull")
    deviation = deviation_of(faulty, problem, FUSED if is_fused else LIFE, {})
    assert deviation is not None
    found = shortest(faulty, deviation, {})
    assert not FAULTS[cls] or found.clause in FAULTS[cls], found
    assert len(found.events) <= 6, found
    with pytest.raises(Deviation) as again:
        replay(faulty, found.problem, found.events)
    assert str(again.value) == str(found)
    names = {**vars(events), **vars(problems), "implementation": faulty, "inf": float("inf")}
    with pytest.raises(Deviation) as printed:
        eval(str(found).partition("\n")[2], names)
    assert str(printed.value) == str(found)


@pytest.mark.parametrize("cls", [ForgetsZ, CastsState, SharesStorage, CannotBeLoaded], ids=lambda cls: cls.__name__)
def test_a_fault_is_found_by_drawing(cls: type[ProdigyPlusScheduleFree], product: TorchImplementation) -> None:
    found = search(TorchImplementation(cls, product.names), PROFILES["standard"])
    assert found is not None
    assert found.clause == "PPSF-L-005", found
