"""Options: every value outside its domain is refused by name, and a refusal changes nothing."""

from __future__ import annotations

import inspect
import math
from typing import Any, get_type_hints

import pytest
import torch

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.options import OPTION_NAMES, OPTIONS, SHARED_NAMES
from ppsf_fast.revisions import REVISIONS
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train

OUTSIDE = [
    ("lr", 0.0),
    ("lr", -1),
    ("lr", math.inf),
    ("lr", math.nan),
    ("lr", 10**400),
    ("betas", (0.0, 0.99)),
    ("betas", (1.0, 0.99)),
    ("betas", (0.9, 1.0)),
    ("betas", (0.9, -0.1)),
    ("betas", (0.9,)),
    ("beta3", 1.0),
    ("beta3", -0.1),
    ("weight_decay", -1e-9),
    ("weight_decay", math.inf),
    ("d0", 0.0),
    ("d0", math.nan),
    ("d_coef", 0),
    ("prodigy_steps", -1),
    ("eps", 0.0),
    ("eps", -1e-8),
]
WRONG_TYPE = [
    ("lr", "1"),
    ("lr", True),
    ("lr", None),
    ("betas", 0.9),
    ("betas", ("0.9", 0.99)),
    ("d0", "1e-6"),
    ("prodigy_steps", 1.5),
    ("prodigy_steps", True),
    ("split_groups", 1),
    ("factored", None),
    ("use_stableadamw", "no"),
    ("rounding_seed", 0.5),
]


def make(**options: object) -> ProdigyPlusScheduleFree:
    return ProdigyPlusScheduleFree(parameters(), **options)


def test_the_table_lists_exactly_the_options_of_the_constructor() -> None:
    signature = inspect.signature(ProdigyPlusScheduleFree).parameters
    have = {name for revision in ProdigyPlusScheduleFree.REVISIONS for name in REVISIONS[revision].options}
    expected = [name for name in OPTION_NAMES if name in have]
    assert expected == [name for name in signature if name not in ("params", "revision", "compile", "process_group")]


@pytest.mark.parametrize("kind", [ProdigyPlusScheduleFree, Prodigy, AdamWScheduleFree])
def test_tools_that_read_the_hints_of_a_constructor_can(kind: Any) -> None:
    """Makers of command lines and configurations do; a name that is there for type checkers alone is none for them."""
    assert {*get_type_hints(kind.__init__)} == {*inspect.signature(kind).parameters, "return"}


def test_defaults_pass_their_own_checks() -> None:
    signature = inspect.signature(ProdigyPlusScheduleFree).parameters
    for option in OPTIONS:
        assert option.check(option.name, option.default) == option.default
        assert option.name not in signature or signature[option.name].default == option.default


@pytest.mark.need(20)
@pytest.mark.parametrize(("name", "value"), OUTSIDE)
def test_a_value_outside_the_domain_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        make(**{name: value})


@pytest.mark.parametrize(("name", "value"), WRONG_TYPE)
def test_a_value_of_a_wrong_type_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=name):
        make(**{name: value})


@pytest.mark.parametrize(("name", "value"), [case for case in OUTSIDE + WRONG_TYPE if case[0] not in SHARED_NAMES])
def test_a_group_is_checked_like_the_constructor(name: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        ProdigyPlusScheduleFree([{"params": parameters(), name: value}])


@pytest.mark.parametrize("name", SHARED_NAMES)
def test_what_belongs_to_the_whole_optimizer_is_refused_in_a_group(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ProdigyPlusScheduleFree([{"params": parameters(), name: True}])


@pytest.mark.need(20)
def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"d_coeff is no option.* Did you mean d_coef\?"):
        make(d_coeff=2.0)
    with pytest.raises(TypeError, match=r"foreach is no option.* Leave it out"):
        make(foreach=True)


def test_a_revision_that_is_not_served_is_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"3\.0.*'1\.9', '2\.0', 'update3'"):
        make(revision="3.0")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("d0", (1e-6, 1e-5)),
        ("d_coef", (1.0, 2.0)),
        ("beta3", (None, 0.9)),
        ("prodigy_steps", (0, 5)),
        ("use_speed", (False, True)),
    ],
)
def test_groups_that_share_an_estimate_must_agree_on_it(name: str, values: tuple[object, object]) -> None:
    groups = [{"params": [param], name: value} for param, value in zip(parameters(), values, strict=False)]
    ProdigyPlusScheduleFree(groups)
    with pytest.raises(ValueError, match=name):
        ProdigyPlusScheduleFree(groups, split_groups=False)


def test_groups_agree_if_beta3_resolves_to_the_same_value() -> None:
    first, second, *_ = parameters()
    groups = [{"params": [first], "beta3": 0.5}, {"params": [second], "betas": (0.9, 0.25)}]
    ProdigyPlusScheduleFree(groups, split_groups=False)


