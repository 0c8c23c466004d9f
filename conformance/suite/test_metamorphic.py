"""Metamorphic laws hold for our optimizers and for the reference, and each of them notices a fault of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from ppsf_conformance.laws import LAWS
from ppsf_conformance.laws.side_by_side import STEPS
from ppsf_conformance.mutant import law
from ppsf_conformance.run import OWN, implementation_for
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.backends import statistics, weights
from ppsf_ref import State
from tests.kit.stub import StubImplementation

Rules = Mapping[str, Callable[..., Any]]


def findings(name: str, implementation: Any) -> list[str]:
    """What a law says of an implementation: messages where it does not hold; at least one thing is looked at."""
    found = list(LAWS[name].check(implementation))
    assert found
    return [finding.message for finding in found if not finding.ok]


#: Laws with a scope, and the revisions in it.
SCOPES: Mapping[str, tuple[str, ...]] = {
    "unit of length": ("2.0", "prodigy"),
    "learning rate": ("1.9", "2.0", "update3", "schedulefree"),
    "transposition": ("1.9", "2.0", "update3"),
    "there and back": ("1.9", "2.0", "update3", "schedulefree"),
    "frozen estimate": ("1.9", "2.0"),
    "no averaging": ("2.0",),
}
HELD = [(name, revision) for name in LAWS for revision in SCOPES.get(name, tuple(OWN))]


@pytest.mark.clause(
    "PPSF-N-010", "PPSF-N-011", "PPSF-N-012", "PPSF-N-013", "PPSF-N-014", "PPSF-Z-004", "PPSF-Z-005", "PPSF-R-004"
)
@pytest.mark.parametrize(("name", "revision"), HELD)
def test_law_holds(name: str, revision: str) -> None:
    assert not findings(name, implementation_for(OWN[revision], revision=revision))


#: Laws under which nothing rounds differently, so that our runs are compared to their end.
EXACT = ("scale of gradients", "reflection", "unit of length", "learning rate", "one group", "idle parameters")


@pytest.mark.parametrize("name", EXACT)
def test_our_runs_are_compared_to_their_end(name: str) -> None:
    revision = SCOPES.get(name, ("1.9",))[0]
    found = list(LAWS[name].check(implementation_for(OWN[revision], revision=revision)))
    assert len(found) % STEPS == 0
    steps = [int(finding.message.rpartition("step ")[2].split(":")[0]) for finding in found]
    assert steps.count(STEPS) == len(found) // STEPS


@pytest.mark.parametrize("name", LAWS)
def test_a_law_states_itself_its_scope_and_its_reason(name: str) -> None:
    statement = LAWS[name].statement
    assert "Scope: " in statement
    assert "Reason: " in statement


# ------------------------------------------------------------------------------------------------------------- mutants


def last_moves_further(state: State) -> State:
    """The last parameter is not as the others."""
    group = state.groups[-1]
    last = replace(group.params[-1], y=group.params[-1].y * 1.0001)
    return replace(state, groups=(*state.groups[:-1], replace(group, params=(*group.params[:-1], last))))


def _own_d_prev(group: Any, pool: Any, position: int) -> Any:
    joined = law("PPSF-G-005", group, pool, position)
    return replace(joined, weight_sum=2 * joined.weight_sum) if position else joined


#: A law, a fault of its kind, and the revision in which it is one.
WRONG_LAWS: tuple[tuple[str, str, Rules], ...] = (
    ("scale of gradients", "1.9", {"PPSF-D-004": lambda s: law("PPSF-D-004", s) + 1e-3}),
    ("scale of gradients", "prodigy", {"PPSF-D-004": lambda s: law("PPSF-D-004", s) + 1e-3}),
    ("reflection", "1.9", {"PPSF-Z-003": lambda z, u, dlr: law("PPSF-Z-003", z, u, dlr) + 1e-3}),
    ("unit of length", "2.0", {"PPSF-D-026": lambda d, d_hat, d_coef: law("PPSF-D-026", d, d_hat, d_coef) + 1e-4}),
    ("learning rate", "1.9", {"PPSF-Z-003": lambda z, u, dlr: z - dlr * dlr * u}),
    ("one group", "1.9", {"PPSF-G-005": _own_d_prev}),
    ("concatenation", "1.9", {"PPSF-D-004": lambda s: law("PPSF-D-004", s) / s.size}),
    ("transposition", "update3", {"PPSF-V-005": lambda row, col, axes: law("PPSF-V-005", row * row, col, axes)}),
    ("idle parameters", "1.9", {"PPSF-G-006": lambda took_part: True}),
    ("frozen estimate", "1.9", {"PPSF-M-003": lambda dlr, beta2, k: dlr}),
    ("no averaging", "2.0", {"PPSF-U-010": lambda m, g, beta1, d: law("PPSF-U-010", m, g, beta1 * beta1, d)}),
    ("there and back", "1.9", {"PPSF-Z-004": lambda y, z, beta1: y + (1 - 1 / beta1) * (z - y) / 2}),
)


@pytest.mark.parametrize(("name", "revision", "rules"), WRONG_LAWS, ids=[f"{n}-{r}" for n, r, _ in WRONG_LAWS])
def test_a_wrong_law_is_noticed(name: str, revision: str, rules: Rules) -> None:
    assert not findings(name, StubImplementation(revision=revision))
    assert findings(name, StubImplementation(rules, revision=revision))


def test_a_parameter_that_is_not_as_the_others_is_noticed() -> None:
    assert findings("order", StubImplementation(tamper=last_moves_further))


def test_a_sample_by_storage_is_noticed(product: TorchImplementation, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_storage(values: torch.Tensor, stride: int, batched: bool = False) -> torch.Tensor:
        if batched:
            return torch.stack([in_storage(each, stride) for each in values.unbind()])
        return values.as_strided((values.numel(),), (1,))[::stride]

    monkeypatch.setattr(statistics, "sample", in_storage)
    assert findings("memory layout", product)


def test_bits_of_a_global_generator_are_noticed(product: TorchImplementation, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(
        numel: int, seed: int, step: torch.Tensor, parameters: Sequence[int], first: int = 0, room: object = None
    ) -> torch.Tensor:
        return torch.randint(-(2**31), 2**31 - 1, (len(parameters), numel), dtype=torch.int32)

    monkeypatch.setattr(weights, "rounding_words", drawn)
    assert findings("replicas", product)


class LastPart(ProdigyPlusScheduleFree):
    """Sees what a backward pass adds, and steps with the last of it."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for param, last in self.__dict__.get("last", {}).items():
            param.grad = last
        self.__dict__["last"], self.__dict__["seen"] = {}, {}
        return super().step(closure)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        for param in self.param_groups[-1]["params"]:
            param.register_post_accumulate_grad_hook(self._arrived)

    def _arrived(self, param: torch.Tensor) -> None:
        last, seen = (self.__dict__.setdefault(name, {}) for name in ("last", "seen"))
        assert param.grad is not None
        last[param] = param.grad - seen.get(param, 0)
        seen[param] = param.grad.clone()


def test_a_step_with_a_part_of_the_gradient_is_noticed(product: TorchImplementation) -> None:
    assert findings("accumulation", TorchImplementation(LastPart, product.names))


def test_every_law_has_a_fault_that_it_notices() -> None:
    by_hand = {"order", "memory layout", "replicas", "accumulation"}
    assert {name for name, *_ in WRONG_LAWS} | by_hand == set(LAWS)
