"""The adapter loses nothing: weights, gradients and state are the same numbers on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from ppsf_conformance.adapter import Array, Group, Snapshot, Weights
from ppsf_conformance.name_map import shipped_maps
from ppsf_conformance.torch_adapter import TorchImplementation, TorchSession, to_array, to_tensor
from ppsf_fast import ProdigyPlusScheduleFree

SHIPPED = shipped_maps()["ppsf_fast"]
NAMES = replace(SHIPPED, group={name: key for name, key in SHIPPED.group.items() if name != "effective_lr"})
LISTS = shipped_maps()["prodigy_plus_schedule_free"]
#: Extremes of each format among ordinary numbers.
EXACT = {
    "float32": [1.0, -(2.0**-149), 2.0**-126, 3.4028234663852886e38, 1 + 2.0**-23, 0.1 + 2.0**-55],
    "bfloat16": [1.0, -(2.0**-133), 2.0**-126, 3.3895313892515355e38, 1 + 2.0**-7, 0.10009765625],
}


class Keeper(torch.optim.Optimizer):
    """Steps by keeping what it sees, under the names of ppsf_fast or as its test says."""

    def __init__(self, params: Any, **options: Any) -> None:
        numbers = dict.fromkeys(("d", "d_prev", "d_numerator", "d_denom", "weight_sum"), 0.25)
        super().__init__(params, {"lr": 1.0, "k": 1, "train_mode": True, **numbers, **options})
        self.seen: list[torch.Tensor | None] = []

    def step(self, closure: Any = None) -> None:
        self.seen = [p.grad for group in self.param_groups for p in group["params"]]


def session(*weights: Weights, names: Any = NAMES) -> Any:
    return TorchImplementation(Keeper, names).new([Group(weights, {})], {})


def param(snapshot: Snapshot) -> Any:
    return snapshot.state.groups[0].params[0]


# ------------------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("dtype", EXACT)
def test_values_survive_the_way_there_and_back(dtype: str) -> None:
    values = torch.tensor(EXACT[dtype], dtype=getattr(torch, dtype)).to(torch.float64).numpy()
    tensor = to_tensor(Weights(values, dtype))
    assert tensor.dtype is getattr(torch, dtype)
    assert to_array(tensor).tobytes() == values.tobytes()


def test_signed_zeros_and_specials_survive() -> None:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    assert to_array(to_tensor(Weights(values, "bfloat16"))).tobytes() == values.tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (0, 3), (2, 3, 4), (1, 5)])
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_logical_order_does_not_depend_on_the_layout(
    shape: tuple[int, ...], layout: Literal["contiguous", "transposed"]
) -> None:
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    tensor = to_tensor(Weights(values, "float32", layout))
    assert tuple(tensor.shape) == shape
    assert np.array_equal(to_array(tensor), values)


def test_a_transposed_parameter_is_not_contiguous() -> None:
    made = session(Weights(np.ones((3, 4)), "float32", "transposed"))
    assert made.optimizer.param_groups[0]["params"][0].stride() == (1, 3)


def test_a_snapshot_does_not_change_when_the_weights_do() -> None:
    made = session(Weights(np.ones(3)))
    before = made.snapshot()
    with torch.no_grad():
        made.optimizer.param_groups[0]["params"][0].zero_()
    assert np.array_equal(param(before).y, np.ones(3))


# ----------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_gradients_arrive_as_they_are(dtype: str, layout: Literal["contiguous", "transposed"]) -> None:
    gradient = torch.tensor(EXACT[dtype], dtype=getattr(torch, dtype)).to(torch.float64).numpy().reshape(2, 3)
    made = session(Weights(np.ones((2, 3)), dtype, layout), Weights(np.ones(4)))
    made.step([[gradient, None]])
    seen, missing = made.optimizer.seen
    assert missing is None
    assert seen.dtype is getattr(torch, dtype)
    assert seen.stride() == made.optimizer.param_groups[0]["params"][0].stride()
    assert np.array_equal(to_array(seen), gradient)


# --------------------------------------------------------------------------------------------------------------- state


def test_state_that_is_not_there_reads_as_none() -> None:
    found = param(session(Weights(np.ones(3))).snapshot())
    assert (found.z, found.x0, found.s, found.v, found.v_row, found.v_col) == (None,) * 6


def test_items_of_a_list_are_found_by_their_number() -> None:
    made = session(Weights(np.ones((2, 3))), names=LISTS)
    tensor = made.optimizer.param_groups[0]["params"][0]
    made.optimizer.state[tensor]["exp_avg_sq"] = [torch.full((2, 1), 2.0), torch.full((1, 3), 3.0)]
    found = param(made.snapshot())
    assert found.v is None
    assert found.v_row.tolist() == [[2.0], [2.0]]
    assert found.v_col.tolist() == [[3.0, 3.0, 3.0]]


def test_a_list_that_is_too_short_has_nothing_there() -> None:
    made = session(Weights(np.ones((2, 3))), names=LISTS)
    made.optimizer.state[made.optimizer.param_groups[0]["params"][0]]["exp_avg_sq"] = [torch.ones(2, 1)]
    assert param(made.snapshot()).v_col is None


def test_a_number_that_stands_for_the_sample_is_spread_over_it() -> None:
    made = session(Weights(np.zeros(23)))
    made.optimizer.state[made.optimizer.param_groups[0]["params"][0]]["p0"] = torch.tensor(0.0)
    assert param(made.snapshot()).x0.tolist() == [0.0, 0.0, 0.0]


def test_formats_are_those_of_the_stored_tensors() -> None:
    made = session(Weights(np.ones(3), "bfloat16"))
    made.optimizer.state[made.optimizer.param_groups[0]["params"][0]]["s"] = torch.ones(1)
    assert made.snapshot().formats == (({"y": "bfloat16", "s": "float32"},),)


def test_a_number_of_a_group_that_is_not_where_the_map_says_is_told() -> None:
    names = replace(NAMES, group={**NAMES.group, "d_prev": "previous"})
    with pytest.raises(ValueError, match=r"reads d_prev from 'previous' .* Keeper keeps nothing there.*d_denom"):
        session(Weights(np.ones(3)), names=names).snapshot()


# -------------------------------------------------------------------------------------------------------------- copies


@pytest.fixture
def stepped() -> TorchSession:
    groups = [Group((Weights(np.ones((33, 40)), "bfloat16", "transposed"), Weights(np.ones(5))), {"lr": 0.5})]
    made = TorchImplementation(ProdigyPlusScheduleFree, NAMES).new(groups, {"d0": 1e-3})
    for t in range(3):
        made.step([[np.full((33, 40), 1.0 + t), np.full(5, -1.0)]])
    return made


def arrays(snapshot: Snapshot) -> list[Array]:
    params = [vars(p) for group in snapshot.state.groups for p in group.params]
    return [value for found in params for value in found.values() if value is not None]


@pytest.mark.parametrize("how", ["saved", "deepcopy", "pickle"])
def test_a_copy_has_the_same_state_over_weights_of_its_own(
    stepped: TorchSession, how: Literal["saved", "deepcopy", "pickle"]
) -> None:
    copy, before = stepped.copied(how), stepped.snapshot()
    pairs = zip(arrays(before), arrays(copy.snapshot()), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert copy.snapshot().formats == before.formats
    assert copy.optimizer.param_groups[0]["lr"] == 0.5
    copy.step([[np.ones((33, 40)), np.ones(5)]])
    assert all(np.array_equal(a, b) for a, b in zip(arrays(before), arrays(stepped.snapshot()), strict=True))


def test_constructors_that_print_are_kept_quiet(capsys: Any) -> None:
    class Talking(Keeper):
        def __init__(self, params: Any, **options: Any) -> None:
            print("hello")
            super().__init__(params, **options)

    TorchImplementation(Talking, NAMES).new([Group((Weights(np.ones(3)),), {})], {})
    assert capsys.readouterr().out == ""
