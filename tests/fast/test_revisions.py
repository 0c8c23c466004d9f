"""The revisions: the same data as the specification's, defaults that depend on them, and what each class refuses."""

from __future__ import annotations

import inspect
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.base import RevisedOptimizer
from ppsf_fast.options import OPTION_NAMES, defaults_of
from ppsf_fast.revisions import DEFAULT, REVISIONS, Revision
from ppsf_ref import load_revision, options_of, whole_options
from tests.fast.helpers import parameters, snapshot, train
from tests.fast.revised import CASES, build

SPEC = tomllib.loads((Path(__file__).parents[2] / "spec" / "revisions.toml").read_text("utf-8"))["revisions"]
CLASSES = (ProdigyPlusScheduleFree, Prodigy, AdamWScheduleFree)
#: What the specification says of a revision besides the fields that a step reads.
ABOUT = {"title", "default", "provenance"}


def as_python(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_python(entry) for key, entry in value.items()}
    return None if value == "None" else tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("name", SPEC)
def test_a_revision_says_what_the_specification_says(name: str) -> None:
    named = [entry.name for entry in fields(Revision) if entry.name != "name"]
    assert {*named, *ABOUT} == {*SPEC[name]}
    assert {key: getattr(REVISIONS[name], key) for key in named} == {key: as_python(SPEC[name][key]) for key in named}
    assert REVISIONS[name].name == name


def test_there_are_as_many_revisions_as_in_the_specification() -> None:
    assert REVISIONS.keys() == SPEC.keys()
    assert SPEC[DEFAULT]["default"]
    assert {name for cls in CLASSES for name in cls.REVISIONS} == SPEC.keys()


@pytest.mark.parametrize("name", SPEC)
def test_defaults_are_those_of_the_reference(name: str) -> None:
    law, ours = load_revision(name), defaults_of(REVISIONS[name])
    theirs = {**vars(options_of(law)), **whole_options(law, {})}
    assert {key: ours[key] for key in theirs} == theirs


@pytest.mark.parametrize("cls", CLASSES)
def test_the_signature_shows_the_options_and_defaults_of_its_first_revision(cls: type[RevisedOptimizer]) -> None:
    shown = {name: p.default for name, p in inspect.signature(cls).parameters.items() if name in OPTION_NAMES}
    have = {option for name in cls.REVISIONS for option in REVISIONS[name].options}
    assert shown.keys() == have
    defaults = defaults_of(REVISIONS[cls.REVISIONS[0]])
    assert shown == {name: defaults[name] for name in shown}


def test_an_option_that_is_not_given_has_the_default_of_the_revision() -> None:
    two, three = (ProdigyPlusScheduleFree(parameters(), revision=name) for name in ("2.0", "update3"))
    assert (two.defaults["d_limiter"], two.defaults["split_groups_mean"]) == (True, False)
    assert (three.defaults["factored"], three.defaults["amplify_gradients"]) == (False, True)
    assert (two.revision, three.revision) == ("2.0", "update3")


@pytest.mark.parametrize("given", [{"split_groups_mean": True}, {"d_limiter": False}, {"split_groups_mean": False}])
def test_a_value_that_is_given_wins_though_it_is_the_default_of_another_revision(given: dict[str, bool]) -> None:
    options: dict[str, Any] = {"revision": "2.0", **given}
    assert ProdigyPlusScheduleFree(parameters(), **options).defaults.items() >= given.items()


def test_a_positional_argument_counts_as_given() -> None:
    arguments = [1.0, (0.9, 0.99), None, 0.0, True, False, 1e-6, 1.0, 0, False, 1e-8, True, True]
    assert ProdigyPlusScheduleFree(parameters(), *arguments, revision="2.0").defaults["split_groups_mean"]


@pytest.mark.clause("PPSF-X-001")
@pytest.mark.parametrize(
    ("name", "value", "revision"),
    [("d_limiter", False, "1.9"), ("warmup_steps", 0, "2.0"), ("eps", None, "update3"), ("use_muon_pp", False, "2.0")],
)
def test_an_option_that_the_revision_does_not_have_is_refused(name: str, value: Any, revision: str) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(TypeError, match=rf"{name}.*revision {revision} has no option"):
        ProdigyPlusScheduleFree(parameters(), revision=revision, **options)
    with pytest.raises(TypeError, match=rf"{name}.*revision {revision} has no option"):
        ProdigyPlusScheduleFree([{"params": parameters(), **options}], revision=revision)


