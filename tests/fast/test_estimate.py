"""The estimate: it follows its equations, has a window, and trains small models without a given step size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree
from tests.fast.helpers import parameters, snapshot, train


@dataclass
class Scalar:
    """The optimizer for one weight, in Python floats."""

    y: float
    lr: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.99
    d0: float = 1e-3
    d_coef: float = 1.0
    decay: float = 0.0
    by_lr: bool = True
    eps: float | None = 1e-8
    clip: bool = True
    steps: int = 0

    def __post_init__(self) -> None:
        self.z, self.x0, self.v, self.s = self.y, self.y, 0.0, 0.0
        self.d = self.d_prev = self.d0
        self.numerator = self.denom = self.weights = 0.0
        self.k = 1

    def update(self, grad: float) -> float:
        bound = 50.0 if self.d <= self.d0 else 1.0
        if self.eps is None:
            return bound * math.atan2(grad, bound * math.sqrt(self.v))
        update = grad / (math.sqrt(self.v) + self.eps)
        return update / max(1.0, abs(update) / bound) if self.clip else update

    def step(self, grad: float) -> None:
        self.v = self.beta2 * (self.d_prev / self.d) ** 2 * self.v + (1 - self.beta2) * grad**2
        update = self.update(grad) + (self.decay * self.y if self.by_lr else 0.0)
        lost = 0.0 if self.by_lr else self.decay * self.y
        inner = math.sqrt(self.d) * grad * (self.x0 - self.y)
        beta3 = math.sqrt(self.beta2)
        s = beta3 * self.s + math.sqrt(self.d) * grad
        dlr = self.d * self.lr
        self.weights += dlr**2
        c = dlr**2 / self.weights
        xi = 1 - self.beta1 * (1 - c)
        self.y = (1 - c) * self.y + c * self.z - xi * (dlr * update + lost)
        self.z -= dlr * update + lost
        self.d_prev = self.d
        if self.steps == 0 or self.k <= self.steps:
            self.s, self.denom = s, abs(s)
            self.numerator = beta3 * self.numerator + (inner if self.d > self.d0 else max(inner, 0.0))
            self.d = max(self.d, math.atan2(self.d_coef * self.numerator, self.denom))
        self.k += 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.5, "d_coef": 2.0, "d0": 1e-2},
        {"use_stableadamw": False, "eps": 1e-3},
        {"eps": None},
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "weight_decay_by_lr": False},
        {"prodigy_steps": 4},
        {"betas": (0.5, 0.9)},
    ],
    ids=str,
)
def test_one_weight_follows_the_equations(options: dict[str, float]) -> None:
    param = torch.nn.Parameter(torch.tensor(1.5))
    optimizer = ProdigyPlusScheduleFree([param], **{"d0": 1e-3} | options)
    model = Scalar(
        1.5,
        lr=options.get("lr", 1.0),
        beta1=options.get("betas", (0.9, 0.99))[0],
        beta2=options.get("betas", (0.9, 0.99))[1],
        d0=options.get("d0", 1e-3),
        d_coef=options.get("d_coef", 1.0),
        decay=options.get("weight_decay", 0.0),
        by_lr=options.get("weight_decay_by_lr", True),
        eps=options.get("eps", 1e-8),
        clip=options.get("use_stableadamw", True),
        steps=options.get("prodigy_steps", 0),
    )
    for step in range(40):
        grad = torch.tensor(math.cos(0.3 * step) + param.item())
        param.grad = grad
        optimizer.step()
        model.step(grad.item())
    group = optimizer.param_groups[0]
    found = [
        param.item(),
        optimizer.state[param]["z"].item(),
        *(group[name] for name in ("d", "d_prev", "weight_sum")),
    ]
    assert found == pytest.approx([model.y, model.z, model.d, model.d_prev, model.weights], rel=1e-4)
    assert [group["d_numerator"], group["d_denom"]] == pytest.approx([model.numerator, model.denom], rel=1e-3)
    assert group["k"] == model.k


def test_the_memory_of_the_estimate_is_freed_with_its_window() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, prodigy_steps=3)
    train(optimizer, params[:2], range(2))
    train(optimizer, params[1:], [2])
    assert all(not {"s", "p0"} & set(optimizer.state[param]) for param in params)
    frozen = {name: optimizer.param_groups[0][name] for name in ("d", "d_numerator", "d_denom")}
    train(optimizer, params, range(3, 6))
    group = optimizer.param_groups[0]
    assert {name: group[name] for name in frozen} == frozen
    assert group["d_prev"] == group["d"]
    assert all(not {"s", "p0"} & set(optimizer.state[param]) for param in params)


def test_the_last_step_of_the_window_still_adapts() -> None:
    params, same = parameters(), parameters()
    short, long = ProdigyPlusScheduleFree(params, prodigy_steps=3), ProdigyPlusScheduleFree(same)
    train(short, params, range(3))
    train(long, same, range(3))
    assert short.param_groups[0]["d"] == long.param_groups[0]["d"] > short.param_groups[0]["d_prev"]


def test_a_window_that_opens_again_starts_anew() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, prodigy_steps=2)
    train(optimizer, params, range(4))
    optimizer.param_groups[0]["prodigy_steps"] = 0
    train(optimizer, params, [4])
    assert all({"s", "p0"} <= set(optimizer.state[param]) for param in params)


def test_gradients_that_are_all_zero_move_nothing() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, eps=None)
    before = snapshot(optimizer, params)["weights"]
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizer.step()
    assert snapshot(optimizer, params)["weights"] == before
    assert optimizer.param_groups[0]["d"] == 1e-6


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_atan2_does_not_depend_on_the_scale_of_the_gradients(scale: float) -> None:
    def run(factor: float) -> list[float]:
        (param,) = parameters(shapes=[(40, 12)])
        optimizer = ProdigyPlusScheduleFree([param], eps=None, d0=1e-3)
        for _ in range(20):
            param.grad = (param.detach() - 3) * factor
            optimizer.step()
        return param.detach().flatten().tolist()

    assert run(scale) == pytest.approx(run(1.0), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"eps": None}, {"factored": False}], ids=str)
def test_a_small_regression_converges_and_d_rises(dtype: torch.dtype, options: dict[str, object]) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(128, 8, generator=generator)
    targets = torch.sin(inputs @ torch.randn(8, 4, generator=generator))
    params = parameters(dtype, shapes=[(8, 32), (32, 4)])
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-4, **options)

    def loss() -> torch.Tensor:
        first, second = (param.float() for param in params)
        return ((torch.tanh(inputs @ first) @ second - targets) ** 2).mean()

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value.item()

    losses = [optimizer.step(closure) for _ in range(200)]
    optimizer.eval()
    assert optimizer.param_groups[0]["d"] > 1e-3
    assert loss().item() < 0.1 * losses[0]
