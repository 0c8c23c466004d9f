"""EveryDream2: two optimizers over generators, always under a scaler, whose modes nobody switches."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.optimization import get_scheduler
from torch.amp import GradScaler

from tests.trainers.contract.helpers import backward, network, numbers, weights

Make = Callable[..., Any]


def run(networks: list[Any], optimizers: list[Any], steps: range, scaler: Any = None) -> None:
    scaler = scaler or GradScaler("cpu", enabled=False)
    schedules = [get_scheduler("constant", optimizer) for optimizer in optimizers]
    for step in steps:
        for net in networks:
            backward(net, step, scaler)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            scaler.step(optimizer)
            schedule.step()
        scaler.update()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)


def test_it_trains_from_generators_without_a_call_of_train(make: Make) -> None:
    networks = [network(0), network(1)]
    optimizers = [make(itertools.chain(net.parameters()), d0=1e-3) for net in networks]
    assert all(group["train_mode"] for optimizer in optimizers for group in optimizer.param_groups)
    run(networks, optimizers, range(20))
    assert [optimizer.param_groups[0]["k"] for optimizer in optimizers] == [21, 21]
    assert all(weights(net) != weights(network(seed)) for seed, net in enumerate(networks))
    # What it logs.
    assert all(optimizer.param_groups[0]["lr"] == 1.0 for optimizer in optimizers)


def test_a_scale_that_is_a_power_of_two_changes_nothing(make: Make) -> None:
    ends = []
    for scaler in (None, GradScaler("cpu", init_scale=2.0**10)):
        networks = [network(0), network(1)]
        optimizers = [make(net.parameters(), d0=1e-3) for net in networks]
        run(networks, optimizers, range(6), scaler)
        ends.append(([weights(net) for net in networks], [numbers(optimizer) for optimizer in optimizers]))
    assert ends[0] == ends[1]


@pytest.mark.need(25)
def test_a_step_that_overflows_is_none(make: Make) -> None:
    net = network()
    optimizer = make(net.parameters(), d0=1e-3)
    scaler = GradScaler("cpu", init_scale=2.0**10)
    run([net], [optimizer], range(3), scaler)
    before = weights(net), numbers(optimizer)
    scaler.scale(net(torch.ones(1, 4)).square().sum() * 1e38).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    assert scaler.get_scale() == 2.0**9
    assert (weights(net), numbers(optimizer)) == before
    run([net], [optimizer], range(3, 5), scaler)
    assert optimizer.param_groups[0]["k"] == 6


def test_its_files_are_loaded(make: Make, tmp_path: Path) -> None:
    net, again = network(), network()
    optimizer, resumed = make(net.parameters(), d0=1e-3), make(again.parameters(), d0=1e-3)
    run([net], [optimizer], range(5))
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    again.load_state_dict(net.state_dict())
    resumed.load_state_dict(torch.load(tmp_path / "optimizer.pt"))
    run([net], [optimizer], range(5, 9))
    run([again], [resumed], range(5, 9))
    assert weights(again) == weights(net)
    assert numbers(resumed) == numbers(optimizer)


@pytest.mark.need(18)
@pytest.mark.parametrize("how", ["constant", "constant_with_warmup", "linear", "cosine", "polynomial"])
def test_the_schedules_of_diffusers_drive_it(make: Make, how: str) -> None:
    net = network()
    optimizer = make(net.parameters(), d0=1e-3)
    schedule = get_scheduler(how, optimizer, num_warmup_steps=2, num_training_steps=8)
    for step in range(6):
        backward(net, step)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert all(torch.isfinite(param).all() for param in net.parameters())
    assert 0 < optimizer.param_groups[0]["lr"] <= 1