@pytest.mark.parametrize(
    ("cls", "name"), [(Prodigy, "use_schedulefree"), (AdamWScheduleFree, "d0"), (AdamWScheduleFree, "revision")]
)
def test_the_other_classes_take_their_own_options_only(cls: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        cls(parameters(), **{name: 1.0})


@pytest.mark.parametrize("revision", ["prodigy", "schedulefree"])
def test_a_class_refuses_the_revisions_of_others(revision: str) -> None:
    with pytest.raises(NotImplementedError, match=revision):
        ProdigyPlusScheduleFree(parameters(), revision=revision)


@pytest.mark.clause("PPSF-X-002")
@pytest.mark.parametrize("cls", [Prodigy, AdamWScheduleFree])
def test_eps_is_needed_where_there_is_no_other_direction(cls: Any) -> None:
    with pytest.raises(TypeError, match="eps"):
        cls(parameters(), eps=None)


@pytest.mark.parametrize(
    ("cls", "name", "values"),
    [
        (Prodigy, "d0", (1e-6, 1e-5)),
        (Prodigy, "growth_rate", (1.02, 2.0)),
        (Prodigy, "cosine_decay", (True, False)),
        (ProdigyPlusScheduleFree, "beta4", (None, 0.5)),
    ],
)
def test_groups_that_share_an_estimate_agree_on_what_it_depends_on(
    cls: Any, name: str, values: tuple[Any, ...]
) -> None:
    groups = [{"params": [param], name: value} for param, value in zip(parameters(), values, strict=False)]
    pooled = {"split_groups": False} if cls is ProdigyPlusScheduleFree else {}
    with pytest.raises(ValueError, match=f"differ in {name}"):
        cls(groups, **pooled)


@pytest.mark.parametrize("case", CASES)
def test_groups_store_the_scalars_of_their_revision_and_no_others(case: str) -> None:
    params = parameters()
    optimizer = build(case, params)
    train(optimizer, params, range(2))
    every = {scalar for revision in REVISIONS.values() for scalar in revision.scalars}
    stored = {name for name in optimizer.param_groups[0] if name in every}
    assert stored == {*REVISIONS[optimizer.revision].scalars}
    assert stored <= optimizer.metrics()[0].keys()


@pytest.mark.need(36)
@pytest.mark.parametrize("saved", CASES)
@pytest.mark.parametrize("loading", CASES)
def test_a_state_dict_of_another_revision_is_refused(saved: str, loading: str) -> None:
    params = parameters()
    first, second = build(saved, params), build(loading, parameters())
    train(first, params, range(2))
    before = snapshot(second, [])
    if first.revision == second.revision:
        second.load_state_dict(first.state_dict())
        return
    with pytest.raises(ValueError, match=f"another revision than {second.revision}"):
        second.load_state_dict(first.state_dict())
    assert snapshot(second, []) == before


@pytest.mark.clause("PPSF-L-003")
@pytest.mark.parametrize("revision", ["prodigy", "2.0"])
def test_where_nothing_is_averaged_there_is_no_eval_mode(revision: str) -> None:
    params = parameters()
    optimizer = (
        Prodigy(params)
        if revision == "prodigy"
        else ProdigyPlusScheduleFree(params, revision=revision, use_schedulefree=False)
    )
    train(optimizer, params, range(3))
    before = snapshot(optimizer, params)
    assert optimizer.eval() is optimizer
    assert snapshot(optimizer, params) == before
    train(optimizer, params, [3])


def test_the_caller_keeps_the_gradient_that_coupled_decay_is_added_to() -> None:
    params = parameters(shapes=[(5,)])
    optimizer = Prodigy(params, weight_decay=0.1, decouple=False)
    params[0].grad = torch.ones(5)
    optimizer.step()
    assert torch.equal(params[0].grad, torch.ones(5))