def test_each_group_resolves_its_own_options() -> None:
    first, second, third, *_ = parameters()
    groups = [
        {"params": [first], "eps": None, "d0": 1e-4},
        {"params": [second], "lr": 2},
        {"params": [third]},
    ]
    by_group, by_default, rest = ProdigyPlusScheduleFree(groups).param_groups
    assert (by_group["use_stableadamw"], by_group["d"]) == (False, 1e-4)
    assert (by_default["use_stableadamw"], by_default["d"], by_default["lr"]) == (True, 1e-6, 2.0)
    assert rest["beta3"] is None
    overridden, inherited = ProdigyPlusScheduleFree(
        [{"params": [first], "eps": 1e-8}, {"params": [second]}], eps=None
    ).param_groups
    assert overridden["use_stableadamw"]
    assert not inherited["use_stableadamw"]


@pytest.mark.need(35)
def test_the_groups_given_are_not_changed_and_their_other_keys_survive() -> None:
    given = {"params": parameters(), "name": "unet", "initial_lr": 1.0}
    before = dict(given)
    optimizer = ProdigyPlusScheduleFree([given])
    assert given == before
    assert optimizer.param_groups[0]["name"] == "unet"
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["initial_lr"] == 1.0


@pytest.mark.parametrize("dtype", [torch.float8_e5m2, torch.float64, torch.complex64, torch.int32])
def test_a_parameter_of_another_dtype_is_refused(dtype: torch.dtype) -> None:
    param = torch.nn.Parameter(torch.zeros(3, dtype=dtype), requires_grad=False)
    with pytest.raises(TypeError, match=str(dtype)):
        ProdigyPlusScheduleFree([param])


def test_scalars_of_training_are_refused_in_a_group() -> None:
    with pytest.raises(ValueError, match="weight_sum"):
        ProdigyPlusScheduleFree([{"params": parameters(), "weight_sum": 1.0}])


@pytest.mark.need(28)
@pytest.mark.parametrize(
    ("edit", "error"),
    [
        ({"lr": -1.0}, ValueError),
        ({"lr": math.nan}, ValueError),
        ({"lr": "1"}, TypeError),
        ({"d0": 1.0}, ValueError),
        ({"split_groups": True}, ValueError),
        ({"weight_decay": math.nan}, ValueError),
        ({"weight_decay": "0.1"}, TypeError),
        ({"betas": (0.0, 0.99)}, ValueError),
        ({"betas": (0.9, 1.0)}, ValueError),
        ({"use_bias_correction": True, "betas": (0.9, 0.5), "beta3": math.sqrt(0.99)}, ValueError),
        ({"d": 0.0}, ValueError),
        ({"d": math.nan}, ValueError),
        ({"d_numerator": None}, ValueError),
        ({"k": 0}, ValueError),
        ({"k": 2.5}, ValueError),
    ],
)
@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_with_an_edited_group_that_is_not_allowed_changes_nothing(
    edit: dict[str, object], error: type[Exception], steps: int, fused: bool
) -> None:
    params = parameters()
    groups = [{"params": params[:2]}, {"params": params[2:]}]
    optimizer = ProdigyPlusScheduleFree(groups, split_groups=False, fused_back_pass=fused)

    def step() -> None:
        give_gradients(params, 0)
        for param in params if fused else []:
            optimizer.step_param(param)
        optimizer.step()

    for _ in range(steps):
        step()
    group = optimizer.param_groups[1]
    kept = {name: group[name] for name in edit}
    group.update(edit)
    before = snapshot(optimizer, params)
    with pytest.raises(error):
        step()
    assert str(snapshot(optimizer, params)) == str(before)
    group.update(kept)
    step()
    assert optimizer.param_groups[0]["k"] == steps + 2


def test_what_a_schedule_may_do_to_a_group_is_no_error() -> None:
    """lr down to 0, betas as CyclicLR has them, decay that is switched on, an estimate that is set anew."""
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    for edit in ({"lr": 0.0}, {"lr": 0.5, "betas": (0.85, 0.99)}, {"weight_decay": 0.1}, {"d": 1e-3, "k": 1}):
        optimizer.param_groups[0].update(edit)
        train(optimizer, params, [0])
    assert optimizer.param_groups[0]["k"] == 2


@pytest.mark.need(28, 38)
@pytest.mark.parametrize("grad", [torch.eye(4).to_sparse(), torch.zeros(4, 4, dtype=torch.complex64)])
def test_a_sparse_or_complex_gradient_is_refused_before_anything_changes(grad: torch.Tensor) -> None:
    first, second = (torch.nn.Parameter(torch.ones(4, 4)) for _ in range(2))
    optimizer = ProdigyPlusScheduleFree([first, second])
    first.grad = torch.ones(4, 4)
    second.grad_dtype = None if grad.is_complex() else second.grad_dtype
    second.grad = grad
    with pytest.raises(TypeError, match="parameter 1"):
        optimizer.step()
    assert not optimizer.state
    assert optimizer.param_groups[0]["k"] == 1
    assert bits(first) == bits(torch.ones(4, 4))
