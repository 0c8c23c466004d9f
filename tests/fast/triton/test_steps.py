"""What a step on the kernels shares with one on plain torch, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.backends import CHOICE
from ppsf_fast.backends.triton import serving
from ppsf_fast.plan import Item
from ppsf_fast.scaling import Scaling
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train
from tests.fast.revised import CASES, build

Choose = Callable[[bool], None]
BAD = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def run(params: Sequence[Tensor], steps: int = 2, **options: Any) -> dict[str, Any]:
    groups = [{"params": params[:2]}, {"params": params[2:]}]
    optimizer = ProdigyPlusScheduleFree(groups, d0=1e-3, **options)
    train(optimizer, params, range(steps))
    return snapshot(optimizer, params)


def test_weights_are_the_same_bits_as_those_of_torch_where_nothing_is_reordered(by_torch: Choose) -> None:
    """With no sum of more than two numbers, and the same random bits, nothing is left to differ."""
    options: dict[str, Any] = {"use_stableadamw": False, "factored": False}
    shapes = ((1,), (), (1, 1), (1, 1, 1))
    of_triton = run(parameters(torch.bfloat16, shapes), **options)
    by_torch(True)
    of_torch = run(parameters(torch.bfloat16, shapes), **options)
    assert {name: of_torch[name] for name in ("weights", "state")} == {
        name: of_triton[name] for name in ("weights", "state")
    }


@pytest.mark.usefixtures("tiles")
def test_a_run_gives_the_same_bits_again() -> None:
    shapes = ((33, 20), (7,), (33, 8, 3))
    assert run(parameters(torch.bfloat16, shapes)) == run(parameters(torch.bfloat16, shapes))


@pytest.mark.parametrize(
    ("case", "value"),
    [("1.9", BAD["nan"]), ("2.0 without averaging", BAD["inf"]), ("update3", BAD["-inf"]), ("prodigy", BAD["nan"])],
)
def test_a_bad_gradient_anywhere_leaves_every_bit(case: str, value: float) -> None:
    params = parameters()
    optimizer = build(case, params)
    train(optimizer, params, range(1))
    before = snapshot(optimizer, params)
    give_gradients(params, 2)
    assert params[3].grad is not None
    params[3].grad.view(-1)[-1] = value
    optimizer.step()
    assert snapshot(optimizer, params) == before
    assert optimizer.metrics()[0]["skipped_steps"] == 1
    train(optimizer, params, [3])
    assert snapshot(optimizer, params) != before


def test_a_gradient_that_only_float64_holds_is_infinite() -> None:
    param = torch.nn.Parameter(torch.ones(3))
    param.grad_dtype = None
    param.grad = torch.tensor([1.0, 1e300, 1.0], dtype=torch.float64)
    optimizer = ProdigyPlusScheduleFree([param])
    optimizer.step()
    assert bits(param) == bits(torch.ones(3))
    assert optimizer.metrics()[0]["skipped_steps"] == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16])
def test_gradients_may_have_another_dtype(by_torch: Choose, dtype: torch.dtype) -> None:
    def stepped() -> Any:
        param = torch.nn.Parameter(torch.linspace(-1, 1, 5))
        param.grad_dtype = None
        param.grad = torch.linspace(-0.5, 1, 5).to(dtype)
        ProdigyPlusScheduleFree([param], d0=1e-2, use_stableadamw=False).step()
        return bits(param)

    of_triton = stepped()
    by_torch(True)
    assert stepped() == of_triton


def test_scaled_gradients_are_unscaled_as_they_are_read(by_torch: Choose) -> None:
    """As a GradScaler asks for it: the same bits as those of torch, and none changed where it has found infinity."""

    def moved() -> object:
        params = parameters(torch.float16, ((1,), (), (1, 1)))
        optimizer: Any = ProdigyPlusScheduleFree(params, d0=1e-3, use_stableadamw=False, factored=False)
        for step, scale in enumerate((1024.0, 512.0, 512.0, None)):
            give_gradients(params, step)
            optimizer.grad_scale = None if scale is None else torch.tensor(scale)
            for param in params:
                assert param.grad is not None
                param.grad *= scale or 1.0
            optimizer.step()
        before = snapshot(optimizer, params)
        optimizer.found_inf = torch.tensor(1.0)
        optimizer.step()
        assert optimizer.metrics()[0]["skipped_steps"] == 1
        assert snapshot(optimizer, params) == before
        return before["weights"], before["state"]

    of_triton = moved()
    by_torch(True)
    assert moved() == of_triton


def test_infinity_that_only_the_device_knows_of_leaves_every_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters()
    optimizer: Any = ProdigyPlusScheduleFree(params)
    train(optimizer, params, [0])
    before = snapshot(optimizer, params)
    give_gradients(params, 1)
    monkeypatch.setattr(Scaling, "skips", False)
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.step()
    assert optimizer.metrics()[0]["skipped_steps"] == 1
    assert snapshot(optimizer, params) == before


def test_memory_layout_does_not_matter() -> None:
    def moved(layout: torch.memory_format, of_gradient: torch.memory_format) -> object:
        values = torch.linspace(-1, 1, 2 * 40 * 3 * 5).view(2, 40, 3, 5).bfloat16()
        param = torch.nn.Parameter(values.to(memory_format=layout))
        optimizer = ProdigyPlusScheduleFree([param], d0=1e-3, use_stableadamw=False, factored=False)
        for step in range(2):
            give_gradients([param], step)
            assert param.grad is not None
            param.grad = param.grad.to(memory_format=of_gradient)
            optimizer.step()
        return snapshot(optimizer, [param])

    plain = moved(torch.contiguous_format, torch.contiguous_format)
    assert plain == moved(torch.channels_last, torch.contiguous_format)
    assert plain == moved(torch.channels_last, torch.channels_last)


@pytest.mark.clause("PPSF-C-001")
@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("eps", [1e-8, 1e-9, 1e-33])
def test_updates_of_any_size_are_limited_as_by_torch(by_torch: Choose, eps: float, dtype: torch.dtype) -> None:
    """Under ADOPT an update may be 2^76 or 2^90, since what it is divided by knows nothing of the gradient."""

    def limited() -> list[float]:
        params = parameters(dtype, ((40, 64), (24, 8)))
        before = [param.detach().double().clone() for param in params]
        optimizer = ProdigyPlusScheduleFree(params, d0=0.1, eps=eps, use_adopt=True)
        for size in (2.0**-40, 2.0**50):
            for param in params:
                param.grad = torch.linspace(-1, 1, param.numel()).view(param.shape).to(dtype) * size
            optimizer.step()
        return [
            float((optimizer.state[param]["z"].double() - at).norm()) for param, at in zip(params, before, strict=True)
        ]

    of_triton = limited()
    by_torch(True)
    assert of_triton == pytest.approx(limited(), rel=1e-2 if dtype == torch.bfloat16 else 1e-5)
    assert min(of_triton) > 0


@pytest.mark.clause("PPSF-D-033")
@pytest.mark.parametrize(
    "options", [{}, {"use_speed": True}, {"revision": "2.0"}, {"amplify_gradients": True}], ids=str
)
def test_statistics_that_are_no_numbers_change_no_estimate(options: dict[str, Any]) -> None:
    """An infinite weight is no distance away from where it was, nor any other."""
    params = [torch.nn.Parameter(torch.tensor([torch.inf, 1.0, 2.0])), torch.nn.Parameter(torch.ones(4))]
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-3, **options)
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()
    group = optimizer.param_groups[0]
    assert (group["d"], group["d_numerator"], group["d_denom"], group["k"]) == (1e-3, 0.0, 0.0, 2)


def _negated(tensor: Tensor) -> Tensor:
    """The same in the same memory, which holds its negative now."""
    with torch.no_grad():
        return torch._neg_view(tensor.neg_())


def _negate_gradient(optimizer: ProdigyPlusScheduleFree, param: Tensor) -> None:
    assert param.grad is not None
    param.grad = _negated(param.grad)


def _negate_state(optimizer: ProdigyPlusScheduleFree, param: Tensor) -> None:
    optimizer.state[param]["z"] = _negated(optimizer.state[param]["z"].clone())


def _negate_parameter(optimizer: ProdigyPlusScheduleFree, param: Tensor) -> None:
    lazy = torch.nn.Parameter(_negated(param.detach().clone()))
    lazy.grad, optimizer.state[lazy] = param.grad, optimizer.state.pop(param)
    optimizer.param_groups[0]["params"][0] = lazy


@pytest.mark.parametrize("negate", [_negate_gradient, _negate_state, _negate_parameter])
def test_what_torch_negates_as_it_reads_is_read_so(
    monkeypatch: pytest.MonkeyPatch, by_torch: Choose, negate: Callable[[Any, Tensor], None]
) -> None:
    """The torch backend takes that step, also where everything lies as it did in the last one."""

    def moved(lazy: bool) -> list[object]:
        params = parameters(shapes=[(33, 8), (7,)])
        optimizer = ProdigyPlusScheduleFree(params, d0=1e-3)
        give_gradients(params, 0)
        by_torch(False)
        optimizer.step()
        by_torch(True)
        if lazy:
            monkeypatch.setenv(CHOICE, "triton")
            negate(optimizer, params[0])
        optimizer.step()
        return [bits(param.resolve_neg()) for param in optimizer.param_groups[0]["params"]]

    assert moved(lazy=True) == moved(lazy=False)


def test_state_of_any_strides_is_read_and_written_in_place() -> None:
    def moved(spread: bool) -> list[object]:
        params = parameters(shapes=((40, 12), (7,)))
        optimizer = ProdigyPlusScheduleFree(params, d0=1e-3)
        train(optimizer, params, [0])
        if spread:
            for state in optimizer.state.values():
                for name, value in state.items():
                    wider = torch.empty((*value.shape, 2))
                    state[name] = wider[..., 0].copy_(value)
        train(optimizer, params, [1, 2])
        assert not spread or not optimizer.state[params[0]]["z"].is_contiguous()
        return [bits(value) for state in optimizer.state.values() for value in state.values()]

    assert moved(True) == moved(False)


@pytest.mark.parametrize("case", CASES)
def test_parameters_in_two_places_step_as_in_one(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """As on two devices: what they share goes from one to the other. Only sums over a pool change their order."""

    def moved() -> list[Tensor]:
        params = parameters()
        optimizer = build(case, params)
        train(optimizer, params, range(2))
        return [param.detach().clone() for param in params]

    together = moved()
    monkeypatch.setattr(serving, "place", _parity)
    apart = moved()
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one, other)


def _parity(item: Item) -> object:
    return item.index % 2
