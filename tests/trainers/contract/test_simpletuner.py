"""SimpleTuner: it looks for `prodigyplus`, reads groups when it resumes, logs in every micro-batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from tests.trainers.contract.helpers import SHIMMED, network, train, weights
from tests.trainers.contract.test_onetrainer import PASSED

Make = Callable[..., Any]
SHIM = SHIMMED.ProdigyPlusScheduleFree


def test_it_is_found_and_constructed_by_keywords() -> None:
    cls = SHIMMED.ProdigyPlusScheduleFree
    left_out = ("d_limiter", "use_schedulefree", "schedulefree_c", "use_orthograd", "lr")
    options = {name: value for name, value in PASSED.items() if name not in left_out}
    assert len(options) == 20
    optimizer = cls(network().parameters(), lr=1.0, **options)
    assert optimizer.param_groups[0]["d_limiter"] is True  # the release's own default


def test_what_it_does_to_groups_when_it_resumes() -> None:
    net = network()
    optimizer = SHIM(net.parameters(), split_groups_mean=True)
    train(net, optimizer, range(3))
    again = SHIM(network().parameters(), split_groups_mean=True)
    again.load_state_dict(optimizer.state_dict())
    device = next(net.parameters()).device
    for group in again.param_groups if hasattr(again, "split_groups") else again.param_groups[:1]:
        for name in ("running_d_numerator", "running_d_denom"):
            group[name] = group[name].to(device)  # tensors, which are 0 between steps
            assert group[name].item() == 0
        group.setdefault("use_focus", False)
    train(net, again, range(3, 5))


def test_what_it_replaces_under_fsdp2_can_be_replaced() -> None:
    """Nothing calls the replacement: the step gathers its statistics itself."""

    def replacement(*_: Any) -> None:
        raise AssertionError

    net = network()
    optimizer = SHIM(net.parameters(), d0=1e-3)
    optimizer.update_prodigy = replacement
    train(net, optimizer, range(5))
    assert optimizer.param_groups[0]["d"] > 1e-3
    group, param = optimizer.param_groups[0], net[0].weight
    assert optimizer.get_betas(group) == (0.9, 0.99, 0.99**0.5)
    assert torch.equal(optimizer.get_sliced_tensor(param), param.detach().flatten()[::11])
    assert [each.item() for each in optimizer.get_running_values_for_group(group)] == [0, 0]
    del optimizer.update_prodigy
    with pytest.raises(NotImplementedError, match=r"Call step\(\)"):
        optimizer.update_prodigy({}, group, param, param)


def test_logging_in_every_micro_batch_changes_nothing(make: Make) -> None:
    silent, logged = network(), network()
    one, other = make(silent.parameters()), make(logged.parameters())
    for step in range(4):
        train(silent, one, [step])
        for _ in range(3):
            d = float(other.param_groups[0].get("d"))
            assert round(d * other.param_groups[0]["lr"], 6) >= 0
        train(logged, other, [step])
    assert weights(logged) == weights(silent)


def test_modes_are_reached_through_accelerate(make: Make) -> None:
    net = network()
    optimizer = Accelerator(cpu=True).prepare_optimizer(make(net.parameters(), d0=1e-3))
    assert callable(optimizer.train)
    assert callable(optimizer.eval)
    train(net, optimizer, range(5))
    live = weights(net)
    optimizer.eval()
    assert weights(net) != live


def test_one_optimizer_for_each_parameter(make: Make) -> None:
    """Its offloading to the CPU makes one for each, and knows no modes; each then has an estimate of its own."""
    net = network()
    each = [make([param], d0=1e-3) for param in net.parameters()]
    before = weights(net)
    for step in range(4):
        for optimizer in each:
            optimizer.zero_grad()
        (net(torch.ones(2, 4) + step)).square().mean().backward()
        for optimizer in each:
            optimizer.step()
    assert all(new != old for new, old in zip(weights(net), before, strict=True))
    assert [optimizer.param_groups[0]["k"] for optimizer in each] == [5] * 4
