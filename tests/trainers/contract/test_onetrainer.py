"""OneTrainer: how it constructs, steps inside the backward pass, switches modes, saves and loads."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from tests.trainers.contract.helpers import SHIMMED, backward, network, numbers, train, weights

#: What it passes by name, beside the parameters, where the user has set nothing.
PASSED: dict[str, Any] = {
    "lr": 1.0, "betas": (0.9, 0.99), "beta3": None, "weight_decay": 0.0, "weight_decay_by_lr": True,
    "use_bias_correction": False, "d0": 1e-6, "d_coef": 1.0, "prodigy_steps": 0, "use_speed": False, "eps": None,
    "split_groups": True, "split_groups_mean": True, "factored": True, "factored_fp32": True, "fused_back_pass": False,
    "use_stableadamw": True, "use_cautious": False, "use_grams": False, "use_adopt": False,
    "stochastic_rounding": True, "d_limiter": True, "use_schedulefree": True, "schedulefree_c": 0.0,
    "use_orthograd": False,
}  # fmt: skip
Make = Callable[..., Any]


def named(net: torch.nn.Module) -> list[dict[str, Any]]:
    """A group for each layer, as its collection of groups writes them."""
    layers = [layer for layer in net.children() if list(layer.parameters())]
    return [
        {"name": f"layer {index}", "params": list(layer.parameters()), "lr": 1.0, "initial_lr": 1.0}
        for index, layer in enumerate(layers)
    ]


def test_it_constructs_by_keywords_alone() -> None:
    made = SHIMMED.ProdigyPlusScheduleFree(params=named(network()), **PASSED)
    for group in made.param_groups:
        # atan2 does without clipping (PPSF-O-002)
        assert {name: group[name] for name in PASSED} == {**PASSED, "use_stableadamw": False}


def test_what_it_writes_into_groups_survives(make: Make) -> None:
    net = network()
    optimizer = make(named(net))
    train(net, optimizer, range(3))
    optimizer.load_state_dict(optimizer.state_dict())
    kept = [(group["name"], group["initial_lr"]) for group in optimizer.param_groups]
    assert kept == [("layer 0", 1.0), ("layer 1", 1.0)]


def hooked(net: torch.nn.Module, optimizer: Any, calls: list[int] | None = None) -> list[Any]:
    """Its hooks: the norm of each gradient is clipped to 1, the parameter is stepped, the gradient freed."""
    handles = []
    for group in optimizer.param_groups:
        for index, param in enumerate(group["params"]):

            def hook(tensor: torch.Tensor, group: Any = group, index: int = index) -> None:
                torch.nn.utils.clip_grad_norm_(tensor, 1.0)
                optimizer.step_parameter(tensor, group, index)
                tensor.grad = None
                if calls is not None:
                    calls.append(index)

            handles.append(param.register_post_accumulate_grad_hook(hook))
    return handles


def clipped(net: torch.nn.Module) -> None:
    for param in net.parameters():
        torch.nn.utils.clip_grad_norm_(param, 1.0)


@pytest.mark.parametrize("calls_step", [True, False], ids=["step() after backward", "under a scaler, no step()"])
def test_stepping_inside_the_backward_pass_is_the_ordinary_step(make: Make, calls_step: bool) -> None:
    plain, fused = network(), network()
    one, other = make(named(plain), d0=1e-3), make(named(fused), d0=1e-3, fused_back_pass=True)
    hooked(fused, other)
    for step in range(6):
        backward(plain, step)
        clipped(plain)
        one.step()
        one.zero_grad(set_to_none=True)
        backward(fused, step)
        if calls_step:
            other.step()
    assert weights(fused) == weights(plain)
    other.state_dict()  # ends a step that nothing else ends
    assert [group["d"] for group in other.param_groups] == [group["d"] for group in one.param_groups]


def test_the_order_in_which_parameters_come_does_not_matter(make: Make) -> None:
    """Its reduction over several GPUs calls later, and in another order."""
    ends = []
    for order in (1, -1):
        net = network()
        optimizer = make(named(net), d0=1e-3, fused_back_pass=True)
        pairs = [(group, index) for group in optimizer.param_groups for index in range(len(group["params"]))]
        for step in range(5):
            backward(net, step)
            for group, index in pairs[::order]:
                optimizer.step_parameter(group["params"][index], group, index)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        ends.append((weights(net), numbers(optimizer)))
    assert ends[0] == ends[1]


def test_gradients_are_accumulated_until_the_hooks_are_to_act(make: Make) -> None:
    plain, fused = network(), network()
    one, other = make(named(plain), d0=1e-3), make(named(fused), d0=1e-3, fused_back_pass=True)
    for step in range(0, 8, 2):
        for net, optimizer in ((plain, one), (fused, other)):
            backward(net, step)
            handles = hooked(net, other) if optimizer is other else []
            backward(net, step + 1)
            for handle in handles:
                handle.remove()
        clipped(plain)
        one.step()
        one.zero_grad(set_to_none=True)
        other.step()
    assert weights(fused) == weights(plain)


def test_layers_are_moved_between_their_steps(make: Make) -> None:
    """Its offloading of layers steps inside the backward pass, and replaces the data of parameters meanwhile."""
    plain, moving = network(), network()
    one, other = make(named(plain), d0=1e-3), make(named(moving), d0=1e-3, fused_back_pass=True)
    for step in range(5):
        backward(plain, step)
        one.step()
        one.zero_grad(set_to_none=True)
        backward(moving, step)
        for group in other.param_groups:
            for index, param in enumerate(group["params"]):
                param.data = param.data.clone()
                other.step_parameter(param, group, index)
                param.data, param.grad = param.data.clone(), None
        other.step()
    assert weights(moving) == weights(plain)


def test_hooks_may_hold_groups_from_before_a_backup_was_loaded(make: Make) -> None:
    """It keeps the group that was there when the hooks were installed; loading puts others in their place."""
    plain, fused = network(), network()
    one, other = make(named(plain), d0=1e-3), make(named(fused), d0=1e-3, fused_back_pass=True)
    hooked(fused, other)
    other.load_state_dict(other.state_dict())
    for step in range(5):
        backward(plain, step)
        clipped(plain)
        one.step()
        one.zero_grad(set_to_none=True)
        backward(fused, step)
        other.step()
    assert weights(fused) == weights(plain)
    assert [group["k"] for group in other.param_groups] == [6, 6]


def test_a_parameter_that_its_scaler_skips_does_not_shift_the_step(make: Make) -> None:
    net = network()
    optimizer = make(named(net), d0=1e-3, fused_back_pass=True)
    params = list(net.parameters())
    for step in range(5):
        backward(net, step)
        for index, param in enumerate(params):
            if not (step == 2 and index == 1):  # overflowed: the call is left out, and step() is never called
                optimizer.step_parameter(param, None, index)
        optimizer.zero_grad(set_to_none=True)
    assert [group["k"] for group in optimizer.state_dict()["param_groups"]] == [6, 6]


@pytest.mark.need(3)
def test_modes_are_switched_again_and_again(make: Make) -> None:
    """Around sampling, backup, saving, validation, each epoch and the end; also before the first step."""
    plain, switched = network(), network()
    one, other = make(named(plain)), make(named(switched))
    for call in ("train", "train", "eval", "eval", "train"):
        getattr(other, call)()
    assert weights(switched) == weights(network())
    for step in range(4):
        train(plain, one, [step])
        other.train()
        train(switched, other, [step])
        other.train()
    assert weights(switched) == weights(plain)
    other.eval()
    averages = weights(switched)
    other.eval()
    assert weights(switched) == averages != weights(plain)


def test_its_constant_schedule_starts_at_the_step_of_a_backup(make: Make) -> None:
    """A LambdaLR with `last_epoch` needs `initial_lr` in each group."""
    net = network()
    optimizer = make(named(net))
    scheduler = LambdaLR(optimizer, lambda _: 1.0, last_epoch=10 - 1)
    for step in range(3):
        train(net, optimizer, [step])
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 1.0]


@pytest.mark.need(17)
def test_the_rate_that_it_logs_is_the_step_size_in_use(make: Make) -> None:
    net = network()
    optimizer = make(named(net), d0=1e-3)
    train(net, optimizer, range(5))
    logged = [
        group.get("effective_lr", group["lr"]) * group.get("d", 1.0) for group in optimizer.param_groups
    ]  # as its enumeration of optimizers has it
    assert all(type(rate) is float for rate in logged)
    pairs = zip(logged, optimizer.metrics(), strict=True)
    # lr * (estimate / d) * d against estimate * lr: four roundings, each of at most 2**-53 of the result.
    assert all(abs(rate - metrics["dlr"]) <= 4 * 2**-53 * metrics["dlr"] for rate, metrics in pairs)


def backup(net: torch.nn.Module, optimizer: Any) -> io.BytesIO:
    """Its backup: in eval mode, with two keys of its own."""
    optimizer.eval()
    names = [group["name"] for group in optimizer.param_groups]
    state = optimizer.state_dict()
    state["param_group_mapping"] = names
    state["param_group_optimizer_mapping"] = ["PRODIGY_PLUS_SCHEDULE_FREE"] * len(names)
    file = io.BytesIO()
    torch.save({"weights": net.state_dict(), "optimizer": state}, file)
    file.seek(0)
    return file


def regrouped(saved: dict[str, Any], optimizer: Any) -> dict[str, Any]:
    """Groups are matched by name; one that is new has the entries of a new optimizer."""
    names, state, groups, position = saved["param_group_mapping"], {}, [], 0
    for fresh in optimizer.state_dict()["param_groups"]:
        if fresh["name"] not in names:
            group = {**fresh, "params": list(range(position, position + len(fresh["params"])))}
        else:
            group = saved["param_groups"][names.index(fresh["name"])]
            for offset, key in enumerate(group["params"]):
                if key in saved["state"]:
                    state[position + offset] = saved["state"][key]
            group = {**group, "lr": fresh["lr"], "initial_lr": fresh["initial_lr"]}
            group["params"] = list(range(position, position + len(group["params"])))
        position += len(group["params"])
        groups.append(group)
    return {**saved, "state": state, "param_groups": groups}


@pytest.mark.need(1)
def test_a_backup_goes_on(make: Make) -> None:
    net = network()
    optimizer = make(named(net), d0=1e-3)
    train(net, optimizer, range(4))
    saved = torch.load(backup(net, optimizer), weights_only=True)
    optimizer.train()
    resumed = network(seed=1)
    resumed.load_state_dict(saved["weights"])
    again = make(named(resumed), d0=1e-3)
    again.load_state_dict(regrouped(saved["optimizer"], again))
    for values in again.state.values():  # to the training device and back, behind the optimizer's back
        for value in values.values():
            if isinstance(value, torch.Tensor):
                value.data = value.data.clone()
    again.train()
    train(net, optimizer, range(4, 8))
    train(resumed, again, range(4, 8))
    assert weights(resumed) == weights(net)
    assert numbers(again) == numbers(optimizer)


def test_groups_may_come_and_go_between_backups(make: Make) -> None:
    net = network()
    first, other = named(net)
    optimizer = make([first, other], d0=1e-3)
    train(net, optimizer, range(4))
    d = optimizer.param_groups[1]["d"]
    saved = torch.load(backup(net, optimizer), weights_only=True)["optimizer"]
    new = {"name": "embedding", "params": [torch.nn.Parameter(torch.ones(5))], "lr": 1.0, "initial_lr": 1.0}
    again = make([{**other}, new], d0=1e-3)
    again.load_state_dict(regrouped(saved, again))
    kept, added = again.param_groups
    assert (kept["name"], kept["d"], kept["train_mode"]) == ("layer 1", d, False)
    assert (added["name"], added["d"], added["k"]) == ("embedding", 1e-3, 1)
    again.train()
    train(net, again, range(4, 6))
    assert [group["train_mode"] for group in again.param_groups] == [True, True]
