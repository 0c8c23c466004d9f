"""Weights in eval form without eval mode: as a state dict, and in a `with` block."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train

DTYPES = [torch.float32, torch.bfloat16]


class Model(nn.Module):
    """Tied weights, a buffer, and a parameter that nobody trains."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(33, 5), nn.Linear(5, 33)
        self.head.weight = self.embedding.weight
        self.norm = nn.BatchNorm1d(5)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)


def trained(dtype: torch.dtype = torch.float32, **options: Any) -> tuple[Model, ProdigyPlusScheduleFree, list[Tensor]]:
    torch.manual_seed(0)
    model = Model().to(dtype)
    params = [param for param in model.parameters() if param.requires_grad]
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2, **options)
    train(optimizer, params, range(6))
    return model, optimizer, params


def entries(state: dict[str, Tensor]) -> dict[str, Any]:
    return {name: bits(value) for name, value in state.items()}


@pytest.mark.need(3)
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_the_state_dict_of_eval_mode_and_nothing_changes(dtype: torch.dtype, wrapped: bool) -> None:
    model, optimizer, params = trained(dtype)
    outer = nn.ModuleDict({"module": model}) if wrapped else model
    before = snapshot(optimizer, params)
    plain, found = entries(outer.state_dict()), optimizer.averaged_state_dict(outer)
    assert snapshot(optimizer, params) == before
    optimizer.eval()
    assert entries(found) == entries(outer.state_dict()) != plain
    assert entries(optimizer.averaged_state_dict(outer)) == entries(found)


def test_what_it_returns_does_not_move_with_the_model_and_tied_names_share_a_tensor() -> None:
    model, optimizer, params = trained()
    found = optimizer.averaged_state_dict(model)
    before = entries(found)
    train(optimizer, params, [6])
    model.norm.running_mean.add_(1)  # type: ignore[union-attr, operator]
    assert entries(found) == before
    assert found["head.weight"] is found["embedding.weight"]
    assert not any(value.requires_grad for value in found.values())


def test_before_the_first_step_it_is_the_plain_state_dict() -> None:
    model = nn.Linear(3, 2)
    found = ProdigyPlusScheduleFree(model.parameters()).averaged_state_dict(model)
    assert entries(found) == entries(model.state_dict())


def without_averaging(name: str, params: Any) -> Any:
    makers: dict[str, Any] = {
        "prodigy": lambda: Prodigy(params, d0=1e-2),
        "2.0": lambda: ProdigyPlusScheduleFree(params, d0=1e-2, revision="2.0", use_schedulefree=False),
    }
    return makers[name]()


@pytest.mark.parametrize("name", ["prodigy", "2.0"])
def test_where_nothing_is_averaged_both_give_the_plain_weights(name: str) -> None:
    model = nn.Linear(3, 2)
    optimizer, params = without_averaging(name, model.parameters()), list(model.parameters())
    train(optimizer, params, range(3))
    plain = entries(model.state_dict())
    assert entries(optimizer.averaged_state_dict(model)) == plain
    with optimizer.averaged():
        assert entries(model.state_dict()) == plain
    assert entries(model.state_dict()) == plain
    train(optimizer, params, [3])


def test_a_model_of_others_is_refused() -> None:
    _, optimizer, _ = trained()
    with pytest.raises(ValueError, match="holds no parameter trained here"):
        optimizer.averaged_state_dict(nn.Linear(2, 2))


class Gathering(nn.Linear):
    """Its state dict holds a copy of a parameter, as wrappers make it that gather what is divided."""

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        entries = super().state_dict(*args, **kwargs)
        return {**entries, "weight": entries["weight"].clone()}


def test_a_state_dict_of_copies_is_refused_and_the_block_serves_it() -> None:
    model = Gathering(3, 2)
    params = list(model.parameters())
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2)
    train(optimizer, params, range(3))
    plain = entries(model.state_dict())
    with pytest.raises(ValueError, match=r"parameters \['weight'\] themselves"):
        optimizer.averaged_state_dict(model)
    with optimizer.averaged():
        averaged = entries(model.state_dict())
    optimizer.eval()
    assert averaged == entries(model.state_dict()) != plain


