"""Name maps: what is refused and in which words, and which map a class is read with."""

from __future__ import annotations

import re
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch

from ppsf_conformance import peers
from ppsf_conformance.name_map import import_class, map_for, read_name_map, shipped_maps
from ppsf_conformance.run import implementation_for
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_ref import FLOAT32, FLOAT64

TEXT = (resources.files("ppsf_conformance") / "adapters" / "ppsf_fast.toml").read_text("utf-8")


class Child(ProdigyPlusScheduleFree):
    """A class without a map of its own."""


class Stranger(torch.optim.SGD):
    """A class no map is known for."""


class NoOptimizer:
    """A class that optimizes nothing."""


def test_a_map_is_read_as_it_is_written() -> None:
    names = read_name_map(TEXT, "x.toml")
    assert names.state["v_row"] == "exp_avg_sq_row"
    assert names.capabilities.arithmetic.array is FLOAT32
    assert names.capabilities.arithmetic.scalar is FLOAT64
    assert names.capabilities.knows_bits
    assert "betas" in names.capabilities.options


def test_a_class_of_the_environment_is_read_with_the_map_of_its_version() -> None:
    installed = "prodigyplus.prodigy_plus_schedulefree:ProdigyPlusScheduleFree"
    assert map_for(import_class(installed)) == shipped_maps()["prodigy_plus_schedule_free"]


@pytest.mark.parametrize(
    ("release", "name", "revision"),
    [
        ("prodigy-plus-schedule-free==1.9.0", "prodigy_plus_schedule_free", "1.9"),
        ("prodigy-plus-schedule-free==1.9.2", "prodigy_plus_schedule_free", "1.9"),
        ("prodigy-plus-schedule-free==2.0.1", "prodigy_plus_schedule_free_2", "2.0"),
        ("prodigyopt==1.1.2", "prodigyopt", "prodigy"),
        ("schedulefree==1.4.1", "schedulefree", "schedulefree"),
    ],
)
def test_the_map_of_a_peer_goes_by_its_version(release: str, name: str, revision: str) -> None:
    one = peers.release(release)
    cls = import_class(f"{peers.known()[one]}@{release}")
    names = map_for(cls)
    assert names == shipped_maps()[name]
    assert names.revisions == (revision,)
    assert TorchImplementation(cls, names).target == f"{peers.known()[one]}@{release}"
    assert TorchImplementation(cls, names).version == one.version


def test_the_map_of_a_peer_holds_for_its_subclasses() -> None:
    release = "prodigy-plus-schedule-free==2.0.1"
    parent: Any = import_class(f"{peers.known()[peers.release(release)]}@{release}")
    child = type("Child", (parent,), {"__module__": __name__})
    implementation = TorchImplementation(child, map_for(child))
    assert implementation.names == shipped_maps()["prodigy_plus_schedule_free_2"]
    assert (implementation.name, implementation.version) == ("Child", "2.0.1")
    assert implementation.target == f"{__name__}:Child"


@pytest.mark.parametrize("release", ["prodigy-plus-schedule-free==2.0.1", "prodigyopt==1.1.2", "schedulefree==1.4.1"])
def test_what_a_map_names_is_there_after_a_step(release: str) -> None:
    cls = import_class(f"{peers.known()[peers.release(release)]}@{release}")
    names = map_for(cls)
    params = [torch.nn.Parameter(torch.ones(40, 3)), torch.nn.Parameter(torch.ones(3))]
    kept: set[str] = set()
    for options in ({}, {"use_schedulefree": False}, {"use_speed": True}) if "2.0" in names.revisions else ({},):
        optimizer = cls(params, **options)
        getattr(optimizer, "train", lambda: None)()
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer.step()
        kept |= {key for param in params for key in optimizer.state[param]}
        kept |= {f"group {key}" for key in optimizer.param_groups[0]}
    assert set(names.state.values()) <= kept
    assert {f"group {key}" for key in names.group.values()} <= kept


