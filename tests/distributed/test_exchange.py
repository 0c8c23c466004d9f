"""What a sharded step exchanges is what the model of benchmarks/scale.py says, byte for byte."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks.exchange import counted, fitted, predicted
from benchmarks.scale import CHOICES, Choice, exchanges
from benchmarks.workloads import Shape
from tests.distributed.harness import ONE_AT_A_TIME, run

pytestmark = ONE_AT_A_TIME

SHAPES: tuple[Shape, ...] = ((64, 48), (48, 64), (7,), (40, 3, 5), (5, 5), (33, 33))


@pytest.mark.parametrize("world", [2, 3])
def test_a_step_sends_what_the_model_counts(world: int) -> None:
    assert run(world, counted, SHAPES) == [[one.bytes for one in exchanges(SHAPES)]] * world


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_options_ask_for_as_many_exchanges_as_the_page_says(choice: Choice) -> None:
    (sizes,) = run(2, partial(counted, **choice.options), ((48, 64),))[:1]
    assert len(sizes) == choice.exchanges
    assert (max(sizes) >= 4 * 48 * 64) == ("use_muon_pp" in choice.options)


@pytest.mark.parametrize("count", [1, 5])
def test_the_number_of_exchanges_does_not_depend_on_that_of_parameters(count: int) -> None:
    assert len(run(2, counted, SHAPES[:1] * count)[0]) == 3


def test_a_fit_of_times_on_a_line_is_that_line() -> None:
    fit = fitted({size: 1e-3 + 2e-9 * size for size in (1 << 8, 1 << 14, 1 << 18)})
    assert fit == {"start": pytest.approx(1e-3), "per_byte": pytest.approx(2e-9)}
    sent = sum(one.bytes for one in exchanges(SHAPES))
    assert predicted(fit, SHAPES) == pytest.approx(3 * 1e-3 + 2e-9 * sent)
