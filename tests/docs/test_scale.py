"""The page about many GPUs says what its model computes, and the model what can be reckoned by hand."""

from __future__ import annotations

import pytest

from benchmarks.scale import H100, Model, all_reduce, cost, exchanges
from benchmarks.workloads import Workload, model
from facts import scale


def numbers(*shapes: tuple[int, ...]) -> list[int]:
    return [one.numbers for one in exchanges(shapes)]


def test_what_a_shape_asks_for() -> None:
    assert numbers((64, 48)) == [2, 2 + 48, 1]
    assert numbers((48, 64)) == [2, 2 + 64 + 2, 1]  # the rows are cut, so their mean is asked for
    assert numbers((64,)) == [2, 2, 1]
    assert numbers((8, 8)) == [2, 2, 1]  # too small to be factored
    assert numbers((40, 3, 5)) == [2, 2 + 15, 1]
    assert numbers((64, 48), (48, 64), (7,)) == [6, 3 * 2 + 48 + 64 + 2, 3]


def test_a_model_sends_a_thousandth_part_of_what_fsdp_sends() -> None:
    for row in scale.volume().rows[-1:]:
        assert all(float(share.rstrip("%")) < 0.1 for share in row[1:])


def test_the_time_of_an_exchange_by_hand() -> None:
    assert all_reduce(8, 1) == 0
    # Fourteen hops in a node; the byte costs nothing to speak of.
    assert all_reduce(0, 8) == pytest.approx(1e-6 * (6.6 + 14 * 0.6))
    # 128 nodes: a tree of seven levels, up and down, and a chain of eight in each.
    assert all_reduce(0, 1024) == pytest.approx(1e-6 * (6.8 + 14 * 0.6 + 14 * 5.0))
    # A large buffer fills the links: 2 (N - 1) / N bytes for each of its own.
    assert all_reduce(10**12, 8) == pytest.approx(2 * 7 / 8 * 10**12 / H100.link, rel=1e-4)


def test_more_gpus_never_send_faster_and_larger_buffers_neither() -> None:
    gpus = [2**power for power in range(15)]
    for size in (8, 10**4, 10**7):
        times = [all_reduce(size, number) for number in gpus]
        assert times == sorted(times)
        assert all_reduce(size, 64) <= all_reduce(10 * size, 64)


def test_the_cost_of_a_step_is_traffic_and_what_is_sent() -> None:
    found = cost(Model(Workload("one", "one", [(1000, 1000)]), tokens=1000.0), 10)
    assert found.adamw == pytest.approx(28 * 1e5 / H100.memory)
    assert found.ours == pytest.approx((28 + 12 / 11) * 1e5 / H100.memory)
    assert found.training == pytest.approx(6 * 1e6 * 1000 / (10 * H100.flops))
    assert found.extra == pytest.approx((found.ours + found.sent - found.adamw) / (found.training + found.adamw))


def test_what_does_not_fit_is_not_reckoned() -> None:
    assert not cost(Model(model("llama31_405b", 1), 1.0), 64).fits
    cells = {(row[0], row[1]): row[2:] for row in scale.overhead().rows}
    assert "does not fit" in cells["Llama 3.1 405B", "64"][0]
    assert "%" in cells["Llama 3.1 405B", "1,024"][-1]
