"""What callers may name: imports, methods, entries of groups and state."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

import ppsf_fast
from tests.trainers.contract.helpers import MAKERS, SHIMMED, network, train, weights

Make = Callable[..., Any]
READ = (
    "params", "lr", "initial_lr", "name", "d", "effective_lr", "d0", "betas", "k", "split_groups", "use_focus",
    "fused_back_pass", "train_mode",
)  # fmt: skip
#: What release 2.0.1 stores in a group, from a dump of one.
STORED = (
    "lr", "betas", "beta3", "weight_decay", "weight_decay_by_lr", "d0", "d_coef", "d_limiter", "prodigy_steps",
    "schedulefree_c", "eps", "split_groups", "split_groups_mean", "factored", "factored_fp32", "use_bias_correction",
    "use_stableadamw", "use_schedulefree", "use_speed", "stochastic_rounding", "fused_back_pass", "use_cautious",
    "use_grams", "use_adopt", "use_orthograd", "use_focus", "effective_lr", "d", "d_prev", "d_denom", "d_numerator",
    "train_mode", "k", "running_d_numerator", "running_d_denom", "weight_sum",
)  # fmt: skip
#: Left out by the shim, each for the reason that its README gives.
LEFT_OUT = ("optimiser_version", "prev_d_numerator", "max_d_numerator", "shared_d", "running_weight_sum")


def test_the_class_keeps_the_end_of_its_name() -> None:
    assert ppsf_fast.ProdigyPlusScheduleFree.__name__.endswith("ProdigyPlusScheduleFree")
    assert SHIMMED.ProdigyPlusScheduleFree.__name__.endswith("ProdigyPlusScheduleFree")


@pytest.mark.parametrize("name", ["step", "step_param", "step_parameter", "train", "eval", "supports_fused_back_pass"])
def test_methods(make: Make, name: str) -> None:
    assert callable(getattr(make(network().parameters()), name))


def test_it_is_an_optimizer_of_torch(make: Make) -> None:
    optimizer = make(network().parameters())
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert list(inspect.signature(optimizer.step).parameters) == ["closure"]
    assert optimizer.supports_fused_back_pass() is True


def test_modes_return_the_optimizer_and_take_a_mode(make: Make) -> None:
    optimizer = make(network().parameters())
    assert optimizer.train() is optimizer.eval() is optimizer.train(False) is optimizer.train(mode=True) is optimizer


def test_properties_that_fairseq_asks_for(make: Make) -> None:
    optimizer = make(network().parameters())
    assert (optimizer.supports_memory_efficient_fp16, optimizer.supports_flat_params) == (False, True)


def test_entries_that_trainers_read(make: Make) -> None:
    net = network()
    optimizer = make([{"params": list(net.parameters()), "name": "net", "initial_lr": 1.0}])
    for steps in (range(0), range(3)):
        train(net, optimizer, steps)
        assert not set(READ) - optimizer.param_groups[0].keys()


def test_entries_of_the_release_that_the_shim_has() -> None:
    group = SHIMMED.ProdigyPlusScheduleFree(network().parameters()).param_groups[0]
    assert not set(STORED) - group.keys()
    assert not set(LEFT_OUT) & group.keys()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"z", "exp_avg_sq", "exp_avg_sq_row", "exp_avg_sq_col", "p0", "s"}),
        ({"use_schedulefree": False}, {"exp_avg", "exp_avg_sq", "exp_avg_sq_row", "exp_avg_sq_col", "p0", "s"}),
        ({"factored": False}, {"z", "exp_avg_sq", "p0", "s"}),
        (
            {"use_speed": True, "factored": False},
            {"z", "exp_avg_sq", "p0", "exp_avg_x0_dot", "max_x0_minus_l1_norm", "max_x0_minus_l2_norm"},
        ),
    ],
    ids=["defaults", "no averaging", "not factored", "speed"],
)
@pytest.mark.parametrize("which", ["2.0", "shim"])
def test_entries_of_the_state(which: str, options: dict[str, Any], names: set[str]) -> None:
    net = network()
    optimizer = MAKERS[which](net.parameters(), **options)
    train(net, optimizer, range(2))
    assert {name for state in optimizer.state.values() for name in state} == names


def test_options_are_read_from_the_group_in_each_step(make: Make) -> None:
    stopped, edited = network(), network()
    one, other = make(stopped.parameters(), d0=1e-3), make(edited.parameters(), d0=1e-3)
    train(stopped, one, range(3))
    train(edited, other, range(3))
    other.param_groups[0]["weight_decay"] = 0.1
    train(stopped, one, [3])
    train(edited, other, [3])
    assert weights(edited) != weights(stopped)
    at = weights(edited)
    other.param_groups[0]["lr"] = 0.0
    train(edited, other, [4])
    assert weights(edited) == at


def test_a_subclass_may_add_to_the_step(make: Make) -> None:
    cls = type(make(network().parameters()))

    class Counting(cls):  # type: ignore[valid-type, misc]
        steps = 0

        def step(self, closure: Any = None) -> Any:
            self.steps += 1
            return super().step(closure)

    net = network()
    optimizer = Counting(net.parameters())
    train(net, optimizer, range(3))
    assert optimizer.steps == 3


def test_a_subclass_that_overrides_what_nothing_calls_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Fork overrides step_param_schedulefree: .*does not call"):
        type("Fork", (SHIMMED.ProdigyPlusScheduleFree,), {"step_param_schedulefree": lambda *_: None})
