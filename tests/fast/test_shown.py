"""repr() of an optimizer."""

from __future__ import annotations

import pytest
import torch

from ppsf_fast import AdamWScheduleFree, ProdigyPlusScheduleFree
from ppsf_fast.options import defaults_of
from ppsf_fast.revisions import REVISIONS
from tests.fast.helpers import parameters, train
from tests.fast.revised import CASES, build


@pytest.mark.need(20)
def test_repr_shows_the_configuration_in_effect() -> None:
    first, second = parameters(shapes=[(40, 50), (7,)])
    groups = [{"params": [first]}, {"params": [second], "weight_decay": 0.01, "name": "biases"}]
    optimizer = ProdigyPlusScheduleFree(groups, eps=None, d0=1e-4)
    assert repr(optimizer).splitlines() == [
        "ProdigyPlusScheduleFree (revision 1.9)",
        "  group 0: tensors=1, parameters=2,000, d=0.0001, d0=0.0001, eps=None, use_stableadamw=False",
        "  group 1: tensors=1, parameters=7, d=0.0001, weight_decay=0.01, d0=0.0001, eps=None, use_stableadamw=False",
    ]


@pytest.mark.parametrize("case", CASES)
def test_repr_names_what_differs_from_the_defaults_of_the_revision(case: str) -> None:
    optimizer = build(case, parameters())
    given = {name: value for name, value in CASES[case][1].items() if name != "revision"}
    defaults = defaults_of(REVISIONS[optimizer.revision])
    differing = {f"{name}={value!r}" for name, value in given.items() if value != defaults[name]}
    head, first, second = repr(optimizer).splitlines()
    assert head == f"{type(optimizer).__name__} (revision {optimizer.revision})"
    # After the sizes and d; betas hold a comma and are never given here.
    assert {part for part in first.split(", ")[2:] if not part.startswith("d=")} == differing
    assert "weight_decay=0.01" in second


def test_repr_follows_d_and_needs_no_estimate() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2)
    before = repr(optimizer)
    train(optimizer, params, range(3))
    assert f"d={optimizer.param_groups[0]['d']:.3g}" in repr(optimizer) != before
    assert " d=" not in repr(AdamWScheduleFree([torch.nn.Parameter(torch.ones(2))]))