def test_what_is_no_toml_is_refused_with_the_name_of_the_file() -> None:
    with pytest.raises(ValueError, match=r"^x\.toml is not TOML: .*line 2"):
        read_name_map("\ntarget = yes\n", "x.toml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('k = "k"\n', "", "group: 'k' is a required property"),
        ('v = "exp_avg_sq"\n', "", "state: 'v' is a required property"),
        ('revisions = ["1.9"', 'revisions = ["1.8"', "revisions: the law has no '1.8'; it has 1.9, 2.0"),
        ('dtypes = ["float32", "bfloat16", "float16"]\n', "", "'dtypes' is a required property"),
        ('dtypes = ["float32", "bfloat16", "float16"]\n', 'dtypes = ["float64"]\n', "'float64' is not one of"),
        ('array = "float32"', 'array = "float8"', "arithmetic.array: 'float8' is not one of"),
        ('array = "float32"', 'array = "bfloat16"', "arithmetic.array: 'bfloat16' is not one of"),
        ('order = "any"', 'order = "sorted"', "arithmetic.order: 'sorted' is not one of"),
        ("atan2_ulps = 1.0", "atan2_ulps = 0.1", "arithmetic.atan2_ulps: 0.1 is less than the minimum"),
        ('rounding_bits = "philox"', 'rounding_bits = "mine"', "rounding_bits: 'mine' is not one of"),
        ('"lr", "betas"', '"lr", "beta5"', "options: the law has no 'beta5'; it has amplify_gradients, beta3"),
        ("serves = []", 'serves = ["use_magic"]', "serves: the law has no 'use_magic'"),
        ('z = "z"', "z = 3", "state.z: 3 is not of type 'string'"),
        ('z = "z"', 'z = "z"\nzz = "z"', "state: Additional properties are not allowed ('zz' was unexpected)"),
        ('revisions = ["1.9", "2.0", "update3"]', 'versions = "about 2"', "versions: 'about 2' does not match"),
        ("ppsf_fast:ProdigyPlusScheduleFree", "ppsf_fast", "target: 'ppsf_fast' does not match"),
    ],
)
def test_a_map_that_does_not_fit_is_refused_with_the_place(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(ValueError, match=re.escape(said)) as refusal:
        read_name_map(TEXT.replace(old, new, 1), "x.toml")
    assert "x.toml" in str(refusal.value)


def test_all_faults_of_a_map_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)'group' is a required.*'state' is a required"):
        read_name_map("", "x.toml")


# ------------------------------------------------------------------------------------------------------------- classes


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ppsf_fast", "write it as module:Class, or as module:Class@distribution==version"),
        ("ppsf_fast@ppsf==1", "write it as module:Class"),
        ("ppsf_fast:A@ppsf", "'ppsf' does not name one release; write it as module:Class@distribution==version"),
        ("ppsf_fast:A@ppsf>=1", "'ppsf>=1' does not name one release"),
        ("ppsf_fast:A@ppsf==1.*", "'ppsf==1.*' does not name one release"),
        ("ppsf_fast:A@", "'' does not name one release"),
        ("prodigyopt:Missing@prodigyopt==1.1.2", "has no attribute 'Missing'"),
        ("missing:A@prodigyopt==1.1.2", "No module named 'missing'"),
        (":Class", "write it as module:Class"),
        ("no_such_module:Class", "No module named 'no_such_module'"),
        ("ppsf_fast:NoSuchClass", "has no attribute 'NoSuchClass'"),
        ("math:pi", "is not a class"),
    ],
)
def test_a_wrong_target_is_refused(target: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        import_class(target)


def test_whatever_a_module_raises_while_it_is_imported_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "module_with_a_mistake.py").write_text("x = undefined_name\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ValueError, match="NameError: name 'undefined_name' is not defined"):
        import_class("module_with_a_mistake:Class")


def test_a_class_that_is_no_optimizer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is not a torch\.optim\.Optimizer"):
        implementation_for(f"{__name__}:NoOptimizer")


def test_a_subclass_is_judged_with_the_map_of_its_parent() -> None:
    implementation = implementation_for(f"{__name__}:Child")
    assert implementation.names == shipped_maps()["ppsf_fast"]
    assert implementation.name == "Child"
    assert implementation.target == f"{__name__}:Child"


def test_a_class_without_a_map_is_told_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"Write one, as docs/adapter\.md says, and give it with --map"):
        map_for(Stranger)


def test_a_given_map_goes_before_a_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(TEXT.replace('name = "ppsf_fast"', 'name = "mine"'))
    assert map_for(Child, file).name == "mine"


def test_a_map_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the name map .*missing\.toml"):
        map_for(Child, tmp_path / "missing.toml")


def test_a_map_may_name_a_target_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(TEXT.replace("ppsf_fast:Prodigy", "elsewhere:Prodigy"))
    assert implementation_for(f"{__name__}:Child", file).name == "Child"
