"""Muon: the pure functions, and where it has state of its own to take care of."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree, muon
from ppsf_fast.precision import full_precision
from tests.fast.helpers import parameters, snapshot, train

SHAPES = [(3, 4), (4, 3), (33, 3, 2), (40, 34), (1, 7), (7, 1), (5, 5)]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_singular_values(matrix: Tensor) -> Tensor:
    """The law in float64, from its definition: the polynomial applied to singular values."""
    wide = matrix.double()
    u, s, v = torch.linalg.svd(wide / (wide.norm() + 1e-7), full_matrices=False)
    for _ in range(6):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u @ torch.diag(s) @ v


@pytest.mark.clause("PPSF-M-015")
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) == 2])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e9])
def test_singular_values_are_drawn_towards_one(shape: tuple[int, int], scale: float) -> None:
    matrix = normal(*shape) * scale
    turned = muon.orthogonalized(matrix)
    assert turned.dtype == torch.float32
    assert turned.is_contiguous()
    torch.testing.assert_close(turned.double(), by_singular_values(matrix), rtol=0, atol=2e-4)
    assert torch.linalg.matrix_norm(turned, 2) < 1.21


@pytest.mark.clause("PPSF-M-015")
@pytest.mark.parametrize("shape", [(3, 4), (0, 3), (3, 0), (0, 0), (2, 0, 5), (0, 3, 2)])
def test_nothing_comes_of_nothing(shape: tuple[int, ...]) -> None:
    update = muon.direction(torch.zeros(shape))
    assert torch.equal(update, torch.zeros(shape))
    memory = muon.renewed(torch.zeros(()), update, torch.tensor(0.75), torch.tensor(0.25))
    assert memory == pytest.approx(0.25e-16)
    assert torch.equal(muon.scaled(update, memory), torch.zeros(shape))


@pytest.mark.clause("PPSF-M-015")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_layout_makes_no_difference(shape: tuple[int, ...]) -> None:
    axes = tuple(reversed(range(len(shape))))
    plain = normal(*shape)
    turned = plain.permute(axes).contiguous().permute(axes)
    torch.testing.assert_close(muon.direction(plain), muon.direction(turned), rtol=0, atol=1e-4)


@pytest.mark.clause("PPSF-M-015")
def test_all_dimensions_but_the_first_make_the_columns() -> None:
    gradient = normal(3, 2, 4)
    assert torch.equal(muon.direction(gradient), muon.direction(gradient.view(3, 8)).view(3, 2, 4))


@pytest.mark.clause("PPSF-M-016")
def test_small_gradients_give_short_directions() -> None:
    gradient = normal(4, 6)
    turned = muon.orthogonalized(gradient)
    along = float((gradient * turned).sum())
    assert along > 1
    assert torch.equal(muon.direction(gradient), turned)
    short = muon.direction(gradient * (0.125 / along))
    torch.testing.assert_close(short, 0.125 * turned, rtol=1e-4, atol=1e-6)


@pytest.mark.clause("PPSF-M-017", "PPSF-M-018")
def test_the_size_is_remembered_and_divided_by() -> None:
    update = torch.tensor([[0.5, -0.5], [0.5, 0.5]])
    memory = muon.renewed(torch.tensor(1.0), update, torch.tensor(0.75), torch.tensor(0.25))
    assert memory == 0.8125
    assert memory.shape == ()
    torch.testing.assert_close(muon.scaled(update, memory), update / (0.8125**0.5 + 1e-8))


@pytest.mark.clause("PPSF-M-014")
def test_parameters_without_columns_keep_their_second_moment() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, use_muon_pp=True, use_adopt=True, use_orthograd=True)
    train(optimizer, params, range(2))
    kept = [("rms_sq" in optimizer.state[p], "exp_avg_sq" in optimizer.state[p]) for p in params]
    assert kept == [(p.dim() > 1, p.dim() < 2) for p in params]


@pytest.mark.clause("PPSF-M-017", "PPSF-L-005")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_memory_is_saved_as_it_is(dtype: torch.dtype) -> None:
    params = parameters(dtype)
    optimizer = ProdigyPlusScheduleFree(params, use_muon_pp=True, d0=1e-3)
    train(optimizer, params, range(3))
    others = [torch.nn.Parameter(param.detach().clone()) for param in params]
    resumed = ProdigyPlusScheduleFree(others, use_muon_pp=True, d0=1e-3)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.state[others[0]]["rms_sq"].dtype == torch.float32
    for one, among in ((optimizer, params), (resumed, others)):
        train(one, among, [3, 4])
    assert snapshot(optimizer, params) == snapshot(resumed, others)


@pytest.mark.clause("PPSF-R-001")
def test_autocast_does_not_reach_the_step() -> None:
    gradient = normal(9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        inside = muon.direction(gradient)
        assert (gradient @ gradient).dtype == torch.bfloat16
    assert torch.equal(inside, muon.direction(gradient))


@pytest.mark.clause("PPSF-R-001")
def test_what_the_user_allows_products_is_put_back() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with suppress(ArithmeticError), full_precision(torch.device("cpu")):
            inside = products_taken_in()
            raise ArithmeticError
        assert inside == ["highest"] or set(inside) == {"ieee"}
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


def products_taken_in() -> list[str]:
    """On a GPU and on the CPU; one word for both in torch before 2.9."""
    backends: Any = torch.backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        return [backends.cuda.matmul.fp32_precision, backends.mkldnn.matmul.fp32_precision]
    return [torch.get_float32_matmul_precision()]