@pytest.mark.need(3)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_weights_of_training_come_back_bit_for_bit(dtype: torch.dtype) -> None:
    model, optimizer, params = trained(dtype)
    before, averaged = snapshot(optimizer, params), entries(optimizer.averaged_state_dict(model))
    for _ in range(3):  # a round trip through eval() and train() would change bits
        with optimizer.averaged() as same:
            assert same is optimizer
            assert entries(model.state_dict()) == averaged
            with pytest.raises(RuntimeError, match="eval mode"):
                optimizer.step()
    assert snapshot(optimizer, params) == before


def test_they_come_back_after_an_error_too() -> None:
    _, optimizer, params = trained()
    before = snapshot(optimizer, params)
    with pytest.raises(KeyError), optimizer.averaged():
        raise KeyError
    assert snapshot(optimizer, params) == before


def test_in_eval_mode_the_block_changes_nothing() -> None:
    _, optimizer, params = trained()
    optimizer.eval()
    before = snapshot(optimizer, params)
    with optimizer.averaged():
        assert snapshot(optimizer, params) == before
    assert snapshot(optimizer, params) == before


def test_steps_inside_the_block_are_not_lost() -> None:
    _, optimizer, params = trained()
    with optimizer.averaged():
        optimizer.train()
        train(optimizer, params, [6])
        moved = snapshot(optimizer, params)
    assert snapshot(optimizer, params) == moved


def test_blocks_may_be_nested() -> None:
    _, optimizer, params = trained()
    before = snapshot(optimizer, params)
    with optimizer.averaged():
        inside = snapshot(optimizer, params)
        with optimizer.averaged():
            assert snapshot(optimizer, params) == inside
        assert snapshot(optimizer, params) == inside
    assert snapshot(optimizer, params) == before


def test_a_group_without_averaging_and_without_beta1_beside_one_that_averages() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(2, 2)
    groups = [
        {"params": list(first.parameters())},
        {"params": list(second.parameters()), "use_schedulefree": False, "betas": (0.0, 0.99)},
    ]
    params = [*first.parameters(), *second.parameters()]
    optimizer = ProdigyPlusScheduleFree(groups, d0=1e-2, revision="2.0")
    train(optimizer, params, range(3))
    plain, weights = entries(second.state_dict()), snapshot(optimizer, params)["weights"]
    found = entries(optimizer.averaged_state_dict(nn.Sequential(first, second)))
    with optimizer.averaged():
        assert entries(nn.Sequential(first, second).state_dict()) == found
        assert entries(second.state_dict()) == plain
    assert snapshot(optimizer, params)["weights"] == weights


def test_between_backward_pass_and_step_of_a_fused_step_it_ends_nothing() -> None:
    model = nn.Linear(3, 2)
    params = list(model.parameters())
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2, fused_back_pass=True)

    def half_a_step(step: int) -> None:
        give_gradients(params, step)
        for param in params:
            optimizer.step_param(param)

    for step in range(3):
        half_a_step(step)
        optimizer.step()
    half_a_step(3)
    k, found = optimizer.param_groups[0]["k"], entries(optimizer.averaged_state_dict(model))
    assert optimizer.param_groups[0]["k"] == k
    optimizer.step()
    assert optimizer.param_groups[0]["k"] == k + 1
    optimizer.eval()
    assert entries(model.state_dict()) == found


@pytest.mark.need(33)
def test_statistics_of_batch_norm_can_be_measured_on_the_average() -> None:
    torch.manual_seed(0)
    first, norm = nn.Linear(4, 3), nn.BatchNorm1d(3)
    model = nn.Sequential(first, norm)
    optimizer = ProdigyPlusScheduleFree(model.parameters(), d0=0.1)
    train(optimizer, list(model.parameters()), range(5))
    batch, statistics = torch.randn(16, 4), norm.running_mean
    assert statistics is not None
    with optimizer.averaged():
        torch.optim.swa_utils.update_bn([batch], model)
        on_average = first(batch).mean(0)
    on_training = first(batch).mean(0)
    assert (statistics - on_average).norm() < (statistics - on_training).norm()


def test_a_group_that_is_added_inside_is_trained_afterwards() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(2))
    late = torch.nn.Parameter(torch.ones(3))
    with optimizer.averaged():
        optimizer.add_param_group({"params": [late]})
        assert not optimizer.param_groups[1]["train_mode"]
    train(optimizer, [*params, late], range(2, 4))
    assert [group["k"] for group in optimizer.param_groups] == [5, 3]
    optimizer.eval()
    with optimizer.averaged():
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    assert not any(group["train_mode"] for group in optimizer.param_groups)
