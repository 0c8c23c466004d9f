"""kohya's sd-scripts: a class found by its name, wrapped at once, with the mode switched where the name says so."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from ppsf_fast import AdamWScheduleFree, FusedBackward, ProdigyPlusScheduleFree, fuse_backward
from tests.trainers.contract.helpers import SHIMMED, backward, network, train, weights

Make = Callable[..., Any]


@pytest.mark.parametrize("cls", [ProdigyPlusScheduleFree, AdamWScheduleFree, SHIMMED.ProdigyPlusScheduleFree])
def test_the_name_says_that_it_has_modes(cls: type) -> None:
    """Only classes of such a name get a dummy schedule, and eval() before samples and checkpoints."""
    assert cls.__name__.lower().endswith("schedulefree")


def test_a_class_is_found_by_path_and_takes_literals() -> None:
    module, _, name = "ppsf_fast.ProdigyPlusScheduleFree".rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    given = ["betas=0.9,0.99", "eps=None", "split_groups=True", "d_coef=2"]
    options = {key: ast.literal_eval(value) for key, value in (each.split("=") for each in given)}
    optimizer = cls([{"params": list(network().parameters()), "lr": 1.0}], lr=1.0, **options)
    assert callable(optimizer.train)
    optimizer.train()
    assert optimizer.param_groups[0]["eps"] is None


def test_its_log_reads_d_and_lr_as_floats(make: Make) -> None:
    net = network()
    optimizer = make(net.parameters())
    train(net, optimizer, range(3))
    group = optimizer.param_groups[0]
    assert type(group["d"]) is type(group["lr"]) is float
    assert type(group["d"] * group["lr"]) is float


def test_under_its_wrapper_training_is_the_same(make: Make) -> None:
    plain, wrapped = network(), network()
    one = make(plain.parameters(), d0=1e-3)
    net, other = Accelerator(cpu=True).prepare(wrapped, make(wrapped.parameters(), d0=1e-3))
    other.train()
    train(plain, one, range(5))
    train(net, other, range(5))
    one.eval()
    other.eval()
    assert weights(wrapped) == weights(plain)


@pytest.mark.parametrize("hooks", ["its own", "ours"])
def test_the_step_inside_the_backward_pass_is_reached_through_the_wrapper(make: Make, hooks: str) -> None:
    """The wrapper has no step_param(): hooks go to the optimizer inside. Its own loop never calls step()."""
    plain, fused = network(), network()
    one, inner = make(plain.parameters(), d0=1e-3), make(fused.parameters(), d0=1e-3, fused_back_pass=True)
    wrapped = Accelerator(cpu=True).prepare_optimizer(inner)
    assert not hasattr(wrapped, "step_param")
    if hooks == "ours":
        assert isinstance(fuse_backward(wrapped.optimizer), FusedBackward)
    else:
        for param in fused.parameters():
            param.register_post_accumulate_grad_hook(lambda tensor: stepped(wrapped, tensor))
    for step in range(5):
        backward(plain, step)
        one.step()
        one.zero_grad()
        backward(fused, step)
        if hooks == "ours":
            wrapped.step()
    assert weights(fused) == weights(plain)


def stepped(wrapped: Any, tensor: torch.Tensor) -> None:
    wrapped.optimizer.step_param(tensor, wrapped.param_groups[0])
    tensor.grad = None


def test_its_groups_of_optimizers_each_have_their_estimate(make: Make) -> None:
    net = network()
    buckets = [make(layer.parameters(), d0=1e-3) for layer in (net[0], net[2])]
    for step in range(20):  # until they are done growing by the most that 2.0 allows
        backward(net, step)
        for optimizer in buckets:
            optimizer.step()
            optimizer.zero_grad()
    assert len({optimizer.param_groups[0]["d"] for optimizer in buckets}) == 2
    assert all(isinstance(optimizer, torch.optim.Optimizer) for optimizer in buckets)
